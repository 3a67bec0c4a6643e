"""Pixels of a plan: read at once, or as a lazy array of which a selection reads what it holds."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from xarray.backends import BackendArray
from xarray.core import indexing

from ..errors import ReadError, ReadWarning
from ..grid import ChipGrid, Lattice
from ..landsat import BANDS, FILL, PIXEL, QA_BAND, QA_FILL
from ..raster.footing import Footing
from ..raster.reader import Asset, Reading, begin_read
from ..raster.tiff import UInt16Array
from .plan import Plan, Record, merge_records

BATCH: Final = 24
"""Observations that are read together, if of all bands; of fewer bands more."""

AHEAD: Final = 2
"""Batches that are fetched while one is worked on."""

Errors = Literal["raise", "skip"]
"""What an asset that can't be read is: an error, or fill and a `ReadWarning`."""


@dataclass(frozen=True)
class Look:
    """Which pixels of each observation are read."""

    lattice: Lattice
    """Grid of the pixels."""
    bands: tuple[str, ...]
    """Bands, in the order in which they are given."""
    corner: tuple[int, int]
    """Upper left corner (x, y) in metres."""
    size: tuple[int, int]
    """Width and height in pixels."""

    @classmethod
    def at_chip(cls, grid: ChipGrid, bands: tuple[str, ...] = BANDS) -> Look:
        """All pixels of a chip."""
        left, _, _, top = grid.bounds
        return cls(grid.lattice, bands, (left, top), (grid.width, grid.height))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(band, y, x) of an observation."""
        return len(self.bands), self.size[1], self.size[0]

    def empty(self, count: int) -> UInt16Array:
        """That many observations (observation, band, y, x) in which there is no data."""
        pixels = np.empty((count, *self.shape), np.uint16)
        for n, band in enumerate(self.bands):
            pixels[:, n] = QA_FILL if band == QA_BAND else FILL
        return pixels

    def is_within(self, record: Record) -> bool:
        """Whether the files of a record hold all of the pixels, or reading them puts fill."""
        footing = self.footing(record)
        inside = footing.inside(record["width"], record["height"])
        return inside is not None and (footing.turned is not None or inside == footing.window)

    def footing(self, record: Record) -> Footing:
        """Where the pixels lie in the files of a record."""
        file = record["left"], record["top"]
        return Footing.of(self.lattice, self.corner, self.size, record["grid"], file)


_Put = Callable[[UInt16Array], None]
"""Puts the pixels that were begun to be read into an array (band, y, x)."""


def begin_pixels(
    observations: Sequence[Sequence[Record]],
    look: Look,
    reading: Reading,
    *,
    later: Look | None = None,
    errors: Errors = "raise",
) -> Callable[[], UInt16Array]:
    """Begin to fetch what is remote; return the function that gives the pixels, to be called once.

    ``observations`` are the records of each, see `Plan.records_of_each`. The pixels are uint16
    (observation, band, y, x). An observation reads its own assets alone, and of
    each record the part that lies in its tile. ``later`` is what will be looked at in most of the
    observations, see `begin_read`. Raises `ReadError` or `AccessError` when the pixels are asked
    for; with ``errors="skip"`` an observation of which an asset can't be read is fill, and a
    `ReadWarning` names the asset and the cause.
    """
    begun = deque(_begin_observation(records, look, reading, later) for records in observations)

    def read() -> UInt16Array:
        pixels = np.empty((len(begun), *look.shape), np.uint16)
        for out in pixels:
            put = begun.popleft()  # what was fetched for it is not held any longer
            try:
                put(out)
            except ReadError as error:
                if errors == "raise":
                    raise
                out[...] = look.empty(1)[0]
                warnings.warn(f"skipped: {error}", ReadWarning, stacklevel=2)
        return pixels

    return read


def _begin_observation(
    records: Sequence[Record], look: Look, reading: Reading, later: Look | None
) -> _Put:
    """Begin to read an observation.

    Tiles do not overlap, so that a pixel lies in one record at most and nothing has to be merged.
    Scenes of one pass do.
    """
    if _overlap(records, look):
        return _begin_merge(records, look, reading)
    puts = [_begin_record(record, look, reading, later) for record in records]
    is_whole = any(look.is_within(record) for record in records)

    def put_all(out: UInt16Array) -> None:
        if not is_whole:
            out[...] = look.empty(1)[0]
        for put in puts:
            put(out)

    return put_all


def _begin_record(record: Record, look: Look, reading: Reading, later: Look | None = None) -> _Put:
    """Begin to read a record; pixels outside its tile are left as they are."""
    footing = look.footing(record)
    after = None if later is None else later.footing(record)
    puts = [begin_read(asset_of(record, band), footing, reading, after) for band in look.bands]

    def put_bands(out: UInt16Array) -> None:
        for put, pixels in zip(puts, out, strict=True):
            put(pixels)

    return put_bands


def asset_of(record: Record, band: str) -> Asset:
    """A band of a record."""
    place = record["left"], record["top"], record["width"], record["height"]
    grid = record["grid"] if record["grid"].startswith("EPSG:") else ""
    return Asset(record["item_id"], band, record[band], *place, grid)


def _overlap(records: Sequence[Record], look: Look) -> bool:
    """Whether any two records may hold the same pixel of those that are looked at."""
    held = []
    for record in records if len(records) > 1 else ():
        footing = look.footing(record)
        if footing.turned is not None:  # rows of a path always do
            return True
        inside = footing.inside(record["width"], record["height"])
        if inside is not None:
            col, row = inside.col - footing.window.col, inside.row - footing.window.row
            held.append((col, row, col + inside.width, row + inside.height))
    return any(
        a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
        for a, b in combinations(held, 2)
    )


def _begin_merge(records: Sequence[Record], look: Look, reading: Reading) -> _Put:
    """Begin to read records that overlap: all bands, since they decide which record wins."""
    whole = replace(look, bands=BANDS)
    puts = [_begin_record(record, whole, reading) for record in records]

    def put_merged(out: UInt16Array) -> None:
        images = whole.empty(len(records))
        for put, image in zip(puts, images, strict=True):
            put(image)
        (merged,) = merge_records(images, [0], BANDS.index(QA_BAND))
        out[...] = merged[[BANDS.index(band) for band in look.bands]]

    return put_merged


def read_pixels(
    observations: Sequence[Sequence[Record]], look: Look, reading: Reading, errors: Errors = "raise"
) -> UInt16Array:
    """As `begin_pixels`, read at once: in batches, of which the next ones are fetched meanwhile."""
    size, count = BATCH * len(BANDS) // len(look.bands), len(observations)
    if count <= size:
        return begin_pixels(observations, look, reading, errors=errors)()
    pixels = np.empty((count, *look.shape), np.uint16)
    for part, read in begin_ahead(
        [slice(start, start + size) for start in range(0, count, size)],
        lambda part: begin_pixels(observations[part], look, reading, errors=errors),
    ):
        pixels[part] = read()
    return pixels


_Begun = TypeVar("_Begun")


def begin_ahead(
    parts: Iterable[slice], begin: Callable[[slice], _Begun], ahead: int = AHEAD
) -> Iterator[tuple[slice, _Begun]]:
    """Each part with what ``begin`` gives of it, begun while ``ahead`` before it are worked on."""
    begun: deque[tuple[slice, _Begun]] = deque()
    for part in parts:
        begun.append((part, begin(part)))
        if len(begun) > ahead:
            yield begun.popleft()
    while begun:
        yield begun.popleft()


class PlanArray(BackendArray):
    """The pixels (observation, band, y, x) of a plan, uint16, for xarray to index lazily.

    What is read is the observations and bands of a selection, and the rows and columns between its
    first and its last ones. Pickles; raises as `begin_pixels` when it is read.
    """

    dtype = np.dtype(np.uint16)

    def __init__(self, plan: Plan, reading: Reading, errors: Errors) -> None:
        self._plan, self._reading, self._errors = plan, reading, errors
        self.shape = len(plan.observations), *Look.at_chip(plan.grid).shape

    @cached_property
    def _observations(self) -> list[list[Record]]:
        return self._plan.records_of_each()

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        if isinstance(key, indexing.VectorizedIndexer):
            outer = indexing.IndexingSupport.OUTER
            return indexing.explicit_indexing_adapter(key, self.shape, outer, self._read)
        return self._read(key.tuple)  # xarray itself fails on an empty slice that goes backwards

    def _read(self, key: tuple[Any, ...]) -> UInt16Array:
        """A selection by whole numbers, slices and one-dimensional arrays, one for each axis."""
        places = [np.arange(n)[k] for n, k in zip(self.shape, key, strict=True)]
        axes = [np.atleast_1d(place) for place in places]
        if all(axis.size for axis in axes):
            pixels = self._read_places(axes)
        else:
            pixels = np.empty([axis.size for axis in axes], self.dtype)
        part: UInt16Array = pixels[tuple(slice(None) if np.ndim(p) else 0 for p in places)]
        return part

    def _read_places(self, places: Sequence[npt.NDArray[np.intp]]) -> UInt16Array:
        """The pixels at these places of each axis."""
        times, bands = np.unique(places[0]), np.unique(places[1])
        (top, bottom), (left, right) = ((axis.min(), axis.max()) for axis in places[2:])
        corner = Look.at_chip(self._plan.grid).corner
        look = Look(
            self._plan.grid.lattice,
            tuple(BANDS[n] for n in bands),
            (corner[0] + int(left) * PIXEL, corner[1] - int(top) * PIXEL),
            (int(right - left) + 1, int(bottom - top) + 1),
        )
        wanted = [self._observations[n] for n in times]
        pixels = read_pixels(wanted, look, self._reading, self._errors)
        firsts = np.searchsorted(times, places[0]), np.searchsorted(bands, places[1])
        for axis, kept in enumerate([*firsts, places[2] - top, places[3] - left]):
            if not np.array_equal(kept, np.arange(pixels.shape[axis])):
                pixels = pixels.take(kept, axis)
        return pixels
