"""Landsat Collection 2 U.S. Analysis Ready Data, as USGS keeps it: tiles of three Albers grids."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ..grid import REGIONS, ChipGrid, Lattice, Region, Tile, tile_name, tiles_of
from ..landsat import PIXEL, TILE_SIZE
from .sources import Identity, Item, Place, Source, crs_fault, mapping, numbers, shown

_ID = re.compile(r"[A-Z]{2}\d\d_([A-Z]{2})_(\d{3})(\d{3})_\d{8}_(\d{8})_\d\d.*", re.ASCII)
"""Id of an item: region, h, v and day of processing."""


def tile_of(place: Place) -> Tile:
    """The tile (h, v) of a place; (-1, -1) for what is none."""
    return (int(place[:2]), int(place[2:])) if re.fullmatch("[0-9]{4}", place) else (-1, -1)


def _title(place: Place) -> str:
    return f"h{place[:2]}v{place[2:]}"


def _places(chip: ChipGrid) -> tuple[Place, ...]:
    return tuple(map(tile_name, tiles_of(chip)))


def _question(grid: Lattice, place: Place) -> Mapping[str, Any]:
    return {
        "landsat:grid_horizontal": {"eq": place[:2]},
        "landsat:grid_vertical": {"eq": place[2:]},
        "landsat:grid_region": {"eq": grid.name},
    }


def _identify(item: Item) -> Identity:
    """Region and tile by the properties, the day of processing by the id."""
    properties = mapping(item.get("properties"))
    region = properties.get("landsat:grid_region")
    h, v = (_number(properties.get(f"landsat:grid_{a}")) for a in ("horizontal", "vertical"))
    ard_id = _ID.fullmatch(str(item.get("id")))
    return Identity(
        region if isinstance(region, str) and region in REGIONS else "",
        tile_name((h, v)) if 0 <= h < 100 and 0 <= v < 100 else "",
        ard_id[4] if ard_id else "",
    )


def _number(value: object) -> int:
    """A whole number of up to three digits; -1 for what is none."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if re.fullmatch("[0-9]{1,3}", text) else -1


def _fault(item: Item, row: Mapping[str, Any], grid: Lattice) -> str:
    """Why an item is of no tile of the region, or does not lie on it; "" for a good one."""
    assert isinstance(grid, Region)  # noqa: S101 - see `ARD`
    properties = mapping(item.get("properties"))
    return (
        _tile_fault(properties, row, grid)
        or _grid_fault(properties, row, grid)
        or crs_fault(properties, grid, f"the Albers of {grid.name} on WGS 84, which has no code")
    )


def _tile_fault(properties: Mapping[str, Any], row: Mapping[str, Any], region: Region) -> str:
    if not row["grid"]:
        return f"landsat:grid_region {shown(properties.get('landsat:grid_region'))} is no region"
    tile = tile_of(row["place"])
    if not region.has_tile(tile):
        h, v = (shown(properties.get(f"landsat:grid_{a}")) for a in ("horizontal", "vertical"))
        return f"landsat:grid_horizontal {h} and grid_vertical {v} are no tile of {region.name}"
    ard_id = _ID.fullmatch(row["item_id"])
    if ard_id and (ard_id[1], int(ard_id[2]), int(ard_id[3])) != (region.name, *tile):
        return f"the id names another tile than its properties, {_title(row['place'])}"
    return ""


def _grid_fault(properties: Mapping[str, Any], row: Mapping[str, Any], region: Region) -> str:
    shape, transform = properties.get("proj:shape"), properties.get("proj:transform")
    if not numbers(shape) or list(shape) != [TILE_SIZE, TILE_SIZE]:
        return f"proj:shape {shown(shape)} is not [{TILE_SIZE}, {TILE_SIZE}]"
    left, top = region.corner(tile_of(row["place"]))
    if (row["width"], row["left"], row["top"]) != (TILE_SIZE, left, top):
        return f"proj:transform {shown(transform)} is not [{PIXEL}, 0, {left}, 0, -{PIXEL}, {top}]"
    return ""


def place_by_id(item_id: str) -> Place:
    """The place that an id tells; "" where it tells none. Ids go before what items claim."""
    ard_id = _ID.fullmatch(item_id)
    return tile_name((int(ard_id[2]), int(ard_id[3]))) if ard_id else ""


ARD: Final = Source(
    name="ard",
    title="Landsat Collection 2 U.S. ARD",
    collection="landsat-c2ard-sr",
    grids=REGIONS,
    places=_places,
    question=_question,
    identify=_identify,
    fault=_fault,
    place_by_id=place_by_id,
    title_of_place=_title,
    requester_pays=True,
    files="s3://usgs-landsat-ard",
    terms="public domain (USGS)",
    cost="the requester pays for each request, and for traffic out of AWS",
)
"""Landsat Collection 2 U.S. ARD surface reflectance, as USGS names it."""
