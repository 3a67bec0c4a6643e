"""Combine a million rows: time and memory, with the disk left out.

    python -m benchmarks.combining [PLOTS [OBSERVATIONS]]

The project is made up: its ledger lies in a folder, its rows are made as they are read.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import pandas as pd

from timesync_xr import combine
from timesync_xr.catalog.ard import ARD
from timesync_xr.grid import REGIONS
from timesync_xr.project import project as contents
from timesync_xr.project.ledger import COLUMNS as LEDGER
from timesync_xr.project.log import COLUMNS as ACCOUNT
from timesync_xr.project.project import Settings, keep_settings
from timesync_xr.spectral.series import CSV_COLUMNS
from timesync_xr.storage.folder import Folder

HEADER = ",".join(CSV_COLUMNS)


class MadeUp(Folder):
    """A project of plots with the same account, whose CSVs are made when they are read."""

    def __init__(self, root: str, observations: int) -> None:
        super().__init__(root)
        days = pd.date_range("1984-01-01", periods=observations, freq="4D")
        account = pd.DataFrame({"day": days.strftime("%Y-%m-%d")}).reindex(columns=list(ACCOUNT))
        account = account.assign(outcome="written", sensor="LT05", hv="0309")
        account["date"] = account["day"] + "T18:00:00.1234567Z"
        self._account = account.to_csv(index=False).encode()
        self._dates = {(d.year, d.day_of_year): f"{d:%Y-%m-%d}T18:00:00.1234567Z" for d in days}

    def read(self, path: str) -> bytes:
        name = path.rpartition("/")[2]
        if path.startswith("ledger/observations/"):
            return self._account
        if "_spectral_files_set_" not in name:
            return super().read(path)
        plot, _, when = name.removesuffix(".csv").partition("_spectral_files_set_")
        year, doy = map(int, when.split("_"))
        values = f"{doy},{year},300,400,500,600,0"
        row = f"LT05,1,{plot},0309,{year},{doy},{values},{self._dates[year, doy]}"
        return f"{HEADER}\n{row}\n".encode()


def make_ledger(folder: Path, plots: int, observations: int) -> None:
    (folder / "ledger").mkdir()
    keep_settings(Folder(folder), Settings(ARD.collection, REGIONS["CU"], (255, 255)))
    rows = pd.DataFrame({"plot_id": range(1, plots + 1)}).reindex(columns=list(LEDGER))
    rows = rows.assign(project_id=1, x=0.0, y=0.0, status="complete", written=observations)
    rows.assign(products="png,csv").to_csv(folder / "ledger/plots.csv", index=False)


def main(plots: int = 400, observations: int = 2500) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_ledger(folder, plots, observations)
        made_up = MadeUp(name, observations)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        with patch.object(contents, "open_folder", lambda *_: made_up):
            combined = combine(folder)
        seconds = time.perf_counter() - start
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        table = pd.read_parquet(folder / "combined/spectra.parquet", columns=["plot_id"])
        assert combined.rows == len(table) == plots * observations
        print(f"{combined.rows} rows: {seconds:.1f} s, {seconds / combined.rows * 1e6:.1f} us/row")
        print(f"{len(combined.files)} files of the server; memory grew by {more / 1024:.0f} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
