"""What an archive is: its collection, grids, bands and numbers, and how its items are found.

A `Source` is a record of data and a few functions. All that the rest of the package knows of an
archive it knows from here; `timesync_xr.catalog.ard` is the first one,
`timesync_xr.catalog.scenes` has those of the whole Earth.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from ..errors import InputError, did_you_mean
from ..grid import NEAR, ChipGrid, Lattice, get_grid
from ..landsat import BANDS, COLLECTION1_FILL, COLLECTION1_SCALE, FILL, OFFSET, SCALE
from ..storage.access import without_secrets

Place = str
"""Where an item lies in its archive, as TimeSync's table has it (``hv``): ARD's tile "0304", path
and row of a scene "047027". Also what is searched at once: that tile, or a cell of scenes."""

Box = tuple[float, float, float, float]
"""West, south, east and north in degrees."""


@dataclass(frozen=True)
class Identity:
    """What an item says of itself, in the words of its archive; empty where it does not say."""

    grid: str
    """Name of the grid, one of `Source.grids`."""
    place: Place
    """Where it lies."""
    processed: str
    """Day of processing, such as "20230914": of two items of one scene the later one is read."""


Item = Mapping[str, Any]
"""A STAC item as parsed from JSON. It is not trusted: anything may be missing or of any type."""


def _no_place(_item_id: str) -> Place:
    return ""


def _as_it_is(item: Item) -> Item:
    return item


@dataclass(frozen=True, eq=False, repr=False)
class Source:
    """An archive of one collection."""

    name: str
    """Its name for users."""
    title: str
    """What its numbers are, for the attributes of cubes."""
    collection: str
    """Its collection in STAC. Projects keep it: two collections never share a project."""
    grids: Mapping[str, Lattice]
    """The grids of its files, on which its plots lie, by name. Plots of scenes may lie on any."""
    places: Callable[[ChipGrid], tuple[Place, ...]]
    """Where the items of a chip may lie, the plot's own place first. Each is searched once."""
    question: Callable[[Lattice, Place], Mapping[str, Any]]
    """The ``query`` that finds the items of a place of a grid in a STAC API."""
    identify: Callable[[Item], Identity]
    """What an item says of itself."""
    fault: Callable[[Item, Mapping[str, Any], Lattice], str]
    """Why an item must not be read, by its row of the table of items; "" for a good one."""
    boxes: Callable[[Place], tuple[Box, ...]] | None = None
    """Where the items of a place are searched, where that is a cell of scenes; None for tiles,
    which ``question`` finds."""
    normal: Callable[[Item], Item] = _as_it_is
    """An item in the one form that the functions above know."""
    usual_grid: str = ""
    """The grid of plots where none is named; by default the first one."""
    place_by_id: Callable[[str], Place] = _no_place
    """The place that an item's id tells, which goes before what the item claims; "" for none."""
    title_of_place: Callable[[Place], str] = str
    """A place for messages and file names: ARD's "h03v04"."""
    assets: Mapping[str, str] = field(default_factory=lambda: {band: band for band in BANDS})
    """Key of the asset of each band of `timesync_xr.BANDS`."""
    scale: float = SCALE
    """Surface reflectance per number of its files."""
    offset: float = OFFSET
    """Surface reflectance at number 0."""
    fill: int = FILL
    """Number of surface reflectance where there is no data."""
    quality: npt.NDArray[np.uint16] | None = None
    """QA_PIXEL of each of the 65,536 values of its quality band; None where that is QA_PIXEL."""
    requester_pays: bool = False
    """Whether its bucket gives files only to those who pay for the request."""
    files: str = ""
    """Where its files are read: the address that all of them lie below."""
    copies: tuple[tuple[str, str], ...] = ()
    """Pairs (OLD, NEW): its addresses below OLD are read below NEW, if no mirror says otherwise."""
    terms: str = ""
    """Under which terms it may be used."""
    cost: str = ""
    """What reading it costs, in words."""
    at_a_time: int = 64
    """Requests of a process at the same time: more where files lie far from most who read them."""
    gaps: str = ""
    """What it is known to lack, in words."""

    @property
    def has_scenes(self) -> bool:
        """Whether its items are scenes, which lie in any zone and overlap; else tiles."""
        return self.boxes is not None

    @property
    def first_grid(self) -> str:
        """The grid of plots where none is named."""
        return self.usual_grid or next(iter(self.grids))

    @cached_property
    def numbers(self) -> npt.NDArray[np.uint16] | None:
        """Collection 2 digital number of each of its numbers; None where they are such.

        All of the package knows Collection 2's numbers alone, so others are turned into these as
        they are read: into the one of the same reflectance where there is one, else into one that
        has the same value of the Collection 1 range, since all of -1999 to 16022 have one. What
        lies below the range is fill, what lies above is the highest.
        """
        if (self.scale, self.offset, self.fill) == (SCALE, OFFSET, FILL):
            return None
        every = np.arange(2**16)
        reflectance = every * self.scale + self.offset
        own = np.trunc(np.round(reflectance * COLLECTION1_SCALE, 6))
        known = np.trunc((every * SCALE + OFFSET) * COLLECTION1_SCALE)
        exact = ((reflectance - OFFSET) / SCALE).clip(0, every[-1])
        is_one = np.abs(exact - np.rint(exact)) <= NEAR
        alike = np.searchsorted(known, own.clip(max=known[-1]))
        table: npt.NDArray[np.uint16] = np.where(is_one, np.rint(exact), alike).astype(np.uint16)
        table[own <= COLLECTION1_FILL] = FILL
        table[self.fill] = FILL
        return table

    def __repr__(self) -> str:
        return f"Source({self.name!r})"

    def grid(self, name: str | Lattice) -> Lattice:
        """The grid of this name; `InputError` names the choices for any other."""
        if isinstance(name, Lattice):
            return name
        if self.has_scenes:
            return get_grid(name)
        try:
            return self.grids[name]
        except (KeyError, TypeError):
            raise InputError(
                f"there is no region {name!r}{did_you_mean(name, self.grids)}: choose one of "
                f"{', '.join(self.grids)}"
            ) from None


# What the functions of a source need to read items, which may hold anything


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def numbers(value: object) -> TypeGuard[Sequence[float]]:
    """Whether a value is a list of numbers (True and False are none)."""
    return isinstance(value, list | tuple) and all(
        isinstance(n, int | float) and not isinstance(n, bool) for n in value
    )


def shown(value: object) -> str:
    """A value for a message, shortened, without secrets."""
    return "(absent)" if value is None else reprlib.repr(without_secrets(value))


def crs_fault(properties: Mapping[str, Any], grid: Lattice, name: str) -> str:
    """Why an item's CRS is not the grid's, called ``name``; one that says nothing has it."""
    wkt, epsg, code = (properties.get(f"proj:{key}") for key in ("wkt2", "epsg", "code"))
    said = code if epsg is None else epsg
    projjson = properties.get("proj:projjson")
    for key, given in (("wkt2", wkt), ("projjson", projjson)):
        text = given if key == "wkt2" else _json_text(given)
        if given is not None and not _is_same_crs(text, grid.crs):
            told = shown(mapping(given).get("name", given))[:150]
            return f"proj:{key} is not {name.partition(',')[0]}: {told}"
    if wkt is not None or projjson is not None:
        return ""
    if said is None or _is_same_crs(f"EPSG:{said}" if isinstance(said, int) else said, grid.crs):
        return ""
    return f"the CRS {shown(said)} is not {name}"


def _json_text(value: object) -> str:
    """JSON of a value; empty for what is nested too deep or is none."""
    try:
        return json.dumps(value, sort_keys=True)
    except (ValueError, TypeError, RecursionError):
        return ""


def _is_same_crs(text: object, wkt: str) -> bool:
    """Whether something, which may be anything that JSON holds, is the text of another CRS."""
    return isinstance(text, str) and _are_same_crs(text, wkt)


@lru_cache(maxsize=256)
def _are_same_crs(text: str, wkt: str) -> bool:
    """Whether a CRS, as WKT or a code, is another; names and order of parameters may differ."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return bool(CRS(text) == CRS.from_wkt(wkt))
    except (CRSError, UnicodeError):
        return False
