"""Filters, observations, annual choice and windows of a project in a bucket are those on disk."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
from click.testing import CliRunner

from tests.services.s3 import S3
from timesync_xr import Archive, Products, Project, Selection, extract
from timesync_xr.cli.main import main


def test_a_project_in_a_bucket_is_like_one_on_disk(
    s3: S3, bucket: str, shared: Path, tmp_path: Path
) -> None:
    archive = shared / "golden/mosaic"
    address, here = f"s3://{bucket}/a/project", tmp_path / "project"
    there = Project(address, s3.options())
    source = Archive(archive / "items.json", mirror=f"s3://usgs-landsat-ard={archive}")
    products = Products(("png", "csv", "zarr"), chip_size=(9, 9))
    plots, select = archive / "plots.csv", Selection(slc_off=False, clear_only=True, prune=True)
    extract(plots, there, source, products=products, progress=False)
    extract(plots, there, source, select, products, progress=False)
    extract(plots, here, source, select, products, progress=False)
    files = {
        str(path.relative_to(here)): path.read_bytes()
        for path in here.rglob("*")
        if path.is_file() and "prj_" in path.parts[len(here.parts)]
    }
    assert s3.contents(bucket, "a/project/prj_") == {
        name.removeprefix("prj_"): data for name, data in files.items()
    }

    table = Project(here).observations()
    assert {"written", "filtered"} <= set(table["outcome"])
    pd.testing.assert_frame_equal(there.observations(), table)
    chosen = Project(here).annual()
    pd.testing.assert_frame_equal(there.annual(), chosen)
    windows = Project(here).windows()
    assert len(windows)
    pd.testing.assert_frame_equal(there.windows(), windows)

    s3_options = ["--out-endpoint", s3.url]
    out = ["--out", f"s3://{bucket}/b/window.csv"]
    result = CliRunner().invoke(main, ["window", address, *out, *s3_options])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["window", str(here), "--out", str(tmp_path / "window.csv")])
    assert result.exit_code == 0, result.output
    made = s3.contents(bucket, "b/")["window.csv"]
    assert made == (tmp_path / "window.csv").read_bytes()
    assert made.count(b"\n") == 1 + len(windows)

    result = CliRunner().invoke(main, ["annual", address, *s3_options])
    assert result.exit_code == 0, result.output
    assert len(pd.read_csv(io.StringIO(result.stdout))) == len(chosen)
    out = ["--out", f"s3://{bucket}/b/observations.parquet"]
    result = CliRunner().invoke(main, ["observations", address, *out, *s3_options])
    assert result.exit_code == 0, result.output
    data = s3.contents(bucket, "b/")["observations.parquet"]
    assert len(pd.read_parquet(io.BytesIO(data))) == len(table)
