"""Series, annual indices, density and offsets of a project, by Python and by the command."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests.archive import SmallArchive
from tests.handmade import Observation, write_project
from tests.strategies import CLEAR
from timesync_xr import (
    Archive,
    Products,
    Project,
    export_project,
    extract,
    indices,
    to_collection1,
    write_packets,
)
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError
from timesync_xr.grid import REGIONS
from timesync_xr.landsat import CSV_BANDS, SR_BANDS
from timesync_xr.plots import read_plots
from timesync_xr.project.places import keep_listed, places, read_listed
from timesync_xr.project.series import SERIES_COLUMNS, empty_series
from timesync_xr.storage.folder import Folder

NOON = "T18:30:00.1234567Z"
X, Y = REGIONS["CU"].center(3 * 5000 + 4998, 9 * 5000 + 4998)
DN = {"blue": 8000, "green": 9000, "red": 8500, "nir08": 18000, "swir16": 13000, "swir22": 10000}
PLOTS = f"""project_id,plot_id,x,y,stratum,lon
1211,7,{X + 4},{Y - 9},forest,here
1211,8,{X - 2},{Y + 1},,there
1211,10,{X + 30},{Y},crop,
"""


def archive_of(folder: Path) -> SmallArchive:
    """A fire of 2020; shadow, cloud and a missing band; two platforms a day apart."""
    archive = SmallArchive(folder)
    burnt = DN | {"nir08": 9000, "swir22": 14000}
    for sensor, day, values in (
        ("LE07", "2018-07-20", DN | {"qa_pixel": 5440}),
        ("LE07", "2019-07-20", DN | {"qa_pixel": 5440, "red": 0}),
        ("LE07", "2019-09-20", DN | {"qa_pixel": 5440}),
        ("LC08", "2020-08-02", burnt | {"qa_pixel": 23888}),
        ("LC08", "2020-09-03", burnt | {"qa_pixel": CLEAR}),
        ("LC08", "2021-08-05", burnt | {"qa_pixel": 22280}),
        ("LE07", "2022-08-01", burnt | {"qa_pixel": 5440, "nir08": 9500}),
        ("LC08", "2022-08-02", burnt | {"qa_pixel": CLEAR}),
    ):
        archive.add(sensor, f"{day}{NOON}", values=values)
    return archive


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("series")
    archive = archive_of(folder / "archive")
    (folder / "plots.csv").write_text(PLOTS)
    made = Archive(archive.write_items(), mirror=archive.mirror)
    products = Products("png,csv,zarr", chip_size=(9, 9))
    summary = extract(folder / "plots.csv", folder / "out", made, products=products, progress=False)
    text = "Years without any clear observation: 3 (plots: 7, 8, 10), most in 2021 (3)"
    assert text in str(summary)
    return Project(folder / "out")


@pytest.fixture(scope="module")
def series(project: Project) -> pd.DataFrame:
    return project.series()


@pytest.mark.deep
def test_a_row_has_values_flags_and_indices(project: Project, series: pd.DataFrame) -> None:
    assert tuple(series) == SERIES_COLUMNS
    assert len(series) == 3 * 8
    spectra = project.spectra()
    assert (series[list(CSV_BANDS)].to_numpy() == spectra[list(CSV_BANDS)].to_numpy()).all()
    row = series[series["day"] == "2020-08-02"].iloc[0]
    assert row["ordinal"] == date(2020, 8, 2).toordinal()
    told = row[["qa_pixel", "qa", "is_clear", "valid_range", "strict_clear", "fmask", "grade"]]
    assert told.tolist() == [23888, 0, False, True, False, 2, 3]
    nir, swir2 = (int((DN_ * 0.0000275 - 0.2) * 10000) for DN_ in (9000, 14000))
    assert row["nbr"] == pytest.approx((nir - swir2) / (nir + swir2))
    holed = series[series["day"] == "2019-07-20"].iloc[0]
    assert holed[["bands_filled", "fmask", "grade"]].tolist() == [1, 255, 9]
    assert np.isnan(holed["ndvi"])
    assert holed["nbr"] == pytest.approx(series["nbr"].iloc[0])


@pytest.mark.deep
def test_indices_are_those_of_cubes(project: Project, series: pd.DataFrame) -> None:
    with project.cube(("1211", "7")) as cube:
        values = to_collection1(cube.sel(band=list(SR_BANDS))).isel(y=4, x=4).compute()
    of_plot = series[series["plot_id"] == "7"]
    for name in indices.NAMES:
        expected = getattr(indices, name)(values).to_numpy()
        np.testing.assert_allclose(of_plot[name].to_numpy(), expected)


@pytest.mark.deep
def test_the_empty_series_has_the_types_of_all(series: pd.DataFrame) -> None:
    assert empty_series().dtypes.equals(series.dtypes)
    assert empty_series().empty


@pytest.mark.deep
def test_years_are_columns_and_no_cloud_is_among_them(
    project: Project, series: pd.DataFrame
) -> None:
    wide = project.annual_index("nbr")
    assert list(wide) == ["project_id", "plot_id", "2018", "2019", "2020", "2021", "2022"]
    assert wide["plot_id"].tolist() == ["7", "8", "10"]
    by_day = series[series["plot_id"] == "7"].set_index("day")["nbr"]
    days = ["2018-07-20", "2019-09-20", "2020-09-03", None, "2022-08-02"]
    expected = [np.nan if day is None else by_day[day] for day in days]
    np.testing.assert_allclose(
        wide.drop(columns=["project_id", "plot_id"]).to_numpy(float)[0], expected
    )
    contract = project.annual_index("nbr", rule="contract")
    assert contract[["2019", "2020"]].head(1).isna().all(axis=None), (
        "a hole, a shadow: usable by qa"
    )
    assert project.annual_index("nir").loc[0, "2018"] == 2950
    with pytest.raises(InputError, match=r"'nrb'.*nbr"):
        project.annual_index("nrb")


@pytest.mark.deep
def test_a_project_without_any_row_has_no_years(tmp_path: Path) -> None:
    project = Project(write_project(tmp_path / "p", [Observation("1", "2", "2020-01-01")]))
    unread = project.series()
    assert unread[["fmask", "grade", "strict_clear"]].isna().all(axis=None)
    assert project.annual_index("ndvi")["2020"].isna().all()
    assert project.annual(rule="graded")["grade"].tolist() == [9]
    (tmp_path / "p" / "prj_1" / "2_spectral_files_set_2020_001.csv").unlink()
    assert list(project.annual_index("ndvi")) == ["project_id", "plot_id"]


@pytest.mark.deep
def test_density_and_offsets_of_a_project(project: Project) -> None:
    density = project.density()
    of_plot = density[density["plot_id"] == "7"]
    assert of_plot["clear"].tolist() == [1, 1, 1, 0, 2]
    assert of_plot["LE07"].tolist() == [1, 1, 0, 0, 1]
    offsets = project.offsets()
    row = offsets[offsets["value"] == "nir"].to_dict("records")[0]
    assert [row[k] for k in ("sensor", "reference", "pairs", "plots")] == ["LE07", "LC08", 3, 3]
    assert row["mean"] == row["median"] == 612 - 474, "612.5 and 474.99... truncated"


def test_places_are_those_of_the_list(project: Project) -> None:
    placed = project.places().set_index("plot_id")
    assert placed["x_listed"].tolist() == [X + 4, X - 2, X + 30]
    assert placed["y_listed"].tolist() == [Y - 9, Y + 1, Y]
    assert placed["offset"].tolist() == pytest.approx([np.hypot(4, 9), np.hypot(2, 1), 0])
    assert placed["to_edge"].tolist() == [6, 13, 15]
    assert placed["same_pixel"].tolist() == ["8", "7", ""]
    assert placed["stratum"].tolist() == ["forest", "", "crop"]
    assert placed["lon"].tolist() == ["here", "there", ""], "a further column of the list"
    assert placed["lat"].between(20, 50).all()
    part = project.places(project.plots.iloc[[1]])
    assert part[["plot_id", "same_pixel"]].to_numpy().tolist() == [["8", "7"]], (
        "also those in its pixel that are not asked for"
    )


def test_degrees_of_a_list_come_back_as_given(tmp_path: Path) -> None:
    path, folder = tmp_path / "plots.csv", Folder(tmp_path)
    degrees = [(-90.51455, 44.59282), (-90.5146, 44.5928), (-90.123456789, 44.6095)]
    rows = "".join(f"1,{n},{lon},{lat}\n" for n, (lon, lat) in enumerate(degrees))
    path.write_text(f"project_id,plot_id,lon,lat\n{rows}")
    table = read_plots(path)
    keep_listed(folder, table)
    made = places(folder, table[["project_id", "plot_id", "x", "y"]], REGIONS["CU"])
    assert list(zip(made["lon"], made["lat"], strict=True)) == degrees


def test_lists_add_to_what_is_known(project: Project, tmp_path: Path) -> None:

    path, folder = tmp_path / "plots.csv", Folder(tmp_path)
    path.write_text(PLOTS)
    keep_listed(folder, read_plots(path))
    path.write_text(f"project_id,plot_id,x,y,owner\n1211,9,{X},{Y},me\n1211,8,{X},{Y},you\n")
    keep_listed(folder, read_plots(path))
    told = read_listed(folder)
    assert told["plot_id"].tolist() == ["7", "8", "9", "10"]
    assert told["owner"].tolist() == ["", "you", "me", ""]
    assert told["stratum"].tolist() == ["forest", "", "", "crop"]
    before = (tmp_path / "ledger/listed.csv").read_bytes()
    keep_listed(folder, told.iloc[::-1].drop(columns=["x_listed"]))
    assert (tmp_path / "ledger/listed.csv").read_bytes() == before, "it tells no places"


def test_windows_tell_how_pure_a_plot_is(project: Project) -> None:
    rows = {(r["plot_id"], r["day"], r["band"]): r for r in project.windows(3).to_dict("records")}
    row = rows["7", "2018-07-20", "red"]
    assert [row[name] for name in ("valid", "clear", "to_edge", "same_pixel")] == [9, 9, 6, "8"]
    assert row["spread"] == 0, "all alike"
    at_edge = rows["10", "2018-07-20", "red"]
    assert [at_edge["valid"], at_edge["clear"]] == [6, 6], "the tile ends beside the plot"
    assert rows["7", "2020-08-02", "red"]["clear"] == 0
    assert np.isnan(rows["7", "2020-08-02", "red"]["spread"])


@pytest.mark.deep
def test_the_export_holds_the_tables(project: Project, tmp_path: Path) -> None:
    made = export_project(project, "series", tmp_path, index="ndvi", offsets="own")
    folder = Path(made.path)
    assert made.count == 24
    assert {p.name for p in folder.iterdir()} == {
        "observations.csv", "observations.parquet", "annual_ndvi.csv", "annual_ndvi.parquet",
        "plots.csv", "offsets.csv",
    }  # fmt: skip
    parquet = pd.read_parquet(folder / "observations.parquet")
    series = project.series()
    pd.testing.assert_frame_equal(
        parquet[list(series)].astype(series.dtypes), series, check_exact=True
    )
    adjusted = parquet.loc[parquet["sensor"] == "LE07", "nir_adjusted"]
    assert (parquet.loc[parquet["sensor"] == "LE07", "nir"] - adjusted == 138).all()
    text = pd.read_csv(folder / "observations.csv", dtype={"plot_id": str})
    np.testing.assert_allclose(text["evi"], series["evi"])
    wide = pd.read_csv(folder / "annual_ndvi.csv")
    np.testing.assert_allclose(wide["2022"], project.annual_index("ndvi")["2022"])
    assert pd.read_csv(folder / "plots.csv", dtype=str)["stratum"].fillna("").tolist() == [
        "forest", "", "crop",
    ]  # fmt: skip
    export_project(project, "series", tmp_path, offsets="roy2016-ols")
    told = pd.read_csv(folder / "offsets.csv").set_index("band")
    assert (told["lines"] == "roy2016-ols").all(), "not those of the export before"
    nir = told.loc["nir"]
    assert (nir["slope"], nir["intercept"]) == (0.8462, 0.0412)
    with pytest.raises(InputError, match="offsets are for series"):
        export_project(project, "sqlite", tmp_path, offsets="own")


@pytest.mark.deep
def test_maps_and_records_tell_where_plots_lie(project: Project, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    kml = Path(export_project(project, "kml", tmp_path).path).read_text()
    assert '<Data name="stratum"><value>forest</value>' in kml
    assert f'<Data name="x_listed"><value>{X + 4}</value>' in kml
    with closing(sqlite3.connect(export_project(project, "sqlite", tmp_path).path)) as database:
        rows = database.execute("SELECT plot_id, x_listed, stratum FROM plots").fetchall()
    assert rows[0] == ("7", X + 4, "forest")
    folder = Path(export_project(project, "v3-json", tmp_path).path)
    assert pd.read_csv(folder / "plots.csv")["to_edge"].tolist() == [6, 13, 15]


@pytest.mark.parametrize("rule", ["contract", "graded"])
@pytest.mark.deep
def test_records_are_selected_by_the_rule(project: Project, tmp_path: Path, rule: str) -> None:
    import json

    path = export_project(project, "v3-json", tmp_path / rule, rule=rule).path
    records = json.loads(Path(path, "prj_1211", "plot_7.json").read_text())
    chosen = {(r["image_year"], r["image_julday"]) for r in records if r["selected"]}
    table = project.annual(rule=rule)
    table = table[(table["plot_id"] == "7") & table["doy"].notna()]
    assert chosen == set(zip(table["year"], table["doy"], strict=True))
    assert ((2020, 215) in chosen) == (rule == "contract"), "the shadow of 2 August"


@pytest.mark.deep
def test_commands_give_the_same_tables(project: Project, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(main, [words[0], project.place, *words[1:]])
        assert result.exit_code == 0, result.output
        return result.stdout

    density = pd.read_csv(io.StringIO(run("density", "--by", "season")), dtype={"plot_id": str})
    assert density["clear"].tolist() == project.density(by="season")["clear"].tolist()
    out = tmp_path / "offsets.csv"
    run("offsets", "--days", "1", "--out", str(out))
    np.testing.assert_allclose(pd.read_csv(out)["mean"], project.offsets()["mean"])
    told = run("export", "--format", "series", "--out", str(tmp_path), "--offsets", str(out))
    assert "24 observations" in told
    assert (tmp_path / "series" / "offsets.csv").read_text() == out.read_text()
    nothing = CliRunner().invoke(main, ["offsets", project.place, "--days", "0"])
    assert nothing.exit_code == 1
    assert "no two sensors" in nothing.stderr
    wrong = CliRunner().invoke(main, ["export", project.place, "--format", "kml", "--index", "x"])
    assert wrong.exit_code == 2


def test_indices_are_those_of_the_catalogue_of_spectral_indices(series: pd.DataFrame) -> None:
    """spyndex computes them by formulas that others keep."""
    spyndex = pytest.importorskip("spyndex", reason="see tests/oracles.txt")
    whole = series[series["bands_filled"] == 0]
    names = dict(zip("BGRN", CSV_BANDS[:4], strict=True)) | {"S1": "swir1", "S2": "swir2"}
    bands = {key: whole[name].to_numpy(float) / 10000 for key, name in names.items()}
    factors = {"g": 2.5, "C1": 6, "C2": 7.5, "L": 1}
    for ours, theirs in {
        "ndvi": "NDVI", "nbr": "NBR", "nbr2": "NBR2", "ndmi": "NDMI", "evi": "EVI",
    }.items():  # fmt: skip
        expected = spyndex.computeIndex(theirs, params=bands | factors)
        np.testing.assert_allclose(whole[ours], expected, rtol=1e-12)


def test_columns_of_a_list_keep_their_values_whatever_they_are_called(tmp_path: Path) -> None:
    path, folder = tmp_path / "plots.csv", Folder(tmp_path)
    path.write_text(f'project_id,plot_id,x,y,Same_Pixel,LON,"a ""b"" <c>"\n1,2,{X},{Y},s,l,q\n')
    table = read_plots(path)
    keep_listed(folder, table)
    made = places(folder, table[["project_id", "plot_id", "x", "y"]], REGIONS["CU"])
    row = made.iloc[0]
    assert row[["Same_Pixel_listed", "lon", 'a "b" <c>', "same_pixel"]].tolist() == [
        "s", "l", "q", "",
    ]  # fmt: skip
    assert len({str(name).lower() for name in made}) == len(made.columns), (
        "as SQLite tells names apart"
    )


def test_packets_are_lists_as_yours_was(project: Project, tmp_path: Path) -> None:
    write_packets(project, tmp_path, 2)
    first = read_plots(tmp_path / "packet_001.csv")
    assert first[["plot_id", "x_listed", "y_listed", "stratum"]].to_numpy().tolist() == [
        ["7", X + 4, Y - 9, "forest"],
        ["8", X - 2, Y + 1, ""],
    ]
