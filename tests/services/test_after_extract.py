"""A project in a bucket gives what the same project on disk gives."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from tests.services.s3 import S3
from timesync_xr import (
    Archive,
    Project,
    combine,
    export_project,
    repair,
    verify,
    write_packets,
)
from timesync_xr.cli.main import main


@pytest.fixture
def address(s3: S3, bucket: str, golden_projects: dict[str, Path]) -> str:
    """The address of a copy of a golden project."""
    client = s3.client()
    for path in golden_projects["mosaic"].rglob("*"):
        if path.is_file() and path.name != "lock":
            key = f"a/project/{path.relative_to(golden_projects['mosaic'])}"
            client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    return f"s3://{bucket}/a/project"


def test_combine(
    s3: S3, bucket: str, address: str, golden_projects: dict[str, Path], tmp_path: Path
) -> None:
    project = Project(address, s3.options())
    combine(golden_projects["mosaic"], "9", tmp_path)
    expected = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    made = combine(project, "9")
    assert made.complete
    assert made.out == f"{address}/combined"
    assert s3.contents(bucket, "a/project/combined/") == expected
    other = combine(project, "9", f"s3://{bucket}/b")
    assert other.rows == made.rows
    assert s3.contents(bucket, "b/") == expected
    here = Project(golden_projects["mosaic"]).spectra()
    pd.testing.assert_frame_equal(project.spectra(), here)


def test_verify_and_repair(
    s3: S3, bucket: str, address: str, golden_projects: dict[str, Path], shared: Path
) -> None:
    project, archive = Project(address, s3.options()), shared / "golden/mosaic"
    before = s3.contents(bucket, "a/project/prj_")
    for quick in (False, True):
        assert verify(project, archive / "plots.csv", quick=quick).empty
    client = s3.client()
    for name in ("tc/plot_100/plot_100_2001_223.png", "101_spectral_files_set_2001_223.csv"):
        client.delete_object(Bucket=bucket, Key=f"a/project/prj_3132/{name}")
    broken = "a/project/prj_3132/b743/plot_102/plot_102_2001_223.png"
    client.put_object(Bucket=bucket, Key=broken, Body=b"half")
    client.put_object(Bucket=bucket, Key="a/project/prj_9/x", Body=b"x")
    problems = verify(project)
    assert problems["kind"].tolist() == ["missing", "missing", "broken", "stray"]
    repair(
        project,
        problems,
        Archive(archive / "items.json", mirror=f"s3://usgs-landsat-ard={archive}"),
        progress=False,
    )
    assert verify(project)["file"].tolist() == ["prj_9"]
    client.delete_object(Bucket=bucket, Key="a/project/prj_9/x")
    assert s3.contents(bucket, "a/project/prj_") == before


def test_export_and_packets(s3: S3, bucket: str, address: str) -> None:
    project = Project(address, s3.options())
    for form in ("v3-json", "sqlite", "gpkg", "kml"):
        made = export_project(project, form)
        assert made.path.startswith(f"{address}/exports/")
    names = s3.objects(bucket, "a/project/exports/")
    assert {"spectra.sqlite", "plots.gpkg", "plots.kml"} < set(names)
    assert len([name for name in names if name.startswith("v3-json/prj_3132/")]) == 6
    packets = f"s3://{bucket}/packets"
    written = write_packets(project, packets, 3, files="copy", s3=s3.options())
    assert written["plots"].sum() == 6
    for name in ("packet_001", "packet_002"):
        assert verify(Project(f"{packets}/{name}", s3.options())).empty


def test_commands(s3: S3, address: str, tmp_path: Path) -> None:
    where = [address, "--out-endpoint", s3.url]
    for arguments in (
        ["verify", *where],
        ["combine", *where, "--out", str(tmp_path / "combined")],
        ["export", *where, "--format", "sqlite", "--out", str(tmp_path / "exports")],
        ["packets", *where, "--out", str(tmp_path / "packets")],
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "combined/2001_prj_3132_region_spectrals.csv").is_file()
    assert (tmp_path / "exports/spectra.sqlite").is_file()
    assert (tmp_path / "packets/packet_001.csv").is_file()
