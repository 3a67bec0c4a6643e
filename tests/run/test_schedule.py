"""In which order plots are done, by which worker, and which of them share blocks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr.grid import REGIONS, ChipGrid, Tile
from timesync_xr.landsat import TILE_SIZE
from timesync_xr.plots import Plot
from timesync_xr.run.beside import PAYS, WORKER_MEMORY, _that_pay
from timesync_xr.run.schedule import BLOCK, STRETCH, PlotQueue, with_neighbours


def queue_of(*tiles: int) -> PlotQueue:
    """Plots numbered in list order, each on the tile of this column."""
    return PlotQueue([Plot("p", str(n), float(h), 0.0) for n, h in enumerate(tiles)], tile_of)


def taken(queue: PlotQueue, worker: str) -> Plot:
    """The next plot of a queue that holds one."""
    plot = queue.next(worker)
    assert plot
    return plot


def tile_of(plot: Plot) -> Tile:
    return int(plot.x), 0


@given(st.lists(st.integers(0, 4)), st.lists(st.sampled_from("abc"), min_size=1))
def test_every_plot_is_done_once_whoever_asks(tiles: list[int], askers: list[str]) -> None:
    queue = queue_of(*tiles)
    ids: list[str] = []
    while queue:
        ids.append(taken(queue, askers[len(ids) % len(askers)]).plot_id)
    assert queue.next(askers[0]) is None
    assert Counter(ids) == Counter(map(str, range(len(tiles))))


def test_one_worker_does_a_tile_after_the_other_beginning_with_the_first_plot() -> None:
    queue = queue_of(7, 3, 7, 3, 7)
    assert [plot.plot_id for plot in queue] == ["0", "2", "4", "1", "3"]
    assert [taken(queue, "a").plot_id for _ in range(5)] == ["0", "2", "4", "1", "3"]


def test_workers_keep_to_their_tile_while_there_are_others() -> None:
    queue = queue_of(*[1, 2, 3] * 4)
    tiles = {w: [tile_of(taken(queue, w)) for _ in range(4)] for w in ("a", "b")}
    assert tiles == {"a": [(1, 0)] * 4, "b": [(2, 0)] * 4}


def test_the_last_tile_is_shared() -> None:
    queue = queue_of(1, 1, 1, 1)
    assert {taken(queue, worker).plot_id for worker in "abcd"} == set("0123")


def test_what_a_lost_worker_had_begun_is_taken_up_first() -> None:
    queue = queue_of(1, 1, 2, 2)
    queue.next("a")
    queue.forget(["a"])
    assert tile_of(taken(queue, "b")) == (1, 0)


def test_plots_are_late_by_a_stretch_at_most() -> None:
    queue = queue_of(*(n % 50 for n in range(3 * STRETCH)))
    order = [int(plot.plot_id) for plot in queue]
    assert max(abs(place - number) for place, number in enumerate(order)) < STRETCH


# Plots that share blocks, against the plain definition: the blocks of every pixel of a chip


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


@pytest.mark.parametrize(
    ("plots", "seconds", "cores", "memory", "processes"),
    [
        (19, 20, 2, 64e9, 2),
        (19, 20, 8, 64e9, 8),
        (3, 20, 8, 64e9, 4),
        (19, 20, 8, 3.5 * WORKER_MEMORY, 3),
        (19, 20, 8, 0.5 * WORKER_MEMORY, 1),
        (19, 20, 1, 64e9, 1),
        (1, 900, 8, 64e9, 2),
        (0, 900, 8, 64e9, 1),
        (19, PAYS / 20, 8, 64e9, 1),
        (20, PAYS / 20, 8, 64e9, 8),
    ],
)
def test_as_many_processes_as_there_are_cores_memory_and_plots(
    plots: int,
    seconds: float,
    cores: int,
    memory: float,
    processes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And this one alone where little is left."""
    monkeypatch.setattr("dask.system.CPU_COUNT", cores)
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", memory)
    assert _that_pay(plots, seconds) == processes
