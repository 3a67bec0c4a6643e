"""Untrusted bytes by the thousand: TIFFs, items and plot lists.

``python -m tests.fuzz [TARGET|all] [COUNT] [SEED]``, by ``make fuzz``: valid files with bytes
changed, cut out or put in. ``python -m tests.fuzz_guided TARGET SECONDS`` looks for bytes that
lead to code not seen before; it needs atheris.

Whatever comes has to be read or refused by an error of our own, in bounded time and memory.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.archive import SmallArchive
from tests.raster.test_tiff import parse
from timesync_xr.catalog.ard import ARD
from timesync_xr.catalog.files import parse_items
from timesync_xr.catalog.items import COLUMNS, Query, items_table
from timesync_xr.errors import ReadError, TimesyncError
from timesync_xr.grid import REGIONS
from timesync_xr.landsat import BANDS
from timesync_xr.plots import id_problem, read_plots
from timesync_xr.raster.blocks import find_blocks, read_blocks
from timesync_xr.raster.tiff import TiffError, Window
from timesync_xr.storage.access import Access

SECONDS = 2.0
"""What one input may take."""
MEGABYTES = 1500
"""What the process may take, of which numpy and rasterio are some 200."""

SIZE = 96
"""Pixels along the edges of the images."""
KINDS: tuple[dict[str, Any], ...] = (
    {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate", "predictor": 2},
    {"compress": "lzw"},
    {"tiled": True, "blockxsize": 64, "blockysize": 32, "BIGTIFF": "YES", "ENDIANNESS": "BIG"},
    {"compress": "zstd", "predictor": 2},
    {"compress": "packbits", "blockysize": 7},
    {"compress": "lzma", "nodata": 1},
    {"compress": "lerc"},
)


class _Refused(Exception):  # noqa: N818 - an outcome, not an error
    """The input was refused as it should be."""


@dataclass(frozen=True)
class Target:
    """What reads untrusted bytes."""

    seeds: Callable[[Path], list[bytes]]
    """Makes valid inputs, with a folder for whatever is needed."""
    check: Callable[[bytes], None]
    """Reads an input; raises `_Refused`, or whatever must not be raised."""
    change: Callable[[bytes, random.Random], bytes]
    """Makes another input of one."""


def damaged(data: bytes, dice: random.Random) -> bytes:
    """An input with some of its bytes changed."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        place = dice.randrange(min(len(out), dice.choice((8, 64, 1024, len(out)))))
        kind = dice.randrange(4)
        if kind == 0:
            out[place] ^= 1 << dice.randrange(8)
        elif kind == 1:
            size = dice.choice((1, 2, 4, 8))
            out[place : place + size] = dice.choice((b"\0", b"\xff", b"\x7f", b"\x01")) * size
        elif kind == 2:
            del out[place : place + dice.randrange(1, 64)]
        else:
            out[place:place] = dice.randbytes(dice.randrange(1, 16))
        if len(out) < 2:
            break
    return bytes(out)


def changed(data: bytes, dice: random.Random) -> bytes:
    """JSON with one value in it replaced by another, or left out; damaged where it is none."""
    try:
        whole = [json.loads(data)]
    except (ValueError, RecursionError):
        return damaged(data, dice)
    if dice.random() < 0.1:
        return damaged(data, dice)
    inside: Any = whole
    key: Any = 0
    while isinstance(inside[key], dict | list) and inside[key] and dice.random() < 0.9:
        inside = inside[key]
        key = dice.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
    if dice.random() < 0.1 and inside is not whole:
        del inside[key]
    else:
        inside[key] = dice.choice((*VALUES, str(inside[key])[: dice.randrange(40)], [inside[key]]))
    return json.dumps(whole[0]).encode()


VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 7, 30.5, 1e308, float("nan"), float("-inf"), 10**40, "", "\ud800", "0" * 999,
    "=1+1", "../../x", "/etc/passwd", "file:///etc/passwd", "https://169.254.169.254/x", "s3://b/\0",
    "s3://b/../x", "https://u:p@h.org/x?sig=1", "LC08_CU_003009_20200101_20210504_02_SR", "09",
    "AK", "0000-00-00T00:00:00Z", "2020-02-30T24:00:00Z", "2262-04-12T00:00:00Z", [], {}, [[]] * 9,
)  # fmt: skip
"""What may stand anywhere in an item."""


def _tiffs(folder: Path) -> list[bytes]:
    import rasterio

    pixels = np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE) * 7
    made = []
    for number, kind in enumerate(KINDS):
        path = folder / f"{number}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=SIZE, height=SIZE, count=1, dtype="uint16",
            transform=rasterio.Affine(30, 0, -2115585, 0, -30, 2714805), **kind,
        ) as file:  # fmt: skip
            file.write(pixels, 1)
        made.append(path.read_bytes())
    return made


def _check_tiff(data: bytes) -> None:
    try:
        header = parse(data, 2048)
        if (header.width, header.height) != (SIZE, SIZE):
            raise TiffError("another grid")  # as the reader refuses it
        window = Window(10, 20, 70, 60)
        blocks = [block for block in find_blocks(header, window) if block.stop > block.start]
        found = {b.number: data[b.start : b.stop] for b in blocks}
        read_blocks(header, window, found, np.empty((60, 70), np.uint16))
    except TiffError as error:
        raise _Refused from error


def _item_files(folder: Path) -> list[bytes]:
    archive = SmallArchive(folder)
    for day in ("2020-01-01T18:30:00.1234567Z", "2020-02-01T18:30:00+02:00"):
        archive.add("LC08", day, write=False)
    first, second = archive.items
    return [
        json.dumps(value).encode()
        for value in ({"type": "FeatureCollection", "features": [first, second]}, [second], first)
    ]


def _check_items(data: bytes) -> None:
    try:
        items = parse_items(Path("items.json"), data)
    except TimesyncError as error:
        raise _Refused from error
    table = items_table(items, Query(ARD, REGIONS["CU"]))
    assert tuple(table.columns) == COLUMNS
    assert all(isinstance(why, str) for why in table["refused"])
    good = table[table["refused"] == ""]
    assert good["item_id"].is_unique
    access = Access(folder="/nowhere")
    for address in [a for band in BANDS for a in good[band] if a is not None]:
        try:
            found = access.resolve(address)
        except ReadError:
            continue
        assert found.startswith(("s3://", "https://", "/nowhere/")), found
    if not len(good):
        raise _Refused


def _plot_lists(folder: Path) -> list[bytes]:
    x, y = REGIONS["CU"].center(17500, 47500)
    return [
        f"project_id,plot_id,x,y\r\n1211,7,{x},{y}\r\n1211,8,{x + 31},{y}\r\n".encode(),
        f'\ufeffplot_id,"note",project_id,lon,lat\na b,"x,\ny",p,-120.1,44.2\n{" " * 9}'.encode(),
    ]


def _check_plots(data: bytes) -> None:
    path = Path(tempfile.gettempdir(), f"timesync-fuzz-{os.getpid()}.csv")
    path.write_bytes(data)
    try:
        table = read_plots(path)
    except TimesyncError as error:
        raise _Refused from error
    finally:
        path.unlink()
    assert len(table)
    assert np.isfinite(table[["x", "y", "offset"]].to_numpy()).all()
    assert not any(map(id_problem, [*table["plot_id"], *table["project_id"]]))
    assert not table.duplicated(["project_id", "plot_id"]).any()


TARGETS = {
    "tiff": Target(_tiffs, _check_tiff, damaged),
    "items": Target(_item_files, _check_items, changed),
    "plots": Target(_plot_lists, _check_plots, damaged),
}


def seeds(name: str) -> list[bytes]:
    """Valid inputs of a target."""
    with tempfile.TemporaryDirectory() as folder:
        return TARGETS[name].seeds(Path(folder))


def try_input(name: str, data: bytes) -> bool:
    """Whether a target reads an input; False if it refuses it."""
    try:
        TARGETS[name].check(data)
    except _Refused:
        return False
    return True


def main(name: str, count: int, seed: int) -> int:
    """Try damaged inputs of a target, say how it went, and return how many were refused."""
    dice = random.Random(seed)
    valid = seeds(name)
    assert all(try_input(name, data) for data in valid)
    refused, slowest = 0, 0.0
    for number in range(count):
        data = TARGETS[name].change(dice.choice(valid), dice)
        started = time.perf_counter()
        try:
            refused += not try_input(name, data)
        except Exception:
            kept = Path(f"fuzz-{name}-failure")
            kept.write_bytes(data)
            sys.stderr.write(f"input {number} of seed {seed} is kept in {kept}\n")
            raise
        slowest = max(slowest, time.perf_counter() - started)
        assert slowest < SECONDS, f"input {number} of seed {seed} took {slowest:.1f} s"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert memory < MEGABYTES, f"{memory:.0f} MB"
    sys.stdout.write(
        f"{name}: {count} inputs, {refused} refused, slowest {slowest:.2f} s, "
        f"at most {memory:.0f} MB\n"
    )
    return refused


if __name__ == "__main__":
    chosen, inputs, first = [*sys.argv[1:], *("all", "20000", "1")[len(sys.argv) - 1 :]]
    for each in TARGETS if chosen == "all" else [chosen]:
        main(each, int(inputs), int(first))
