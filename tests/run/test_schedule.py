"""In which order plots are done, by which worker, and which of them share blocks."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from itertools import cycle, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr.grid import REGIONS, ChipGrid, Tile
from timesync_xr.landsat import TILE_SIZE
from timesync_xr.plots import Plot
from timesync_xr.run.beside import PAYS, WORKER_MEMORY, Beside, _that_pay
from timesync_xr.run.schedule import AT_ONCE, BLOCK, STRETCH, PartQueue, PlotQueue, with_neighbours


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


@given(st.lists(st.integers(1, 9)), st.lists(st.booleans(), min_size=1))
def test_every_batch_of_a_plot_is_made_once_whoever_asks(
    sizes: list[int], others: list[bool]
) -> None:
    """This process from the first on, others from the last."""
    ends = np.cumsum([0, *sizes]).tolist()
    parts = PartQueue(slice(start, stop) for start, stop in pairwise(ends))
    assert len(parts) == len(sizes)
    here, turns, first, last = iter(parts), cycle(others), 0, ends[-1]
    while len(parts):
        if next(turns):
            part = parts.next("")
            assert part is not None
            assert part[1] == last
            assert ends.index(part[1]) - ends.index(part[0]) <= AT_ONCE
            last = part[0]
        else:
            batch = next(here)
            assert batch.start == first
            first = batch.stop
    assert first == last
    assert parts.next("") is None
    assert next(here, None) is None


@pytest.mark.parametrize(
    ("plots", "parts", "each", "begins"),
    [
        (9, 0, 0.1, False),  # seconds of all that wait: 0.9
        (9, 0, 1.0, True),
        (0, 90, 0.05, False),  # 90 batches of a plot alone
        (0, 90, 0.1, True),
        (0, 0, 9.0, False),
    ],
)
def test_others_begin_as_soon_as_seconds_are_left_that_pay(
    plots: int, parts: int, each: float, begins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first observations of all, by which this process imports what it needs, do not count."""
    monkeypatch.setattr("dask.system.CPU_COUNT", 2)
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", 64e9)
    monkeypatch.setattr("timesync_xr.run.cluster.local_cluster", lambda _: nullcontext())
    monkeypatch.setattr("timesync_xr.run.cluster.work_through", lambda *_: iter(()))
    clock = [0.0]
    monkeypatch.setattr("timesync_xr.run.beside.monotonic", lambda: clock[0])
    told: list[str] = []
    queue, batches = queue_of(*[1] * plots), PartQueue([slice(n, n + 1) for n in range(parts + 2)])
    with Beside(queue, lambda *_, **_of: None, lambda _: None, told.append) as beside:
        if parts:
            beside.share(batches, lambda _: lambda: None)
        here = iter(batches)
        next(here)
        clock[0] += 100
        beside.advance(8)
        assert not told
        next(here)
        clock[0] += each
        beside.advance(8)
        assert bool(told) == begins


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
