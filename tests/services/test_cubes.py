"""Cubes in a bucket: made there, read from there, and drawn into another bucket."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.archive import SmallArchive
from tests.services.s3 import S3
from timesync_xr import Archive, Products, Project, Selection, extract, repair, verify
from timesync_xr.cli.main import main
from timesync_xr.grid import REGIONS
from timesync_xr.project.cubes import open_cube

ALL = Selection()
CUBE = "prj_p/cubes/plot_7.zarr"


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    archive = SmallArchive(tmp_path / "archive")
    for day in (1, 9, 17):
        archive.add("LC08", f"2020-07-{day:02d}T18:30:00Z")
    archive.write_items()
    x, y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
    (tmp_path / "plots.csv").write_text(f"project_id,plot_id,x,y\np,7,{x},{y}\n")
    return archive


def run(
    archive: SmallArchive,
    out: str | Path,
    s3: S3,
    select: Selection = ALL,
    formats: tuple[str, ...] = ("png", "csv", "zarr"),
) -> None:
    source = Archive(archive.folder / "items.json", mirror=archive.mirror)
    project, products = Project(out, s3.options()), Products(formats, chip_size=(41, 41))
    plots = archive.folder.parent / "plots.csv"
    assert extract(plots, project, source, select, products, progress=False).complete


def contract(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.glob("prj_*/**/*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_cube_in_a_bucket_is_the_one_on_disk_also_when_it_grew(
    archive: SmallArchive, s3: S3, bucket: str, tmp_path: Path
) -> None:
    address = f"s3://{bucket}/project"
    run(archive, address, s3, Selection("../2020-07-10"))
    run(archive, address, s3, formats=("csv",))
    run(archive, tmp_path / "here", s3)
    there = s3.contents(bucket, "project/")
    assert {n: d for n, d in there.items() if n[:4] == "prj_"} == contract(tmp_path / "here")
    assert verify(Project(address, s3.options())).empty


def test_a_broken_cube_in_a_bucket_is_found_and_made_again(
    archive: SmallArchive, s3: S3, bucket: str
) -> None:
    address = f"s3://{bucket}/project"
    run(archive, address, s3)
    (shard,) = (k for k in s3.objects(bucket, f"project/{CUBE}/digital_number/c"))
    key = f"project/{CUBE}/digital_number/c{shard}"
    s3.client().delete_object(Bucket=bucket, Key=key)
    problems = verify(Project(address, s3.options()))
    assert problems["file"].tolist() == [CUBE]
    repair(
        Project(address, s3.options()),
        problems,
        Archive(archive.folder / "items.json", mirror=archive.mirror),
        progress=False,
    )
    assert verify(Project(address, s3.options())).empty


def test_render_reads_from_one_bucket_and_writes_to_another(
    archive: SmallArchive, s3: S3, bucket: str, tmp_path: Path
) -> None:
    run(archive, f"s3://{bucket}/cubes", s3, formats=("zarr",))
    run(archive, tmp_path / "direct", s3, formats=("png", "csv"))
    arguments = ["render", f"s3://{bucket}/cubes", "--out", f"s3://{bucket}/drawn"]
    ways = ["--endpoint", s3.url, "--out-endpoint", s3.url]
    result = CliRunner().invoke(main, [*arguments, *ways])
    assert result.exit_code == 0, result.output
    drawn = {n: d for n, d in s3.contents(bucket, "drawn/").items() if n[:4] == "prj_"}
    assert drawn == contract(tmp_path / "direct")
    assert len(drawn) == 4 * 3


def test_a_cube_opens_in_the_bucket_without_this_package(
    archive: SmallArchive, s3: S3, bucket: str, tmp_path: Path
) -> None:
    import xarray as xr
    from obstore.store import S3Store
    from zarr.storage import ObjectStore

    run(archive, f"s3://{bucket}/project", s3, formats=("zarr",))
    run(archive, tmp_path / "here", s3, formats=("zarr",))
    store = S3Store(
        bucket,
        prefix=f"project/{CUBE}",
        endpoint=s3.url,
        region="us-west-2",
        client_options={"allow_http": True},
    )
    found = xr.open_zarr(ObjectStore(store, read_only=True))["digital_number"]
    assert np.array_equal(found.to_numpy(), open_cube(tmp_path / "here" / CUBE).to_numpy())
