"""Which codings of blocks notice a changed bit: what docs/reliability.md says of them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import rasterio

from timesync_xr.raster import tiff
from timesync_xr.raster.blocks import find_blocks, read_blocks

FLIPS = 100
EDGE = 128


def unnoticed(path: Path, **coding: object) -> int:
    """How many of some single flipped bits of a block change its pixels without an error."""
    y, x = np.mgrid[0:EDGE, 0:EDGE]
    noise = np.random.default_rng(1).normal(0, 60, (EDGE, EDGE))
    image = (9000 + 800 * np.sin(x / 17) + 900 * np.cos(y / 23) + noise).astype(np.uint16)
    profile = {"driver": "GTiff", "width": EDGE, "height": EDGE, "count": 1, "dtype": "uint16",
               "tiled": True, "blockxsize": EDGE, "blockysize": EDGE,
               "transform": rasterio.Affine(30, 0, 0, 0, -30, 0)}  # fmt: skip
    with rasterio.open(path, "w", **profile, **coding) as file:
        file.write(image, 1)
    data = path.read_bytes()
    header, window = tiff.parse_header([(0, data)]), tiff.Window(0, 0, EDGE, EDGE)
    (block,) = find_blocks(header, window)
    dice, count = random.Random(3), 0
    for _ in range(FLIPS):
        changed = bytearray(data[block.start : block.stop])
        bit = dice.randrange(8 * len(changed))
        changed[bit // 8] ^= 1 << bit % 8
        found = np.zeros((EDGE, EDGE), np.uint16)
        try:
            read_blocks(header, window, {block.number: bytes(changed)}, found)
        except tiff.TiffError:
            continue
        count += not np.array_equal(found, image)
    return count


@pytest.mark.parametrize("coding", ["deflate", "lzma", "lerc"])
def test_codings_with_a_checksum_notice_every_flipped_bit(tmp_path: Path, coding: str) -> None:
    assert unnoticed(tmp_path / "x.tif", compress=coding) == 0


@pytest.mark.parametrize("coding", ["none", "packbits", "lzw", "zstd"])
def test_codings_without_one_do_not(tmp_path: Path, coding: str) -> None:
    """As is said, so that a coding that gets one is told here."""
    assert unnoticed(tmp_path / "x.tif", compress=coding) > FLIPS / 2
