"""Where the chips lie, for maps: plots and chip outlines in longitude and latitude."""

from __future__ import annotations

import struct
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InputError
from ..grid import ChipGrid, ChipSize, Lattice, chip_shape, get_grid
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
    """
    grid = get_grid(grid)
    remedy = "give one of read_plots or Project.plots"
    expect_table(plots, ("x", "y"), remedy, numbers=("x", "y"))
    places = zip(plots["x"], plots["y"], strict=True)
    centers = np.array([grid.center(*grid.pixel(x, y)) for x, y in places]).reshape(-1, 2)
    ring = _ring(ChipGrid(grid, 0, 0, *chip_shape(chip_size))) - grid.center(0, 0)
    lon, lat = _to_degrees(grid, centers).T
    degrees = _to_degrees(grid, centers[:, np.newaxis] + ring)
    degrees[..., 0] -= np.round((degrees[..., 0] - lon[:, np.newaxis]) / 360) * 360
    outlines = pd.Series(list(degrees), index=plots.index, dtype=object)
    return plots.assign(lon=lon, lat=lat, outline=outlines)


def _ring(chip: ChipGrid) -> npt.NDArray[np.float64]:
    """The outer edge of a chip in metres, closed, counter-clockwise from the lower left."""
    left, bottom, right, top = chip.bounds
    across = np.linspace(left, right, -(-chip.width // STEP) + 1)
    up = np.linspace(bottom, top, -(-chip.height // STEP) + 1)
    x = [across[:-1], np.full(len(up) - 1, right), across[:0:-1], np.full(len(up), left)]
    y = [np.full(len(across) - 1, bottom), up[:-1], np.full(len(across) - 1, top), up[::-1]]
    return np.column_stack([np.concatenate(x), np.concatenate(y)])


def _to_degrees(grid: Lattice, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from pyproj import Transformer

    transformer = Transformer.from_crs(grid.crs, _CRS, always_xy=True)
    return np.stack(transformer.transform(points[..., 0], points[..., 1]), axis=-1)


def write_geopackage(outlines: pd.DataFrame, path: Path) -> None:
    """Write a table of `chip_outlines` as a GeoPackage with the layers ``plots`` and ``chips``.

    Needs pyogrio; all other columns become attributes of both layers.
    """
    try:
        from pyogrio import write_arrow
    except ImportError:
        raise InputError(
            "a GeoPackage is written by pyogrio, which is not installed: pip install "
            "'timesync-xr[gis]', or take --format kml"
        ) from None
    import pyarrow as pa

    table = pa.Table.from_pandas(_attributes(outlines), preserve_index=False)
    points = [_wkb_point(*place) for place in zip(outlines["lon"], outlines["lat"], strict=True)]
    rings = [_wkb_polygon(ring) for ring in outlines["outline"]]
    for layer, kind, shapes in (("plots", "Point", points), ("chips", "Polygon", rings)):
        write_arrow(
            table.append_column("geom", pa.array(shapes, pa.binary())),
            path,
            layer=layer,
            driver="GPKG",
            geometry_name="geom",
            geometry_type=kind,
            crs=_CRS,
            append=path.exists(),
        )


def _attributes(outlines: pd.DataFrame) -> pd.DataFrame:
    table = outlines.drop(columns=["lon", "lat", "outline"])
    text = table.select_dtypes(["object", "string"]).columns
    return table.astype(dict.fromkeys(text, "string"))


def _wkb_point(lon: float, lat: float) -> bytes:
    return struct.pack("<BIdd", 1, 1, lon, lat)


def _wkb_polygon(ring: npt.NDArray[np.float64]) -> bytes:
    """A polygon of one ring as well-known binary (OGC 06-103r4, little-endian)."""
    return struct.pack("<BIII", 1, 3, 1, len(ring)) + ring.astype("<f8").tobytes()


def write_kml(outlines: pd.DataFrame, path: Path) -> None:
    """Write a table of `chip_outlines` as KML: a placemark per plot, with its point and outline.

    A placemark is named by the plot's id; all other columns are its extended data. Coordinates have
    9 decimals, 0.1 mm. Source: OGC KML 2.3.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<kml xmlns="http://www.opengis.net/kml/2.2">\n<Document>\n<Style id="chip">'
            "<LineStyle><color>ff00ffff</color><width>2</width></LineStyle>"
            "<PolyStyle><fill>0</fill></PolyStyle></Style>\n"
        )
        attributes = _attributes(outlines).to_dict("records")
        places = outlines[["lon", "lat", "outline"]].itertuples(index=False)
        for row, (lon, lat, ring) in zip(attributes, places, strict=True):
            data = "".join(
                f'<Data name="{escape(str(name))}"><value>{escape(str(value))}</value></Data>'
                for name, value in row.items()
            )
            vertices = " ".join(f"{a:.9f},{b:.9f}" for a, b in ring)
            file.write(
                f"<Placemark><name>{escape(str(row['plot_id']))}</name><styleUrl>#chip</styleUrl>"
                f"<ExtendedData>{data}</ExtendedData><MultiGeometry>"
                f"<Point><coordinates>{lon:.9f},{lat:.9f}</coordinates></Point>"
                "<Polygon><tessellate>1</tessellate><outerBoundaryIs><LinearRing>"
                f"<coordinates>{vertices}</coordinates></LinearRing></outerBoundaryIs></Polygon>"
                "</MultiGeometry></Placemark>\n"
            )
        file.write("</Document>\n</kml>\n")
