from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyproj import Transformer

from tests.work import calls_of
from timesync_xr.errors import InputError, PlotListError
from timesync_xr.grid import DEGREES, REGIONS, get_grid, transformer
from timesync_xr.plots import Plot, id_problem, plot_from, read_plots

CU = REGIONS["CU"]
PROJ4 = {
    "CU": "+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +datum=WGS84",
    "AK": "+proj=aea +lat_1=55 +lat_2=65 +lat_0=50 +lon_0=-154 +datum=WGS84",
    "HI": "+proj=aea +lat_1=8 +lat_2=18 +lat_0=3 +lon_0=-157 +datum=WGS84",
}


Listed = Callable[[str | bytes], Path]


@pytest.fixture
def listed(tmp_path: Path) -> Listed:
    """Write a plot list and return its path."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "plots.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def problems_of(path: Path, region: str = "CU") -> tuple[str, ...]:
    with pytest.raises(PlotListError) as caught:
        read_plots(path, region)
    return caught.value.problems


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("10lines_PlotList.csv", 10),
        ("TxL2Test_PlotList.csv", 375),
        ("just100.csv", 99),
        ("lcnext_srs5000_final.csv", 5000),
    ],
)
def test_real_lists(shared: Path, name: str, count: int) -> None:
    path = shared / "real" / "timesync_plot_lists" / name
    plots = read_plots(path)
    expected = pd.read_csv(path)  # another parser; numbers, since all ids of these lists are
    assert len(plots) == count
    for column in ("project_id", "plot_id", "Strata"):
        assert plots[column].tolist() == expected[column].astype(str).tolist()
    np.testing.assert_array_equal(plots[["x_listed", "y_listed"]], expected[["x", "y"]])
    np.testing.assert_array_equal(plots[["x", "y"]], expected[["x", "y"]])  # all lie on the grid
    assert (plots["offset"] == 0).all()
    assert plots["line"].tolist() == list(range(2, count + 2))


def test_the_table(listed: Listed) -> None:
    plots = read_plots(
        listed("\ufeffNote, Plot_ID ,y,x,PROJECT_ID,\r\n a ,007,1814831.5,-1965611,Blue Ridge,\r\n")
    )
    assert list(plots.columns) == [
        *("project_id", "plot_id", "x", "y", "x_listed", "y_listed", "offset", "line"),
        "Note",
    ]
    row = plots.iloc[0]
    assert (row.project_id, row.plot_id, row.Note) == ("Blue Ridge", "007", "a")
    assert (row.x, row.y, row.x_listed, row.y_listed) == (-1965600, 1814820, -1965611, 1814831.5)
    assert row.offset == pytest.approx(math.hypot(11, 11.5))
    assert row.line == 2
    assert [str(t) for t in plots.dtypes] == ["object"] * 2 + ["float64"] * 5 + ["int64", "object"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_numbers_count_blank_lines_and_quoted_newlines(listed: Listed, newline: str) -> None:
    text = newline.join(
        ["", "project_id,plot_id,x,y,note", "", "p,1,0,1500000,a", ",,,,", '"p","2",30,1500000,"b']
    ) + newline.join(['"', "p,3,60,1500000,", ""]).replace('"', f'{newline}c"', 1)
    plots = read_plots(listed(text))
    assert plots["line"].tolist() == [4, 6, 8]
    assert plots["note"].tolist() == ["a", f"b{newline}c", ""]


@pytest.mark.parametrize("region", ["CU", "AK", "HI"])
def test_degrees_are_projected(listed: Listed, region: str) -> None:
    grid = REGIONS[region]
    x, y = grid.center(4321, 1234)
    to_degrees = Transformer.from_crs(PROJ4[region], "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(x + 3, y - 4)
    plots = read_plots(listed(f"LAT,LON,project_id,plot_id\n{lat!r},{lon!r},p,1"), region)
    assert tuple(plots[["x", "y"]].to_numpy()[0]) == (x, y)
    listed_at = tuple(plots[["x_listed", "y_listed"]].to_numpy()[0])
    assert listed_at == pytest.approx((x + 3, y - 4), abs=1e-6)
    assert plots.loc[0, "offset"] == pytest.approx(5, abs=1e-6)


def test_metres_win_over_degrees(listed: Listed) -> None:
    plots = read_plots(listed("project_id,plot_id,lon,lat,x,y\np,1,10,east,0,1500000"))
    assert tuple(plots[["x_listed", "y_listed"]].to_numpy()[0]) == (0, 1500000)
    assert tuple(plots[["lon", "lat"]].to_numpy()[0]) == ("10", "east")


inside = st.tuples(
    st.floats(CU.left, CU.left + 33 * 150_000 - 0.001),
    st.floats(CU.top - 22 * 150_000 + 0.001, CU.top),
)


@given(inside)
def test_the_pixel_holds_the_plot(point: tuple[float, float]) -> None:
    plot = plot_from(point, CU)
    assert abs(plot.x - point[0]) <= 15
    assert abs(plot.y - point[1]) <= 15
    assert (plot.x - CU.left - 15) % 30 == 0
    assert (CU.top - 15 - plot.y) % 30 == 0
    assert plot_from(plot, CU) == plot


def test_whatever_says_where_a_plot_is(listed: Listed) -> None:
    plots = read_plots(listed("project_id,plot_id,x,y\np,01,-1965611,1814831.5"))
    expected = Plot("p", "01", -1965600, 1814820)
    likes: list[Any] = [plots.iloc[0], next(plots.itertuples()), plots.iloc[0].to_dict(), expected]
    assert [plot_from(like, CU) for like in likes] == [expected] * 4
    bare = Plot("", "", -1965600, 1814820)
    points: list[Any] = [
        (-1965611, 1814831.5),
        [-1965611.0, 1814831],
        np.array([-1965611, 1814831.5]),
    ]
    assert [plot_from(point, CU) for point in points] == [bare] * 3


@pytest.mark.parametrize(
    ("plot", "message"),
    [
        (5, "is no plot"),
        ((1, 2, 3), "is no plot"),
        (("a", 1), "is no plot"),
        ({"x": 1}, "is no plot"),
        ((math.nan, 1), "lies nowhere"),
        ((math.inf, 1), "lies nowhere"),
        ((0, 0), "outside the CU grid"),
        (Plot("a/b", "1", 0, 1500000), "'/'"),
        (Plot("a", "", 0, 1500000), "is empty"),
    ],
)
def test_what_is_no_plot(plot: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_from(plot, CU)


def test_all_problems_are_told_with_their_lines(listed: Listed) -> None:
    path = listed(
        "project_id,plot_id,x,y\n"
        "p,1,0,1500000\n"
        "p,1,30,1500000\n"
        "q,1,0,1500000\n"
        "\n"
        "p,../x,0,1500000\n"
        "p,3,zero,1500000\n"
        "p,4,nan,inf\n"
        "p,5,0,0\n"
        ",6,0,1500000\n"
        "p,7,1,500,1500000\n"
        "Q,8,0,1500000\n"
        "q,a,0,1500000\n"
        "q,A,0,1500000\n"
    )
    problems = problems_of(path)
    expected = [
        ("line 3:", "plot '1' of project 'p' is already on line 2"),
        ("line 6:", "plot_id '../x' holds '/'"),
        ("line 7:", "x 'zero'"),
        ("line 8:", "x 'nan' and y 'inf'"),
        ("line 9:", "outside the CU grid"),
        ("line 10:", "project_id '' is empty"),
        ("line 11:", "outside the CU grid"),
        ("line 11:", "5 cells under 4 columns"),
        ("line 12:", "project_id 'Q' and 'q' (line 4) differ only in upper and lower case"),
        ("line 14:", "plot_id 'A' and 'a' (line 13) differ only in upper and lower case"),
    ]
    assert len(problems) == len(expected)
    for problem, (line, part) in zip(problems, expected, strict=True):
        assert problem.startswith(line)
        assert part in problem


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        (b"", 1, "no text"),
        (b"\n\n", 1, "no text"),
        (b"project_id,plot_id,x,y\n", 1, "the list holds no plots"),
        (b"plot_id;x;z\n1;2;3\n", 1, "no column project_id nor y or lat among plot_id, x, z"),
        (b"project_id,plot_id,lon,y\np,1,2,3\n", 1, "no pair of columns x, y or lon, lat"),
        (b"project_id,plot_id,x,y,X\np,1,2,3,4\n", 1, "column 'x' is there twice"),
        (b"project_id,plot_id,x,y\np,1,0,1500000\np,\xe9,0,1500000\n", 3, "not UTF-8 (byte 0xe9)"),
        (b'project_id,plot_id,x,y\np,1,0,1500000\np,"2,0,1500000\n', 3, "not CSV"),
        (b"PK\x03\x04\x14\x00", 1, "a workbook of a spreadsheet (.xlsx, .ods)"),
        ("project_id,plot_id,x,y\np,1,0,0\n".encode("utf-16"), 1, "text in UTF-16"),
        ("project_id,plot_id,x,y\np,1,0,0\n".encode("utf-16-le"), 1, "text in UTF-16"),
        ("project_id,plot_id,x,y\np,1,0,0\n".encode("utf-16-be"), 1, "text in UTF-16"),
        (b"project_id,plot_id,x,y\np,1.23E+11,0,1500000\n", 2, "a spreadsheet has shortened"),
        (b"project_id,plot_id,x,y\np,1,4.34E+05,1500000\n", 2, "has left out digits"),
        (b"project_id,plot_id,lon,lat\np,1,-1.2E+02,40\n", 2, "has left out digits"),
        (b"\x1f\x8b\x08\x00", 1, "a compressed file"),
        (b"<!DOCTYPE html><html>", 1, "a page of the web"),
        (b'[{"type": "Feature"}]', 1, "it is JSON"),
        (b"SQLite format 3\x00", 1, "a database"),
        (b"sep=;\nproject_id;plot_id;x;y\np;1;0,5;1500000\n", 3, "x '0,5': write finite"),
        (
            "project_id,plot_id,x,y\np,\xe9,0,1500000\np,e\u0301,30,1500000\n".encode(),
            3,
            r"'e\u0301' and '\xe9' (line 2) look the same but are other characters in Unicode",
        ),
    ],
)
def test_files_that_are_no_list(listed: Listed, text: Any, line: int, part: str) -> None:
    (problem,) = problems_of(listed(text))
    assert problem.startswith(f"line {line}:")
    assert part in problem


def test_a_missing_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_plots(tmp_path / "none.csv")
    with pytest.raises(InputError, match="can't be read"):
        read_plots(tmp_path)


@pytest.mark.parametrize(
    ("columns", "point", "hint"),
    [
        ("lon,lat", "37.2,-119.5", "lon and lat look swapped"),
        ("lon,lat", "-150,64", "it would lie in AK, so check the region"),
        ("x,y", "-119.5,37.2", "degrees belong in columns lon and lat"),
        ("x,y", "1500000,-2500000", "x and y look swapped"),
        ("lon,lat", "500,91", "check the coordinates"),
        ("lon,lat", "7°39',46", "write finite numbers like -111.25"),
        ("x,y", "1e300,-1e300", "check the coordinates"),
    ],
)
def test_hints_where_a_plot_lies_outside(
    listed: Listed, columns: str, point: str, hint: str
) -> None:
    (problem,) = problems_of(listed(f"project_id,plot_id,{columns}\np,1,{point}"))
    assert hint in problem


@pytest.mark.parametrize(
    ("point", "hint"),
    [
        ("10,-85", "poleward of that take a polar grid, such as EPSG:3031"),
        ("0,90", "poleward of that take a polar grid, such as EPSG:3413"),
        ("46.5,97.65", "lon and lat look swapped"),
        ("500,91", "check the coordinates"),
    ],
)
def test_where_utm_ends_a_polar_grid_is_named_that_takes_the_plot(
    listed: Listed, point: str, hint: str
) -> None:
    path = listed(f"project_id,plot_id,lon,lat\np,1,{point}")
    with pytest.raises(PlotListError) as told:
        read_plots(path, "utm")
    (problem,) = told.value.problems
    assert hint in problem
    if "EPSG" in hint:
        code = f"EPSG:{hint.partition('EPSG:')[2]}"
        lon, lat = map(float, point.split(","))
        x, y = transformer(DEGREES, code).transform(lon, lat)
        (place,) = read_plots(path, code)[["x", "y"]].to_numpy()
        assert np.abs(place - (x, y)).max() <= 15


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("project_id,plot_id,Longitude,LATITUDE", "; call Longitude lon, LATITUDE lat"),
        ("project_id,PlotID,lon,lat", "no column plot_id among .*; call PlotID plot_id$"),
        ("project_id,plot_id,east,north", "separated by commas$"),
        ("project_id,plot_id,lon,lat,long", "^$"),
    ],
)
def test_columns_of_other_names_are_told_what_to_be_called(
    listed: Listed, columns: str, told: str
) -> None:
    try:
        read_plots(listed(f"{columns}\np,1,-100,40,5"[: None if "long" in columns else -2]))
    except PlotListError as error:
        (problem,) = error.problems
        assert re.search(told, problem)
    else:
        assert told == "^$"


def test_hint_at_the_region(listed: Listed) -> None:
    (problem,) = problems_of(listed("project_id,plot_id,x,y\np,1,0,1000000"), "HI")
    assert "outside the HI grid" in problem
    assert "it would lie in CU or AK, so check the region" in problem


def test_the_edges_of_the_grid(listed: Listed) -> None:
    right, bottom = CU.corner((CU.tiles_across, CU.tiles_down))
    rows = [(CU.left, CU.top), (right - 0.01, bottom + 0.01), (right, CU.top), (CU.left, bottom)]
    text = "\n".join(f"p,{i},{x},{y}" for i, (x, y) in enumerate(rows))
    problems = problems_of(listed("project_id,plot_id,x,y\n" + text))
    assert [problem.split(":")[0] for problem in problems] == ["line 4", "line 5"]


@pytest.mark.parametrize("number", ["1_000", "0x10", "1,5", "\u0661", "", "1e999", "- 1", "1 0"])
def test_what_is_no_number(listed: Listed, number: str) -> None:
    (problem,) = problems_of(listed(f'project_id,plot_id,x,y\np,1,"{number}",1500000'))
    assert "finite number" in problem


@pytest.mark.parametrize(
    "text",
    [
        *("..", ".", ".a", "a.", " a", "a/b", "a\\b", "a\0b", "a\nb", "a\x7f", "C:", "a*"),
        *("CON", "nul.txt", "Aux .x", "com1", "LPT³.a", "prn"),
        *("é" * 51, "\u202e", "\ud800", '"', "<", "|", "?"),
    ],
)
def test_ids_that_can_not_name_files(text: Any) -> None:
    assert id_problem(text)


@given(st.text(max_size=120))
@example("Plot 7 (north)")
@example("Ångström-7_ü")
@example("=1+1")
def test_accepted_ids_stay_in_their_folder(text: Any) -> None:
    if not id_problem(text):
        path = Path(f"/out/prj_{text}/tc") / f"plot_{text}" / f"{text}_spectral_files_set_x.csv"
        assert path.parts == ("/", "out", f"prj_{text}", "tc", f"plot_{text}", path.name)
        assert len(path.name.encode()) < 255
        assert text.isprintable()


def test_ordinary_ids_are_accepted() -> None:
    ordinary = ["1", "007", "Plot 7 (north)", "Ångström-7_ü", "a.b", "=1+1", "é" * 50]
    ordinary += ["console", "con_1", "com", "com10", "nul1", "a.con", "lpt1x"]
    assert [id_problem(text) for text in ordinary] == [""] * 14


@given(st.binary(max_size=300) | st.text(alphabet='project_idlxy01234,".\n\r \0é', max_size=200))
def test_any_bytes_give_a_table_or_a_clean_error(
    tmp_path_factory: pytest.TempPathFactory, text: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    head = b"project_id,plot_id,x,y\n"
    path.write_bytes(text if isinstance(text, bytes) else head + text.encode())
    try:
        plots = read_plots(path)
    except InputError:
        return
    assert len(plots) > 0
    assert not plots.duplicated(["project_id", "plot_id"]).any()


@pytest.mark.deep
def test_the_work_grows_with_the_list_and_no_faster(listed: Listed) -> None:
    rows = [f"1211,{i},{-1965600 + 30 * (i % 999)},1814820,99" for i in range(9_000)]
    work = []
    for count in (3_000, 9_000):
        path = listed("\n".join(["project_id,plot_id,x,y,Strata", *rows[:count]]))
        assert len(read_plots(path)) == count
        work.append(calls_of(partial(read_plots, path)))
    assert work[1] < 3.2 * work[0]


PLAIN = "project_id,plot_id,x,y\n1001,01,434430,2414790\n1001,2,434310,2412930\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (PLAIN.replace("0\n", "0,\n"), [2, 3]),  # line ends as spreadsheets write them
        (PLAIN.replace("\n", ",,,\r\n"), [2, 3]),
        (PLAIN.replace(",", ";"), [2, 3]),
        (PLAIN.replace(",", "\t"), [2, 3]),
        ("sep=;\r\n" + PLAIN.replace(",", ";"), [3, 4]),
        ('"sep=;"\r\n' + PLAIN.replace(",", ";"), [3, 4]),
        ("\ufeffsep=|\n\n" + PLAIN.replace(",", "|"), [4, 5]),
        (PLAIN.replace("\n", "\n\n , ,\n").upper(), [4, 7]),
        ('"Project_ID", Plot_ID,X,Y\n1001,"01",434430, 2414790\n1001,2,434310,2412930', [2, 3]),
    ],
)
def test_lists_as_programs_save_them(listed: Listed, text: str, lines: list[int]) -> None:
    plots = read_plots(listed(text))
    assert plots["line"].tolist() == lines
    assert plots["plot_id"].tolist() == ["01", "2"]
    assert plots["x_listed"].tolist() == [434430, 434310]
    assert plots["y_listed"].tolist() == [2414790, 2412930]


@pytest.mark.parametrize("x", ["4e+05", "4E5", "4.0000000E+05", "4.00000E+05", "400000.0"])
def test_numbers_with_all_their_digits_may_have_an_exponent(tmp_path: Path, x: str) -> None:
    """As R and others write them; a spreadsheet leaves out digits of the place."""
    path = tmp_path / "plots.csv"
    path.write_text(f"project_id,plot_id,x,y\np,1,{x},1500000\n")
    assert read_plots(path)["x_listed"].tolist() == [400000.0]


@pytest.mark.parametrize("code", ["EPSG:3035", "EPSG:2154", "EPSG:5070", "EPSG:32632"])
def test_degrees_are_no_metres_of_a_projected_grid(code: str, tmp_path: Path) -> None:
    """Else a pair of degrees would be a plot at the origin, and its cube empty without a word."""
    grid = get_grid(code)
    with pytest.raises(InputError, match=r"lies at the origin of .* {'lon': ..., 'lat': ...}"):
        plot_from((6.04, 46.58), grid)
    (tmp_path / "plots.csv").write_text("project_id,plot_id,x,y\np,1,6.04,46.58\n")
    with pytest.raises(PlotListError, match="degrees belong in columns lon and lat"):
        read_plots(tmp_path / "plots.csv", grid)
    assert plot_from({"lon": 6.04, "lat": 46.58}, grid).x > 361
