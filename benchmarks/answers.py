"""``python -m benchmarks.answers``: what it costs to keep an answer of an interpreter.

The server of `timesync-xr interpret` is asked by HTTP, as a page asks it: one act a request, on a
plot that has some already. CPU is that of the server alone, measured around what it does with an
act; ``fsync`` is counted and timed apart, since it is the disk's. Nothing is drawn or listed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from timesync_xr import Archive, Products, Project, Selection, extract, make_sample
from timesync_xr.interpret.answers import Act
from timesync_xr.interpret.legend import read_legend
from timesync_xr.interpret.serve import Desk

DAY = "1984-08-08"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--before", type=int, default=20, help="acts that the plot has already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="timesync-answers-") as folder:
        _run(Path(folder), options.answers, options.before)


def _run(folder: Path, answers: int, before: int) -> None:
    sample = make_sample(folder / "sample")
    project = Project(folder / "project")
    archive = Archive(sample.items, mirror=sample.mirror)
    made = Products("csv")
    extract(sample.plots, project, archive, Selection("2024"), made, progress=False)
    site = Path(project.place, "browse")
    site.mkdir()
    with _TimedDesk(project, site, "ann", read_legend()) as desk:
        ends = [{"day": DAY}, {"day": "2025-08-09"}]
        desk.keep({"acts": [_act(1, do="start", vertices=ends, chips="0" * 16)]})
        for seq in range(2, before + 1):
            desk.keep({"acts": [_label(seq)]})
        desk.cpu.clear()
        patched: Any = os
        syncs, usual = [], os.fsync

        def timed(handle: int) -> None:
            start = time.perf_counter()
            usual(handle)
            syncs.append(time.perf_counter() - start)

        patched.fsync = timed
        thread = threading.Thread(target=desk.serve_forever)
        thread.start()
        walls = [_ask(desk, _label(before + 1 + n)) for n in range(answers)]
        desk.shutdown()
        thread.join()
    wall, disk = (1000 * statistics.median(values) for values in (walls, syncs))
    print(
        f"{answers} answers on a plot that has {before}: {wall:.1f} ms each (median; of 95 % at "
        f"most {1000 * sorted(walls)[int(0.95 * answers)]:.1f}), of it fsync {disk:.1f} ms; server "
        f"CPU {1000 * statistics.mean(desk.cpu):.1f} ms; {len(syncs) / answers:.2f} fsync each"
    )


class _TimedDesk(Desk):
    """A server that notes the CPU of its thread for each request to keep something."""

    def __init__(self, *given: Any) -> None:
        self.cpu: list[float] = []
        super().__init__(*given)

    def keep(self, sent: object) -> dict[str, Any]:
        start = time.thread_time()
        kept = super().keep(sent)
        self.cpu.append(time.thread_time() - start)
        return kept


def _ask(desk: Desk, act: Act) -> float:
    """Seconds until an act is told to be kept."""
    address = urlsplit(desk.address)
    body = json.dumps({"acts": [act]})
    told = {"Content-Type": "application/json", "Origin": f"http://{address.netloc}"}
    start = time.perf_counter()
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    connection.request("POST", f"/{desk.token}/api/acts", body, told)
    answer = connection.getresponse()
    kept = json.loads(answer.read())["kept"]
    seconds = time.perf_counter() - start
    connection.close()
    if kept != [act["id"]]:
        raise SystemExit(f"the server did not keep it: {kept}")
    return seconds


def _label(seq: int) -> Act:
    use = ("Forest", "Other")[seq % 2]
    return _act(seq, do="label", day=DAY, set={"dominant_landuse": use})


def _act(seq: int, **body: Any) -> Act:
    where = {"who": "ann", "project": "1001", "plot": "2", "legend": read_legend().digest}
    head = {"v": 1, "id": secrets.token_hex(16), "seq": seq, "at": "2026-01-01T00:00:00Z"}
    return {**head, **where, "tool": "benchmark", **body}


if __name__ == "__main__":
    main()
