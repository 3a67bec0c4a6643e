"""Spectra alone read the plot pixel alone, and end as the spectra of a full run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.archive import BUCKET, SmallArchive
from tests.making import make
from tests.servers import file_server
from tests.strategies import CLEAR
from timesync_xr import (
    Archive,
    Project,
    chips_for_plot,
    spectral_table,
    verify,
    window_statistics,
)
from timesync_xr.grid import REGIONS
from timesync_xr.project.log import OF_CHIP, read_log
from timesync_xr.raster import reader

CU = REGIONS["CU"]
X, Y = CU.center(3 * 5000 + 2500, 9 * 5000 + 2500)
DAYS = ("2019-07-01", "2020-07-01")
ASSETS = 7


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    """Two usual observations, one that is fill, and two platforms alike at the plot on one day."""
    archive = SmallArchive(tmp_path_factory.mktemp("archive"))
    for day in DAYS:
        archive.add("LC08", f"{day}T18:30:00Z")
    archive.add("LC08", "2021-07-01T18:30:00Z", values={"qa_pixel": 1})
    for sensor in ("LC09", "LE07"):
        archive.add(sensor, "2022-07-01T18:30:00Z", values={"qa_pixel": CLEAR, "red": 9000})
    hole(archive, "LC09")
    return archive


def hole(archive: SmallArchive, sensor: str) -> None:
    """Fill in a corner of the chip, so that the newer platform is not taken."""
    import rasterio
    from rasterio.windows import Window

    name = f"{sensor}_CU_003009_20220701_20210504_02"
    with rasterio.open(archive.path(name, "red"), "r+") as file:
        window = Window(2400, 2400, 5, 5)
        file.write(file.read(1, window=window) * 0, 1, window=window)


@pytest.fixture
def served(archive: SmallArchive) -> Iterator[tuple[Archive, list[str]]]:
    """The archive by HTTP, and what was asked for."""
    asked: list[str] = []
    reader.reset()
    with file_server(archive.folder, asked) as port:
        yield Archive(archive.write_items(), mirror=f"{BUCKET}=http://127.0.0.1:{port}"), asked


def plots(folder: Path, x: float = X) -> Path:
    path = folder / "plots.csv"
    path.write_text(f"project_id,plot_id,x,y\np,7,{x},{Y}\n")
    return path


def run(folder: Path, out: str, archive: Archive, **options: Any) -> Project:
    summary = make(plots(folder), folder / out, archive, **options)
    assert summary.complete
    return Project(folder / out)


def spectra(project: Project) -> dict[str, bytes]:
    folder = Path(project.place)
    return {p.name: p.read_bytes() for p in sorted(folder.glob("prj_p/*.csv"))}


def account(project: Project) -> pd.DataFrame:
    return read_log(project.folder, "p", "7")


@pytest.mark.deep
def test_one_request_per_asset_once_headers_are_known(
    served: tuple[Archive, list[str]], tmp_path: Path
) -> None:
    archive, asked = served
    usual = "2019/2021"
    run(tmp_path, "one", archive, formats="csv", datetime=usual)
    assert len(asked) == 2 * ASSETS * len(DAYS) + 1  # headers, blocks; what is fill is sparse
    asked.clear()
    make(plots(tmp_path, X + 300 * 30), tmp_path / "other", archive, formats="csv", datetime=usual)
    assert len(asked) == ASSETS * len(DAYS)


@pytest.mark.deep
def test_the_spectra_are_those_of_a_full_run(
    served: tuple[Archive, list[str]], tmp_path: Path
) -> None:
    """Also where only the chips tell which platform a day gets: the shares are known there."""
    archive, _ = served
    alone = run(tmp_path, "alone", archive, formats="csv")
    full = run(tmp_path, "full", archive)
    assert spectra(alone) == spectra(full)
    assert len(spectra(alone)) == 3
    told, wanted = account(alone), account(full)
    chip_read = wanted["day"] == "2022-07-01"
    wanted.loc[~chip_read, list(OF_CHIP)] = ""
    pd.testing.assert_frame_equal(told, wanted)
    taken = told.loc[told["outcome"] == "written", "sensor"].tolist()
    assert taken == ["LC08", "LC08", "LE07"]
    assert verify(alone).empty
    assert alone.observations()["fill_share"].notna().sum() == 2


@pytest.mark.parametrize("formats", ["png,csv", "csv,zarr"])
@pytest.mark.deep
def test_other_products_later_end_as_if_asked_for_at_first(
    served: tuple[Archive, list[str]], tmp_path: Path, formats: str
) -> None:
    archive, _ = served
    later = run(tmp_path, "later", archive, formats="csv", chip_size=9)
    run(tmp_path, "later", archive, formats=formats, chip_size=9)
    first = run(tmp_path, "first", archive, formats=formats, chip_size=9)
    pd.testing.assert_frame_equal(account(later), account(first))
    assert spectra(later) == spectra(first)
    assert verify(later).empty


@pytest.mark.deep
def test_a_cube_whose_log_was_not_written_any_more_is_made_again(
    served: tuple[Archive, list[str]], tmp_path: Path
) -> None:
    """A run that is killed between cube and log leaves rows of which no chip is told."""
    archive, _ = served
    project = run(tmp_path, "out", archive, formats="csv", chip_size=9)
    log = project.folder.read("ledger/observations/prj_p/plot_7.csv")
    run(tmp_path, "out", archive, formats="csv,zarr", chip_size=9)
    whole = account(project)
    project.folder.write("ledger/observations/prj_p/plot_7.csv", log)
    run(tmp_path, "out", archive, formats="csv,zarr", chip_size=9, refresh=True)
    pd.testing.assert_frame_equal(account(project), whole)
    assert verify(project).empty


@pytest.mark.deep
def test_tables_of_a_lazy_cube_read_the_blocks_of_the_plot(
    served: tuple[Archive, list[str]],
) -> None:
    archive, asked = served
    cube = chips_for_plot((X, Y), archive, datetime="2019/2020")
    spectral_table(cube, "p", "7")
    assert len(asked) == 2 * ASSETS * len(DAYS)
    reader.reset()
    asked.clear()
    window_statistics(cube)
    assert len(asked) == 2 * ASSETS * len(DAYS)


@pytest.mark.deep
def test_what_lies_beside_the_block_of_the_plot_is_nothing_to_it(
    tmp_path: Path,
) -> None:
    """A block of the chip that is damaged fails the chips of that day, not its spectra."""
    from timesync_xr.raster.tiff import parse_header

    other = SmallArchive(tmp_path / "archive")
    other.add("LC08", "2020-07-01T18:30:00Z")
    path = other.path("LC08_CU_003009_20200701_20210504_02", "red")
    data = bytearray(path.read_bytes())
    header = parse_header([(0, bytes(data))])
    start = int(header.offsets[10 * 20 + 10])
    data[start : start + 40] = bytes(40)
    path.write_bytes(bytes(data))
    made = Archive(other.write_items(), mirror=other.mirror)
    reader.reset()
    assert run(tmp_path, "alone", made, formats="csv").plots["written"].tolist() == [1]
    assert not make(plots(tmp_path), tmp_path / "full", made).complete
