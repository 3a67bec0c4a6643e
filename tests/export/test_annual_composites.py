"""Annual composites of a project: files of their own, the same as those of the cubes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from PIL import Image

from tests.archive import SmallArchive
from tests.strategies import CLEAR
from timesync_xr import (
    Archive,
    Products,
    Project,
    annual_composite,
    composite_rgb,
    extract,
    verify,
    write_annual_composites,
)
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError
from timesync_xr.export.annual_composites import VALUE_COLUMNS
from timesync_xr.grid import REGIONS

X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three clear days of a summer, one cloudy one, and a year that has a cloud alone."""
    folder = tmp_path_factory.mktemp("composites")
    archive = SmallArchive(folder / "archive")
    for day in ("2019-07-01", "2019-08-02", "2019-09-03"):
        archive.add("LC08", f"{day}T18:30:00.1Z", values={"qa_pixel": CLEAR})
    archive.add("LC08", "2019-09-19T18:30:00.1Z", values={"qa_pixel": 22280})
    archive.add("LC08", "2021-07-01T18:30:00.1Z", values={"qa_pixel": 22280})
    (folder / "plots.csv").write_text(f"project_id,plot_id,x,y\n1211,7,{X},{Y}\n")
    source = Archive(archive.write_items(), mirror=archive.mirror)
    made = Products("png,csv,zarr", chip_size=(9, 9))
    extract(folder / "plots.csv", folder / "out", source, products=made, progress=False)
    return Project(folder / "out")


@pytest.mark.parametrize("method", ["medoid", "geomedian"])
@pytest.mark.deep
def test_files_are_those_of_the_cube(project: Project, tmp_path: Path, method: str) -> None:
    with project.cube(("1211", "7")) as cube:
        expected = annual_composite(cube, method)
    made = write_annual_composites(project, tmp_path, method=method, composites=["tc", "b743"])
    folder = tmp_path / method / "prj_1211"
    with xr.open_zarr(folder / "plot_7.zarr", chunks=None) as kept:
        for name in expected:
            assert (kept[name].to_numpy() == expected[name].to_numpy()).all()
        assert kept.attrs["annual_composite"] == method
        assert kept["year"].values.tolist() == [2019, 2020, 2021]
    chips = sorted(p.name for p in folder.rglob("*.png"))
    assert chips == [f"plot_7_2019_{method}.png"] * 2, "no chip of a year without a good pixel"
    rgb = composite_rgb(expected["digital_number"], "tc")[0].to_numpy()
    with Image.open(folder / "tc" / "plot_7" / chips[0]) as chip:
        assert (np.asarray(chip) == rgb).all()
    values = made.values
    assert list(values) == list(VALUE_COLUMNS)
    assert set(values["annual_composite"]) == {method}
    assert values["count"].tolist() == [3, 0, 0]
    assert (values["day"] != "").tolist() == [method == "medoid", False, False]
    assert values["ndvi"].notna().tolist() == [True, False, False]
    assert "3 years of 1 plot, 2 of them without" in str(made)
    table = pd.read_parquet(tmp_path / method / "values.parquet")
    assert table["nir"].tolist() == values["nir"].tolist()


@pytest.mark.deep
def test_the_medoid_at_the_plot_is_the_row_of_its_day(project: Project, tmp_path: Path) -> None:
    values = write_annual_composites(project, tmp_path, composites=[]).values.head(1)
    bands = ["blue", "green", "red", "nir", "swir1", "swir2", "nbr", "tca"]
    both = values.merge(project.series(), on=["plot_id", "day", *bands])
    assert len(both) == 1
    assert not list(tmp_path.rglob("*.png"))


def test_a_project_that_has_them_is_as_whole_as_before(project: Project) -> None:
    before = {p for p in Path(project.place).rglob("*") if p.is_file()}
    result = CliRunner().invoke(main, ["composite", project.place, "--season", "07-01/08-31"])
    assert result.exit_code == 0, result.output
    added = {p for p in Path(project.place).rglob("*") if p.is_file()} - before
    assert {p.relative_to(project.place).parts[0] for p in added} == {"annual_composites"}
    assert verify(project).empty
    places = pd.read_csv(Path(project.place) / "annual_composites" / "medoid" / "plots.csv")
    assert places["x_listed"].tolist() == [X]


def test_wrong_words_end_before_anything_is_made(project: Project, tmp_path: Path) -> None:
    for options in ({"method": "mean"}, {"rule": "best"}, {"composites": ["tcc"]}):
        with pytest.raises(InputError):
            write_annual_composites(project, tmp_path, **options)
    with pytest.raises(InputError, match="no season"):
        write_annual_composites(project, tmp_path, season="july")
    assert list(tmp_path.iterdir()) == []
