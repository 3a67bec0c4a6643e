"""Plots that share blocks, against the plain definition: the blocks of every pixel of a chip."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr.grid import REGIONS, ChipGrid
from timesync_xr.landsat import TILE_SIZE
from timesync_xr.plots import Plot
from timesync_xr.run.schedule import BLOCK, with_neighbours


def blocks(first: int, length: int) -> set[tuple[int, int]]:
    pixels = np.arange(first, first + length)
    found = zip(pixels // TILE_SIZE, pixels % TILE_SIZE // BLOCK, strict=True)
    return {(int(tile), int(block)) for tile, block in found}


sizes = st.integers(1, 600)
places = st.tuples(st.integers(9000, 11000), st.integers(9000, 11000))


@given(places, places, sizes, sizes)
def test_neighbours_are_the_plots_that_share_a_block(
    a: tuple[int, int], b: tuple[int, int], width: int, height: int
) -> None:
    def chip_of(plot: Plot) -> ChipGrid:
        return ChipGrid(REGIONS["CU"], int(plot.x), int(plot.y), width, height)

    plots = [Plot("1", "a", *map(float, a)), Plot("1", "b", *map(float, b))]
    across = [blocks(col - width // 2, width) for col, _ in (a, b)]
    down = [blocks(row - height // 2, height) for _, row in (a, b)]
    share = bool(across[0] & across[1]) and bool(down[0] & down[1])
    assert with_neighbours(plots, chip_of) == (set(plots) if share else set())
