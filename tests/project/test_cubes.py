"""Cubes of a project: what they hold, how they open, and that nothing is read twice."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr

from tests.archive import SmallArchive
from tests.making import make
from tests.servers import file_server
from timesync_xr import (
    Archive,
    Project,
    Summary,
    chips_for_plot,
    verify,
)
from timesync_xr.catalog.ard import ARD
from timesync_xr.cube.plan import plan_observations
from timesync_xr.cube.schema import attributes
from timesync_xr.errors import NoProjectError, ProjectError
from timesync_xr.grid import REGIONS, ChipGrid
from timesync_xr.landsat import BANDS
from timesync_xr.project.cubes import SHARD_TIMES, CubeBuilder, DamagedCubeError, open_cube
from timesync_xr.raster import reader
from timesync_xr.run.render import render

CU = REGIONS["CU"]
PLACE = CU.center(3 * 5000 + 2500, 9 * 5000 + 2500)
CUBE = "prj_p/cubes/plot_7.zarr"


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    """Two platforms on one day, an older and a newer date, one that is fill at the plot."""
    archive = SmallArchive(tmp_path / "archive")
    archive.add("LE07", "2005-03-01T18:30:00.1234567Z")
    archive.add("LC09", "2022-06-01T18:30:00.5Z")
    archive.add("LE07", "2022-06-01T17:30:00.25Z")
    archive.add("LE07", "2012-06-01T17:30:00Z", values={"qa_pixel": 1})
    archive.add("LC08", "2023-01-01T18:30:00Z")
    return archive


def run(archive: SmallArchive, out: Path, **options: Any) -> Summary:
    plots = archive.folder / "plots.csv"
    plots.write_text(f"project_id,plot_id,x,y\np,7,{PLACE[0]},{PLACE[1]}\n")
    made_of = Archive(archive.write_items(), mirror=options.pop("mirror", archive.mirror))
    return make(plots, out, made_of, **{"chip_size": (41, 37), "formats": "zarr"} | options)


def digests(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def contract(out: Path) -> dict[str, str]:
    return {name: digest for name, digest in digests(out).items() if name.startswith("prj_")}


@pytest.mark.deep
def test_it_holds_what_was_read_and_opens_without_this_package(
    archive: SmallArchive, tmp_path: Path
) -> None:
    run(archive, tmp_path / "out")
    found = xr.open_zarr(tmp_path / "out" / CUBE)["digital_number"]
    wanted = chips_for_plot(
        PLACE, Archive(archive.write_items(), mirror=archive.mirror), chip_size=(41, 37)
    )
    wanted = wanted.isel(time=[0, 2, 3, 4])
    assert found.dims == ("time", "band", "y", "x")
    assert found.dtype == np.uint16
    assert (found.to_numpy() == wanted.to_numpy()).all()
    for name in ("time", "x", "y", "band", "sensor", "hv", "item_id", "item_ids", "date"):
        assert found[name].values.tolist() == wanted[name].values.tolist(), name
    assert set(found["processed"].values) == {"20210504"}
    assert found.rio.crs == wanted.rio.crs
    assert found.rio.bounds() == wanted.rio.bounds()
    assert len(digests(tmp_path / "out" / CUBE)) < 30


@pytest.mark.parametrize(
    ("before", "settled"), [("2006/2022", ("2012", "2022")), ("../2022", ("2005", "2012", "2022"))]
)
@pytest.mark.deep
def test_a_longer_time_reads_only_what_is_new_and_ends_the_same(
    archive: SmallArchive, tmp_path: Path, before: str, settled: tuple[str, ...]
) -> None:
    """Files of what was there before are gone, so that reading one of them would fail."""
    products = ("png", "csv", "zarr")
    run(archive, tmp_path / "full", formats=products)
    run(archive, tmp_path / "out", formats=products, datetime=before)
    for year in settled:
        for path in archive.folder.rglob(f"*_{year}????_*.TIF"):
            path.unlink()
    new = {path.name for path in archive.folder.rglob("*.TIF")}
    assert run(archive, tmp_path / "out", formats=products).complete
    assert contract(tmp_path / "out") == contract(tmp_path / "full")
    assert len(new) == 7 * (5 - sum({"2022": 2}.get(year, 1) for year in settled))
    for path in archive.folder.rglob("*.TIF"):
        path.unlink()
    assert run(archive, tmp_path / "out", formats=products).already == 1
    assert run(archive, tmp_path / "out", formats=products, refresh=True).complete


@pytest.mark.deep
def test_a_new_year_takes_the_requests_of_its_own_observations(
    archive: SmallArchive, tmp_path: Path
) -> None:
    asked: list[str] = []

    def requests(out: Path, datetime: str) -> list[str]:
        reader.reset()
        asked.clear()
        mirror = f"s3://usgs-landsat-ard=http://127.0.0.1:{port}"
        formats = ("png", "csv", "zarr")
        assert run(archive, out, mirror=mirror, formats=formats, datetime=datetime).complete
        return sorted(asked)

    with file_server(archive.folder, asked) as port:
        old = requests(tmp_path / "out", "../2022")
        new = requests(tmp_path / "out", "../2023")
        both = requests(tmp_path / "full", "../2023")
    assert sorted(old + new) == both
    assert {"20230101" in path for path in new} == {True}
    assert contract(tmp_path / "out") == contract(tmp_path / "full")


@pytest.mark.parametrize("damage", ["missing", "cut off", "no metadata"])
@pytest.mark.deep
def test_what_a_damaged_cube_held_is_never_taken_over(
    archive: SmallArchive, tmp_path: Path, damage: str
) -> None:
    """Zarr itself would take a shard that is missing for one of fill."""
    run(archive, tmp_path / "full")
    run(archive, tmp_path / "out", datetime="../2022")
    shard = tmp_path / "out" / CUBE / "digital_number/c/0/0/0/0"
    if damage == "missing":
        shard.unlink()
    elif damage == "cut off":
        shard.write_bytes(shard.read_bytes()[:700])
    else:
        (tmp_path / "out" / CUBE / "zarr.json").write_text("{}")
    with pytest.raises(ProjectError, match=r"plot_7\.zarr is damaged .* verify --repair"):
        render(tmp_path / "out", tmp_path / "drawn", progress=False)
    run(archive, tmp_path / "out")
    assert contract(tmp_path / "out") == contract(tmp_path / "full")


@pytest.mark.parametrize(
    "error", [DamagedCubeError("it is cut off", "a cube", "remove it"), NoProjectError("a folder")]
)
def test_what_a_worker_says_arrives_as_it_was(error: ProjectError) -> None:
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.deep
def test_products_may_come_one_after_the_other(archive: SmallArchive, tmp_path: Path) -> None:
    run(archive, tmp_path / "full", formats=("png", "csv", "zarr"))
    for products in (("csv",), ("zarr",), ("png", "csv")):
        run(archive, tmp_path / "out", formats=products)
    assert contract(tmp_path / "out") == contract(tmp_path / "full")


@pytest.mark.deep
def test_a_cube_is_there_when_nothing_is_missing_and_the_rest_is_not_read_again(
    archive: SmallArchive, tmp_path: Path
) -> None:
    run(archive, tmp_path / "full")
    broken = next(archive.folder.rglob("*20230101*SR_B1.TIF"))
    content = broken.read_bytes()
    broken.write_bytes(content[:700])
    assert not run(archive, tmp_path / "out").complete
    assert not (tmp_path / "out" / CUBE).exists()
    broken.write_bytes(content)
    for path in archive.folder.rglob("*2022*.TIF"):
        path.unlink()
    assert run(archive, tmp_path / "out").complete
    assert digests(tmp_path / "out" / CUBE) == digests(tmp_path / "full" / CUBE)
    assert not list((tmp_path / "out/ledger").rglob("*.zarr"))


@pytest.mark.deep
def test_a_half_cube_is_none(archive: SmallArchive, tmp_path: Path) -> None:
    """A run that was killed while it removed the old cube leaves one without its mark."""
    run(archive, tmp_path / "out", datetime="../2021")
    (tmp_path / "out" / CUBE / "zarr.json").unlink()
    run(archive, tmp_path / "out")
    run(archive, tmp_path / "full")
    assert digests(tmp_path / "out" / CUBE) == digests(tmp_path / "full" / CUBE)


@pytest.mark.deep
def test_a_plot_without_observations_has_an_empty_cube(
    archive: SmallArchive, tmp_path: Path
) -> None:
    run(archive, tmp_path / "out", datetime="2030/..")
    assert open_cube(tmp_path / "out" / CUBE).shape == (0, 7, 37, 41)


@pytest.mark.parametrize("kept", [0, 1, SHARD_TIMES, SHARD_TIMES + 5])
@pytest.mark.cases(1)
def test_long_cubes_in_several_shards(tmp_path: Path, kept: int) -> None:
    """However much of it there was before, the files are the same."""
    from tests.strategies import items_table

    days = np.datetime64("2001-01-01") + 3 * np.arange(SHARD_TIMES + 40)
    items = items_table(*({"date": f"{day}T18:30:00Z"} for day in days))
    plan = plan_observations(items, ChipGrid.around(CU, *PLACE, (5, 3)), ARD).observations
    values = np.random.default_rng(1).integers(
        0, 2**16, (len(days), len(BANDS), 3, 5), dtype=np.uint16
    )
    grid = ChipGrid.around(CU, *PLACE, (5, 3))

    def build(name: str, rows: np.ndarray, old: str = "") -> None:
        cube = open_cube(tmp_path / old) if old else None
        held = {int(r): n for n, r in enumerate(chosen)} if old else {}
        builder = CubeBuilder(tmp_path / name, grid, attributes(grid), cube, held)
        for start in range(0, len(rows), 16):
            builder.add(rows[start : start + 16], values[rows[start : start + 16]])
        builder.finish(plan, {})

    everything = np.arange(len(days))
    chosen = np.sort(np.random.default_rng(2).permutation(everything)[:kept])
    build("full", everything)
    build("old", chosen)
    build("new", np.setdiff1d(everything, chosen), old="old")
    assert digests(tmp_path / "new") == digests(tmp_path / "full")
    assert (open_cube(tmp_path / "new").to_numpy() == values).all()


@pytest.mark.parametrize(
    ("before", "after"),
    [(("png", "csv", "zarr"), ("csv",)), (("csv",), ("zarr",)), (("zarr",), ("png",))],
)
@pytest.mark.deep
def test_what_a_plot_has_is_kept_up_by_later_runs(
    archive: SmallArchive, tmp_path: Path, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    """A cube that lacked the newest year would contradict the chips, and chips the cube."""
    made = tuple(p for p in ("png", "csv", "zarr") if p in before + after)
    run(archive, tmp_path / "full", formats=made)
    run(archive, tmp_path / "out", formats=before, datetime="../2022-05")
    run(archive, tmp_path / "out", formats=after)
    assert contract(tmp_path / "out") == contract(tmp_path / "full")
    assert Project(str(tmp_path / "out")).plots["products"].tolist() == [",".join(made)]
    assert verify(tmp_path / "out").empty


@pytest.mark.deep
def test_other_filters_leave_no_cube_behind_that_holds_more(
    archive: SmallArchive, tmp_path: Path
) -> None:
    sensors = ("LC08", "LC09")
    run(archive, tmp_path / "out", formats=("csv", "zarr"))
    run(archive, tmp_path / "out", formats=("csv",), sensors=sensors, prune=True)
    run(archive, tmp_path / "full", formats=("csv", "zarr"), sensors=sensors)
    assert contract(tmp_path / "out") == contract(tmp_path / "full")


@pytest.mark.deep
def test_no_cube_holds_less_than_the_other_files(archive: SmallArchive, tmp_path: Path) -> None:
    """One new observation can't be read, another can: the cube goes until both are in it."""
    products = ("csv", "zarr")
    run(archive, tmp_path / "out", formats=products, datetime="../2021")
    broken = next(archive.folder.rglob("*20230101*SR_B1.TIF"))
    content = broken.read_bytes()
    broken.write_bytes(content[:700])
    assert not run(archive, tmp_path / "out", formats=products).complete
    assert len(list((tmp_path / "out").rglob("*.csv"))) > 2
    assert not (tmp_path / "out" / CUBE).exists()
    broken.write_bytes(content)
    assert run(archive, tmp_path / "out", formats=products).complete
    run(archive, tmp_path / "full", formats=products)
    assert contract(tmp_path / "out") == contract(tmp_path / "full")
