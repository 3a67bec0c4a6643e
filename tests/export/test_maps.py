"""Outlines of chips in longitude and latitude, held against Albers itself."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import sys
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from timesync_xr import chip_outlines, export_project
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError
from timesync_xr.export.maps import write_geopackage
from timesync_xr.grid import REGIONS

Ring = npt.NDArray[np.float64]
KML = "{http://www.opengis.net/kml/2.2}"


def to_metres(region: str, ring: Ring) -> Ring:
    transformer = Transformer.from_crs("EPSG:4326", REGIONS[region].crs, always_xy=True)
    return np.column_stack(transformer.transform(ring[:, 0], ring[:, 1]))


def one(x: float, y: float, region: str = "CU", size: tuple[int, int] = (255, 255)) -> pd.Series:
    table = pd.DataFrame({"project_id": ["1"], "plot_id": ["7"], "x": [x], "y": [y]})
    return chip_outlines(table, region, size).iloc[0]


def test_a_chip_worked_by_hand() -> None:
    """The plot's centre is in the middle of 255 pixels of 30 m: 127.5 x 30 = 3825 m each way."""
    row = one(-2061000, 1920000)
    metres = to_metres("CU", row["outline"])
    corners = [(-3825, -3825), (3825, -3825), (3825, 3825), (-3825, 3825)]
    for dx, dy in corners:
        distance = np.hypot(*(metres - (-2061000 + dx, 1920000 + dy)).T)
        assert distance.min() < 1e-4
    assert (
        np.hypot(*(to_metres("CU", np.array([[row["lon"], row["lat"]]])) - (-2061000, 1920000))[0])
        < 1e-4
    )
    assert len(row["outline"]) == 4 * 16 + 1


def test_an_even_chip_reaches_one_pixel_further_west_and_north() -> None:
    metres = to_metres("CU", one(0, 1500000, size=(2, 4))["outline"])
    assert metres.min(axis=0) == pytest.approx([-45, 1500000 - 45], abs=1e-3)
    assert metres.max(axis=0) == pytest.approx([15, 1500000 + 75], abs=1e-3)


PLACES = st.sampled_from(sorted(REGIONS)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.integers(0, REGIONS[name].tiles_across * 5000 - 1),
        st.integers(0, REGIONS[name].tiles_down * 5000 - 1),
    )
)


@given(PLACES, st.tuples(st.integers(1, 600), st.integers(1, 600)))
@pytest.mark.deep
def test_outline_is_closed_counter_clockwise_and_within_2_cm(
    place: tuple[str, int, int], size: tuple[int, int]
) -> None:
    name, col, row = place
    ring = one(*REGIONS[name].center(col, row), name, size)["outline"]
    assert (ring[0] == ring[-1]).all()
    x, y = ring.T
    assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0
    assert np.ptp(x) < 10
    between = (ring[:-1] + ring[1:]) / 2
    metres = to_metres(name, between)
    low, high = to_metres(name, ring).min(axis=0), to_metres(name, ring).max(axis=0)
    beside = np.minimum(np.abs(metres - low), np.abs(metres - high)).min(axis=1)
    assert beside.max() < 0.02


def test_an_outline_goes_on_across_180_degrees() -> None:
    transformer = Transformer.from_crs("EPSG:4326", REGIONS["AK"].crs, always_xy=True)
    row = one(*transformer.transform(180, 52), "AK")
    assert np.ptp(row["outline"][:, 0]) < 0.2
    assert abs(abs(row["lon"]) - 180) < 0.001


def test_all_columns_and_rows_stay() -> None:
    plots = pd.DataFrame({"x": [0.0, 30.0], "y": 1500000.0, "Strata": ["a", "b"]}, index=[4, 2])
    made = chip_outlines(plots)
    assert made.index.tolist() == [4, 2]
    assert made["Strata"].tolist() == ["a", "b"]
    assert chip_outlines(plots.head(0)).empty


def wkb_ring(blob: bytes) -> tuple[int, Ring]:
    """SRS and ring of a polygon in GeoPackage binary (OGC 12-128r18, 2.1.3)."""
    magic, _, flags, srs = struct.unpack_from("<2sBBi", blob)
    assert magic == b"GP"
    envelope = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}[flags >> 1 & 7]
    order, kind, rings, count = struct.unpack_from("<BIII", blob, 8 + envelope)
    assert (order, kind, rings) == (1, 3, 1)
    return srs, np.frombuffer(blob, "<f8", 2 * count, 8 + envelope + 13).reshape(-1, 2)


@pytest.mark.deep
def test_geopackage_holds_plots_and_chips(golden_projects: dict[str, Path], tmp_path: Path) -> None:
    made = export_project(golden_projects["mosaic"], "gpkg", tmp_path)
    assert made.count == 6
    with closing(sqlite3.connect(made.path)) as database:
        assert database.execute("PRAGMA application_id").fetchone() == (0x47504B47,)
        layers = "SELECT table_name, geometry_type_name, srs_id FROM gpkg_geometry_columns"
        assert sorted(database.execute(layers).fetchall()) == [
            ("chips", "POLYGON", 4326),
            ("pixels", "POLYGON", 4326),
            ("plots", "POINT", 4326),
            ("windows", "POLYGON", 4326),
        ]
        for layer, size in (("pixels", 1), ("windows", 3)):
            for x, y, blob in database.execute(f"SELECT x, y, geom FROM {layer}"):
                square = to_metres("CU", wkb_ring(blob)[1])
                half = size * 15
                assert square.min(axis=0) == pytest.approx([x - half, y - half], abs=1e-3)
                assert square.max(axis=0) == pytest.approx([x + half, y + half], abs=1e-3)
        rows = database.execute("SELECT plot_id, x, y, status, written, geom FROM chips").fetchall()
        points = database.execute("SELECT plot_id FROM plots").fetchall()
    assert [row[0] for row in rows] == [p for (p,) in points] == [str(n) for n in range(100, 106)]
    assert {row[3] for row in rows} == {"complete"}
    for _, x, y, _, _, blob in rows:
        srs, ring = wkb_ring(blob)
        assert srs == 4326
        assert (ring == one(x, y)["outline"]).all()


@pytest.mark.deep
def test_kml_holds_a_placemark_for_each_plot(
    golden_projects: dict[str, Path], tmp_path: Path
) -> None:
    made = export_project(golden_projects["real"], "kml", tmp_path)
    placemarks = list(ET.parse(made.path).iter(f"{KML}Placemark"))
    assert [mark.findtext(f"{KML}name") for mark in placemarks] == ["1", "2", "3", "4"]
    for mark in placemarks:
        data = {d.get("name"): d.findtext(f"{KML}value") for d in mark.iter(f"{KML}Data")}
        row = one(float(data["x"] or 0), float(data["y"] or 0))
        listed = [float(data[f"{name}_listed"] or 0) for name in ("lon", "lat", "x", "y")]
        assert to_metres("CU", np.array([listed[:2]]))[0] == pytest.approx(listed[2:], abs=1e-3)
        point, ring, window, pixel = [
            np.array([pair.split(",") for pair in (text.text or "").split()], dtype=float)
            for text in mark.iter(f"{KML}coordinates")
        ]
        assert np.abs(point - [[row["lon"], row["lat"]]]).max() < 1e-9
        assert np.abs(ring - row["outline"]).max() < 1e-9
        for square, size in ((window, 3), (pixel, 1)):
            expected = chip_outlines(pd.DataFrame({"x": [row["x"]], "y": row["y"]}), "CU", size)
            assert np.abs(square - expected["outline"].iloc[0]).max() < 1e-9
        metres = Geod(ellps="WGS84").inv(*point[0], *ring[0])[2]
        assert metres == pytest.approx(np.hypot(3825, 3825), rel=0.02)


def test_kml_escapes_what_ids_may_hold(tmp_path: Path) -> None:
    from timesync_xr.export.maps import write_kml

    plots = pd.DataFrame({"plot_id": ["a & b'ç"], "x": [0.0], "y": [1500000.0]})
    write_kml({"chips": chip_outlines(plots)}, tmp_path / "plots.kml")
    assert ET.parse(tmp_path / "plots.kml").findtext(f".//{KML}name") == "a & b'ç"


def test_without_pyogrio_the_remedy_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    outlines = chip_outlines(pd.DataFrame({"plot_id": ["7"], "x": [0.0], "y": [1500000.0]}))
    with pytest.raises(InputError, match="pip install pyogrio"):
        write_geopackage({"chips": outlines}, tmp_path / "plots.gpkg")


@pytest.mark.deep
def test_command(golden_projects: dict[str, Path], tmp_path: Path) -> None:
    for form in ("gpkg", "kml"):
        arguments = ["export", str(golden_projects["real"]), "--format", form]
        result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path)])
        assert (result.exit_code, result.stdout) == (0, f"4 plots: {tmp_path}/plots.{form}\n")


def test_plots_lead_to_their_page_and_sheet(
    golden_projects: dict[str, Path], tmp_path: Path
) -> None:
    project = tmp_path / "a project"
    shutil.copytree(golden_projects["real"], project)
    (project / "browse").mkdir()
    (project / "browse/plot.html").write_text("a page")
    (project / "sheets").mkdir()
    ids = pd.read_csv(project / "ledger/plots.csv", dtype=str)["project_id"].unique().tolist()
    (project / f"sheets/prj_{ids[0]}_plot_2.png").write_text("a sheet")
    made = export_project(project, "gpkg", tmp_path)
    with closing(sqlite3.connect(made.path)) as database:
        rows = database.execute("SELECT plot_id, page, sheet FROM plots").fetchall()
    for plot_id, page, sheet in rows:
        address = urlsplit(page)
        assert Path(unquote(address.path)).read_text() == "a page"
        assert parse_qs(address.fragment) == {"project": ids, "plot": [plot_id]}
        if plot_id == "2":
            assert Path(unquote(urlsplit(sheet).path)).read_text() == "a sheet"
        else:
            assert sheet == ""
