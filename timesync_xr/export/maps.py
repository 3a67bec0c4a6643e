"""Where the chips lie, for maps: plots and chip outlines in longitude and latitude."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InputError
from ..grid import ChipGrid, ChipSize, Lattice, chip_shape, get_grid, transformer
from ..lists import expect_table

STEP = 16
"""Pixels between two vertices of an outline, at most. Edges are straight in Albers and bent in
longitude and latitude: at this step an outline is nowhere more than 2 cm beside the true one."""

_CRS = "EPSG:4326"


def chip_outlines(
    plots: pd.DataFrame, grid: str | Lattice = "CU", chip_size: ChipSize = (255, 255)
) -> pd.DataFrame:
    """Plots with the place and the outline of their chip in longitude and latitude (WGS 84).

    ``plots`` is a table of `read_plots` or `Project.plots`, or any with ``x, y`` in metres of the
    grid. The result has its columns and three more: ``lon, lat`` (float, degrees), the centre
    of the plot pixel, and ``outline``, a float64 array (vertices, 2) of the chip's outer edge: a
    closed ring of lon, lat, counter-clockwise from the lower left corner, its corners exact and a
    vertex at every `STEP` pixels or less. Across 180 degrees it goes on beyond it.

    Examples
    --------
    ::

        tx.chip_outlines(plots)[["plot_id", "outline"]]
    """
    grid = get_grid(grid)
    remedy = "give one of read_plots or Project.plots"
    expect_table(plots, ("x", "y"), remedy, numbers=("x", "y"))
    places = [grid.local(x, y) for x, y in zip(plots["x"], plots["y"], strict=True)]
    lattices = [lattice for lattice, _, _ in places]
    points = [lattice.center(*lattice.pixel(x, y)) for lattice, x, y in places]
    centers = np.array(points).reshape(-1, 2)
    lon, lat = np.empty((2, len(places)))
    outlines = np.empty(len(places), dtype=object)
    for lattice in dict.fromkeys(lattices):
        chosen = np.array([other == lattice for other in lattices])
        ring = _ring(ChipGrid(lattice, 0, 0, *chip_shape(chip_size))) - lattice.center(0, 0)
        middle = _to_degrees(lattice, centers[chosen])
        degrees = _to_degrees(lattice, centers[chosen][:, np.newaxis] + ring)
        beyond = degrees[..., 0] - middle[:, :1]
        degrees[..., 0] -= np.round(beyond / 360) * 360
        lon[chosen], lat[chosen] = middle.T
        for place, outline in zip(np.flatnonzero(chosen), degrees, strict=True):
            outlines[place] = outline
    return plots.assign(lon=lon, lat=lat, outline=pd.Series(outlines, index=plots.index))


def _ring(chip: ChipGrid) -> npt.NDArray[np.float64]:
    """The outer edge of a chip in metres, closed, counter-clockwise from the lower left."""
    left, bottom, right, top = chip.bounds
    across = np.linspace(left, right, -(-chip.width // STEP) + 1)
    up = np.linspace(bottom, top, -(-chip.height // STEP) + 1)
    x = [across[:-1], np.full(len(up) - 1, right), across[:0:-1], np.full(len(up), left)]
    y = [np.full(len(across) - 1, bottom), up[:-1], np.full(len(across) - 1, top), up[::-1]]
    return np.column_stack([np.concatenate(x), np.concatenate(y)])


def _to_degrees(grid: Lattice, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.stack(transformer(grid.crs, _CRS).transform(points[..., 0], points[..., 1]), axis=-1)


WINDOW: Final = 3
"""Pixels that the window around a plot is wide and high."""

Squares = Mapping[str, pd.DataFrame]
"""Tables of `chip_outlines` of the same plots, by the name of their layer."""


def plot_squares(plots: pd.DataFrame, grid: Lattice, chip_size: ChipSize) -> Squares:
    """The outlines of each plot's pixel, of the 3 x 3 pixels around it, and of its chip."""
    sizes = {"chips": chip_size, "windows": WINDOW, "pixels": 1}
    return {name: chip_outlines(plots, grid, size) for name, size in sizes.items()}


def write_geopackage(squares: Squares, path: Path) -> None:
    """Write outlines as a GeoPackage: a layer for each, and the points of the plots as ``plots``.

    Needs pyogrio; all other columns become attributes of each layer.
    """
    first = next(iter(squares.values()))
    points = [wkb_point(*place) for place in zip(first["lon"], first["lat"], strict=True)]
    layers: dict[str, tuple[str, pd.DataFrame, list[bytes]]] = {
        name: ("Polygon", _attributes(table), [_wkb_polygon(ring) for ring in table["outline"]])
        for name, table in squares.items()
    }
    write_layers(path, {"plots": ("Point", _attributes(first), points), **layers})


def write_layers(path: Path, layers: Mapping[str, tuple[str, pd.DataFrame, list[bytes]]]) -> None:
    """Write a new GeoPackage: of each layer the type, the attributes and the shapes (WKB, WGS 84).

    `InputError` where pyogrio is not installed.
    """
    try:
        from pyogrio import write_arrow
    except ImportError:
        raise InputError(
            "a GeoPackage is written by pyogrio, which is not installed: pip install pyogrio, or "
            "take another --format"
        ) from None
    import pyarrow as pa

    for layer, (kind, attributes, shapes) in layers.items():
        table = pa.Table.from_pandas(attributes, preserve_index=False)
        write_arrow(
            table.append_column("geom", pa.array(shapes, pa.binary())),
            path,
            layer=layer,
            driver="GPKG",
            dataset_options={"VERSION": "1.2"},  # later ones make older GDAL and QGIS complain
            geometry_name="geom",
            geometry_type=kind,
            crs=_CRS,
            append=path.exists(),
        )


def _attributes(outlines: pd.DataFrame) -> pd.DataFrame:
    table = outlines.drop(columns=["lon", "lat", "outline"])
    text = table.select_dtypes(["object", "string"]).columns
    return table.astype(dict.fromkeys(text, "string"))


def wkb_point(lon: float, lat: float) -> bytes:
    """A point as well-known binary (OGC 06-103r4, little-endian)."""
    return struct.pack("<BIdd", 1, 1, lon, lat)


def _wkb_polygon(ring: npt.NDArray[np.float64]) -> bytes:
    """A polygon of one ring as well-known binary (OGC 06-103r4, little-endian)."""
    return struct.pack("<BIII", 1, 3, 1, len(ring)) + ring.astype("<f8").tobytes()


def write_kml(squares: Squares, path: Path) -> None:
    """Write outlines as KML: a placemark per plot, with its point and its outlines.

    A placemark is named by the plot's id; all other columns are its extended data. Coordinates have
    9 decimals, 0.1 mm. Source: OGC KML 2.3.
    """
    outlines = next(iter(squares.values()))
    rings = zip(*(table["outline"] for table in squares.values()), strict=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<kml xmlns="http://www.opengis.net/kml/2.2">\n<Document>\n<Style id="chip">'
            "<LineStyle><color>ff00ffff</color><width>2</width></LineStyle>"
            "<PolyStyle><fill>0</fill></PolyStyle></Style>\n"
        )
        attributes = _attributes(outlines).to_dict("records")
        places = zip(outlines["lon"], outlines["lat"], rings, strict=True)
        for row, (lon, lat, around) in zip(attributes, places, strict=True):
            data = "".join(
                f"<Data name={quoteattr(str(name))}><value>{escape(str(value))}</value></Data>"
                for name, value in row.items()
            )
            polygons = "".join(map(_kml_polygon, around))
            file.write(
                f"<Placemark><name>{escape(str(row['plot_id']))}</name><styleUrl>#chip</styleUrl>"
                f"<ExtendedData>{data}</ExtendedData><MultiGeometry>"
                f"<Point><coordinates>{lon:.9f},{lat:.9f}</coordinates></Point>"
                f"{polygons}</MultiGeometry></Placemark>\n"
            )
        file.write("</Document>\n</kml>\n")


def _kml_polygon(ring: npt.NDArray[np.float64]) -> str:
    vertices = " ".join(f"{lon:.9f},{lat:.9f}" for lon, lat in ring)
    return (
        "<Polygon><tessellate>1</tessellate><outerBoundaryIs><LinearRing>"
        f"<coordinates>{vertices}</coordinates></LinearRing></outerBoundaryIs></Polygon>"
    )
