"""The floor: the least that the pixels themselves cost, with all else known or left out.

Counted are the decoding of exactly the blocks that the chips need and the encoding of exactly the
pixels written, each by the fastest maintained codec known (libdeflate and ISA-L), one thread, all
bytes already in memory. Neither is there any arithmetic, nor a file opened, nor one written.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from timesync_xr import COMPOSITES, Archive, chips_for_plot, composite_rgb
from timesync_xr.project.files import PNG_LEVEL
from timesync_xr.raster.blocks import find_blocks
from timesync_xr.raster.tiff import FIRST_READ, Block, Window, parse_header

from .archive import BUCKET, PLOTS, plot_xy
from .server import Served


def floor(archive: str, source: str, items: list[dict[str, Any]], plot: str) -> dict[str, Any]:
    """CPU milliseconds per observation, and the bytes of the blocks.

    ``source`` is the file of the items, whose assets' hrefs are paths in ``items``.
    """
    images = _images(archive, source, plot)
    blocks = {item["id"]: _blocks(item, plot) for item in items}
    start = time.process_time()
    for of_item in blocks.values():
        _decode(of_item)
    decode = time.process_time() - start
    start = time.process_time()
    for image in images:
        _encode(image)
    encode = time.process_time() - start
    per = 1000 / len(items)
    return {
        "cpu": (decode + encode * 3 * len(items) / len(images)) * per,
        "decode": decode * per,
        "bytes": sum(len(b) for of_item in blocks.values() for b in of_item) / len(items),
    }


def fetch(server: str, items: list[dict[str, Any]], plot: str) -> dict[str, Any]:
    """CPU milliseconds per observation of fetching the blocks from a server, and nothing else.

    Told are where they lie: 14 requests, two for each asset, 64 at a time.
    """
    from obstore import get_range, get_ranges
    from obstore.store import HTTPStore

    store = HTTPStore(server, client_options={"allow_http": True})
    paths = [
        a["href"].removeprefix(f"{server}/") for item in items for a in item["assets"].values()
    ]

    def find(path: str) -> list[Block]:
        header = parse_header([(0, memoryview(get_range(store, path, start=0, end=FIRST_READ)))])
        return find_blocks(header, _window(plot))

    def get(path: str, blocks: list[Block]) -> None:
        starts, ends = [b.start for b in blocks], [b.stop for b in blocks]
        get_ranges(store, path, starts=starts, ends=ends, coalesce=1000)

    with ThreadPoolExecutor(64) as pool:
        places = list(pool.map(find, paths))
        Served(server).counts()  # those of the headers are not counted
        start = time.process_time()
        list(pool.map(get, paths, places))
        return {"cpu": (time.process_time() - start) * 1000 / len(items)}


def _window(plot: str) -> Window:
    col, row = PLOTS[plot]
    return Window(col - 127, row - 127, 255, 255)


def _blocks(item: dict[str, Any], plot: str) -> list[bytes]:
    """The compressed blocks that the chip of a plot touches."""
    found = []
    for asset in item["assets"].values():
        with Path(asset["href"]).open("rb", buffering=0) as file:
            header = parse_header([(0, file.read(FIRST_READ))])
            places = find_blocks(header, _window(plot))
            found += [os.pread(file.fileno(), b.stop - b.start, b.start) for b in places]
    return found


def _decode(blocks: list[bytes]) -> None:
    import imagecodecs

    out = np.empty(2 * 256 * 256, np.uint8)
    rows = out.view(np.uint16).reshape(256, 256)
    for data in blocks:
        imagecodecs.deflate_decode(data, out=out)
        imagecodecs.delta_decode(rows, axis=-1, out=rows)


def _images(archive: str, source: str, plot: str) -> list[Any]:
    """The chips of a few of the observations, as the package makes them."""
    cube = chips_for_plot(plot_xy(plot), Archive(source, mirror=f"{BUCKET}={archive}"))[:8]
    chips = [composite_rgb(cube, name).to_numpy() for name in COMPOSITES]
    return [image for of_composite in chips for image in of_composite]


def _encode(image: Any) -> None:
    from isal import isal_zlib

    height = image.shape[0]
    rows = np.zeros((height, 1 + image[0].size), np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    np.subtract(rows[1:, 1:], rows[:-1, 1:].copy(), out=rows[1:, 1:])
    isal_zlib.compress(rows, PNG_LEVEL)
