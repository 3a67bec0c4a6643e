"""Projects that come from someone else: nothing in them runs, or leads out of a folder."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xarray as xr

from tests.archive import SmallArchive
from tests.making import make
from timesync_xr import Archive, Project, verify
from timesync_xr.errors import ProjectError, TimesyncError
from timesync_xr.grid import REGIONS
from timesync_xr.project import files
from timesync_xr.project.cubes import DamagedCubeError, open_cube

PLACE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
CUBE = "prj_p/cubes/plot_7.zarr"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a cube, chips and values."""
    archive = SmallArchive(tmp_path_factory.mktemp("archive"))
    archive.add("LE07", "2005-03-01T18:30:00Z")
    archive.add("LC09", "2022-06-01T18:30:00Z")
    plots = archive.folder / "plots.csv"
    plots.write_text(f"project_id,plot_id,x,y\np,7,{PLACE[0]},{PLACE[1]}\n")
    out = tmp_path_factory.mktemp("project") / "out"
    made_of = Archive(archive.write_items(), mirror=archive.mirror)
    assert make(plots, out, made_of, chip_size=(9, 9), formats="png,csv,zarr").complete
    return out


@pytest.fixture
def project(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    shutil.copytree(whole, tmp_path / "project")
    return tmp_path / "project"


class Planted:
    """Runs code when it is unpickled: it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


Change = Callable[[dict[str, Any]], object]


def v2(arrays: dict[str, Any], dtype: str = "<i8") -> dict[str, Any]:
    return {
        "zarr_format": 2, "node_type": "array", "shape": [2], "chunks": [2], "dtype": dtype,
        "compressor": None, "fill_value": 0, "order": "C", "filters": [{"id": "pickle"}],
        "attributes": {"_ARRAY_DIMENSIONS": ["time"]},
    }  # fmt: skip


def in_shard(arrays: dict[str, Any]) -> list[dict[str, Any]]:
    codecs: list[dict[str, Any]] = arrays["digital_number"]["codecs"][0]["configuration"]["codecs"]
    return codecs


CHANGES: dict[str, Change] = {
    "an array of Zarr v2 that unpickles": lambda a: a.update(hv=v2(a)),
    "the pixels, in Zarr v2": lambda a: a.update(digital_number=v2(a, "<u2")),
    "a codec of numcodecs": lambda a: a["hv"]["codecs"].insert(
        0, {"name": "numcodecs.pickle", "configuration": {"id": "pickle"}}
    ),
    "a codec in the shards": lambda a: in_shard(a).append({"name": "numcodecs.pickle"}),
    "a filter beside the codecs": lambda a: a["hv"].update(filters=[{"id": "pickle"}]),
    "a transformer of the store": lambda a: a["hv"].update(storage_transformers=[{"name": "x"}]),
    "another type": lambda a: a["hv"].update(data_type="numpy.object"),
    "no codecs in the shards": lambda a: in_shard(a).clear(),
    "one more array": lambda a: a.update(more=a["hv"]),
    "one array less": lambda a: a.pop("hv"),
    "a size that nothing has": lambda a: [
        a["digital_number"]["shape"].__setitem__(0, 2**40),
        *(a[name]["shape"].__setitem__(0, 2**40) for name in ("time", "hv", "sensor")),
    ],
    "another size of a coordinate": lambda a: a["hv"].update(shape=[2**30]),
    "another layout of chunks": lambda a: a["hv"]["chunk_grid"].update(name="other"),
    "another name of chunks": lambda a: a["hv"]["chunk_key_encoding"].update(name="v2"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_cube_is_opened_only_as_this_package_writes_it(
    project: Path, tmp_path: Path, name: str
) -> None:
    cube, trap = project / CUBE, tmp_path / "trap"
    open_cube(cube)
    metadata = json.loads((cube / "zarr.json").read_text())
    CHANGES[name](metadata["consolidated_metadata"]["metadata"])
    (cube / "zarr.json").write_text(json.dumps(metadata))
    for chunk in [*cube.glob("hv/*"), cube / "hv/0", cube / "digital_number/0.0.0.0"]:
        if chunk.is_file() or not chunk.exists():
            chunk.write_bytes(pickle.dumps(Planted(trap)))
    with pytest.raises(DamagedCubeError, match="not stored as|no Zarr v3 group"):
        open_cube(cube)
    assert verify(project)["file"].tolist() == [CUBE]
    assert not trap.exists()


def test_the_trap_would_work(tmp_path: Path) -> None:
    """What the other tests plant does run where it is decoded."""
    pickle.loads(pickle.dumps(Planted(tmp_path / "trap")))
    assert (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"null", b"[" * 10**5, b'{"consolidated_metadata": 1}', b"\xff"]
)
def test_metadata_that_are_none_are_damage(project: Path, text: bytes) -> None:
    (project / CUBE / "zarr.json").write_bytes(text)
    with pytest.raises(DamagedCubeError):
        open_cube(project / CUBE)


def test_other_metadata_in_the_cube_are_not_read(project: Path, tmp_path: Path) -> None:
    wanted = open_cube(project / CUBE).load()
    for array in (project / CUBE).glob("*/zarr.json"):
        array.write_text("{}")
    for name in (".zgroup", ".zmetadata", "hv/.zarray"):
        (project / CUBE / name).write_text(json.dumps({"zarr_format": 2}))
    xr.testing.assert_identical(open_cube(project / CUBE).load(), wanted)
