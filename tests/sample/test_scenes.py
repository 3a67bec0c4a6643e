"""The sample of scenes: where it lies, what its files are, and that a project can be made of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from click.testing import CliRunner

from timesync_xr import Archive, Products, extract, make_sample
from timesync_xr.catalog.items import Query, items_table
from timesync_xr.catalog.scenes import PC_SCENES
from timesync_xr.cli.main import main
from timesync_xr.grid import UTM
from timesync_xr.sample import SamplePaths, scenes

FEW = 19
"""Of so many passes of a site one is made here: the rest is more of the same."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SamplePaths:
    with pytest.MonkeyPatch.context() as patch:
        few = tuple(replace(site, step=FEW) for site in scenes.SITES)
        patch.setattr(scenes, "SITES", few)
        return make_sample(tmp_path_factory.mktemp("scenes"), scenes=True)


@pytest.fixture(scope="module")
def items(sample: SamplePaths) -> list[dict[str, Any]]:
    return list(json.loads(sample.items.read_text())["features"])


@pytest.fixture(scope="module")
def table(items: list[dict[str, Any]]) -> pd.DataFrame:
    return items_table(items, Query(PC_SCENES, UTM))


@pytest.mark.deep
def test_no_scene_is_refused(table: pd.DataFrame) -> None:
    assert (table["refused"] == "").all()


@pytest.mark.deep
def test_sites_lie_in_both_hemispheres_and_two_zones_each(table: pd.DataFrame) -> None:
    assert {"EPSG:32615", "EPSG:32616"} <= set(table["grid"])
    assert {"EPSG:32631", "EPSG:32632"} <= set(table["grid"])
    assert {"EPSG:32633", "EPSG:32634"} & set(table["grid"])
    assert (table["top"] < 0).any()
    assert (table["west"] > 0).any()


@pytest.mark.deep
def test_files_begin_elsewhere_and_are_of_another_size_on_each_date(table: pd.DataFrame) -> None:
    of_row = table.groupby("place")[["left", "top", "width", "height"]].nunique()
    assert (of_row.max() > 1).all()


@pytest.mark.deep
def test_rows_of_a_pass_overlap(sample: SamplePaths, items: list[dict[str, Any]]) -> None:
    """Pixels that both hold are the same, and there are some."""
    passes: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        key = item["id"][:13] + item["id"][16:25]
        passes.setdefault(key, []).append(item)
    both = [pair for pair in passes.values() if len(pair) == 2]
    assert both
    for pair in both[:3]:
        seen = []
        for item in pair:
            with rasterio.open(path_of(sample, item, "red")) as source:
                assert source.crs.to_epsg() == item["properties"]["proj:epsg"]
                assert [*source.shape] == item["properties"]["proj:shape"]
                assert [*source.transform][:6] == item["properties"]["proj:transform"]
                data = source.read(1)
            rows, cols = np.nonzero(data)
            left, top = item["properties"]["proj:transform"][2::3]
            places = zip(rows - top // 30, cols + left // 30, strict=True)
            seen.append(dict(zip(places, data[rows, cols].tolist(), strict=True)))
        shared = seen[0].keys() & seen[1].keys()
        assert len(shared) > 1000
        assert all(seen[0][place] == seen[1][place] for place in shared)


def path_of(sample: SamplePaths, item: dict[str, Any], band: str) -> Path:
    href = item["assets"][band]["href"]
    assert href.startswith(f"{sample.address}/")
    name: str = href.removeprefix(f"{sample.address}/")
    return sample.folder / name


@pytest.mark.deep
def test_a_project_is_made_of_it(sample: SamplePaths, tmp_path: Path) -> None:
    archive = Archive(sample.items, mirror=sample.mirror)
    summary = extract(sample.plots, tmp_path, archive, products=Products("csv"), progress=False)
    assert summary.complete
    assert len(summary.rows) == 9
    assert summary.rows["written"].sum() > 0
    assert 8 < summary.off_centre["offset"].max() < 9


def test_the_command_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "SITES", ())
    result = CliRunner().invoke(main, ["sample", str(tmp_path / "demo"), "--scenes"])
    assert result.exit_code == 0, result.output
    assert f"--mirror https://landsateuwest.blob.core.windows.net/landsat-c2={tmp_path}" in (
        result.output
    )
