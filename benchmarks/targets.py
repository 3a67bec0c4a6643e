"""The targets, each with what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from timesync_xr.raster.tiff import FIRST_READ

from .measure import Figures

ASSETS = 7
CORES = 2


@dataclass(frozen=True)
class Target:
    """A line of the table of targets."""

    what: str
    """What is measured."""
    target: str
    """What it should be."""
    measured: str
    """What it is."""
    met: bool | None
    """Whether it is met; None where it could not be measured."""


def at_most(what: str, limit: float, value: float | None, unit: str = "x") -> Target:
    """A target that is an upper limit."""
    if value is None:
        return Target(what, f"<= {limit:g} {unit}", "left out", None)
    return Target(what, f"<= {limit:g} {unit}", f"{value:.3g} {unit}", value <= limit)


def speed_targets(found: Mapping[str, Figures]) -> Iterator[Target]:
    """Targets that set one program against another."""

    def ratio(of: str, to: str, kind: str = "cpu") -> float | None:
        if of not in found or to not in found:
            return None
        return float(getattr(found[of], kind) / getattr(found[to], kind))

    yield at_most("whole job, local, cold: CPU / reference", 0.1, ratio("cold", "reference"))
    yield at_most(
        "whole job, 30 ms: wall / reference", 0.025, ratio("cold 30 ms", "reference 30 ms", "wall")
    )
    yield at_most("cube: CPU / odc-stac, CRS by its code", 0.2, ratio("cube", "odc-stac by code"))
    yield at_most("cube: CPU / odc-stac, CRS of the files", 0.2, ratio("cube", "odc-stac"))
    if "odc-stac" in found:
        least = found["floor"].others["decode"] / found["odc-stac"].cpu
        yield Target("  of which decoding alone takes", "", f"{least:.3g} x", None)
    yield at_most("cube: CPU / stackstac", 1 / 30, ratio("cube", "stackstac"))
    yield at_most("whole job, local, cold: CPU / floor", 1.5, ratio("cold", "floor"))
    yield at_most("whole job, local, headers known: CPU / floor", 1.5, ratio("known", "floor"))
    both = found["known 30 ms, 2 processes"]
    floor, link = found["floor"].cpu, both.others["server"]
    fetching = found["fetching alone 30 ms"].cpu
    for what, limit in (("floor", floor), ("floor, fetching, server", floor + fetching + link)):
        wall = both.wall / (limit / CORES)
        yield at_most(f"whole job, 30 ms, 2 processes: wall / {what}", 1.5, wall)


def request_targets(found: Mapping[str, Figures]) -> Iterator[Target]:
    """Targets that count requests; they hold on every machine."""
    cold, known = found["cold 30 ms"], found["known 30 ms"]
    for kind, of in (("SR", False), ("QA", True)):
        yield at_most(f"requests per {kind} asset, cold", 3, _most_per_asset(cold, of), "")
        yield at_most(
            f"requests per {kind} asset, headers known", 2, _most_per_asset(known, of), ""
        )
    yield at_most("requests that are not GET", 0, _not_get(cold) + _not_get(known), "")
    yield at_most("second plot in a tile: header requests", 0, _headers(known), "")
    needed = found["floor"].others["bytes"] + ASSETS * FIRST_READ
    yield at_most("bytes / (blocks + headers)", 1.1, cold.bytes / needed)
    fill = found["fill 30 ms"]
    blocks = len(fill.requests) - _headers(fill)
    yield at_most("fill at the plot: requests but for headers", 1, blocks / fill.observations, "")
    assets = len({path for _, path, _, _ in fill.requests})
    yield at_most("fill at the plot: assets per observation", 1, assets / fill.observations, "")
    yield at_most("neighbour plots: ranges fetched twice", 0, _twice(found["neighbours 30 ms"]), "")


def choice_targets(found: Mapping[str, Figures]) -> Iterator[Target]:
    """Targets of runs that make less than all, against a full run."""
    for what, alone, full in (
        ("cold", "spectra 30 ms", "cold 30 ms"),
        ("headers known", "spectra known 30 ms", "known 30 ms"),
    ):
        requests, size, cpu = (
            figure(found[alone]) / figure(found[full])
            for figure in (_requests, lambda f: f.bytes, lambda f: f.cpu)
        )
        yield at_most(f"spectra alone / full, {what}: requests", 1 / 2, requests)
        yield at_most(f"spectra alone / full, {what}: bytes", 1 / 3.5, size)
        yield at_most(f"spectra alone / full, {what}: CPU", 1 / 5, cpu)
    for what, alone, full in (
        ("cold", "spectra", "cold"),
        ("headers known", "spectra known", "known"),
    ):
        cpu = found[alone].cpu / found[full].cpu
        yield at_most(f"spectra alone / full, local, {what}: CPU", 1 / 5, cpu)


def _requests(figures: Figures) -> float:
    return len(figures.requests) / figures.observations


def _most_per_asset(figures: Figures, qa: bool) -> int:
    """Most requests for one asset, of QA_PIXEL or of the others."""
    counts = Counter(path for _, path, _, _ in figures.requests)
    return max(count for path, count in counts.items() if path.endswith("QA_PIXEL.TIF") == qa)


def _not_get(figures: Figures) -> int:
    return sum(method != "GET" for method, *_ in figures.requests)


def _headers(figures: Figures) -> int:
    return sum(start == 0 for _, _, start, _ in figures.requests)


def _twice(figures: Figures) -> int:
    """Requests that ask for bytes asked for before."""
    seen: dict[str, list[tuple[int, int]]] = {}
    double = 0
    for _, path, start, stop in figures.requests:
        of_path = seen.setdefault(path, [])
        double += any(
            start < other_stop and other_start < stop for other_start, other_stop in of_path
        )
        of_path.append((start, stop))
    return double


def scale_targets(found: Mapping[str, Figures], few: int, some: int, many: int) -> Iterator[Target]:
    """Targets about long series."""
    graph = found["graph"].others
    yield at_most("chips_for_plot of 1,500 items", 1, graph["seconds"], "s")
    yield at_most("its graph", 500, graph["keys"], "keys")
    yield at_most("files that it opens", 0, graph["files"], "")
    short, middle, long = found["cold"], *(found[f"{count} observations"] for count in (some, many))
    yield at_most(f"peak memory, {some} observations", 1000, middle.memory, "MB")
    yield at_most(f"peak memory, {many} observations", 1000, long.memory, "MB")
    yield at_most(f"peak memory, {many} / {some}", 1.1, long.memory / middle.memory)
    yield at_most(f"CPU per observation, {many} / {few}", 1.1, long.cpu / short.cpu)
