"""Projects that come from someone else: nothing in them runs, or leads out of a folder."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner, Result

from tests.archive import SmallArchive
from tests.making import make
from timesync_xr import Archive, Project, browse, verify
from timesync_xr.cli.main import main
from timesync_xr.errors import LeftOutWarning, ProjectError
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
@pytest.mark.cases(6)
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
    with pytest.raises(DamagedCubeError, match=r"not stored as|no Zarr v3 group"):
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


# Names that lead elsewhere


ELSEWHERE = "../../../x"


def test_no_name_of_a_project_leads_out_of_it(project: Path) -> None:
    for name in (ELSEWHERE, "/x", "a/b", "..", "", "a\\b", "a\0", "x" * 200):
        paths: list[Callable[[str], str]] = [
            files.project_path,
            lambda n: files.chip_path(n, "tc", "7", 2020, 1),
            lambda n: files.chip_path("p", n, "7", 2020, 1),
            lambda n: files.chip_path("p", "tc", n, 2020, 1),
            lambda n: files.spectra_path("p", n, 2020, 1),
            lambda n: files.spectra_path(n, "7", 2020, 1),
            lambda n: files.cube_path("p", n),
            lambda n: files.cube_path(n, "7"),
            lambda n: files.waiting_cube_path("p", n),
            lambda n: files.waiting_cube_path(n, "7"),
            lambda n: files.log_path("p", n),
            lambda n: files.log_path(n, "7"),
        ]
        for path in paths:
            with pytest.raises(ProjectError, match="the project is damaged: its name"):
                path(name)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


COMMANDS: dict[str, list[str]] = {
    "browse": ["--out", "{out}"],
    "sheet": ["--out", "{out}"],
    "combine": ["--out", "{out}"],
    "packets": ["--out", "{out}", "--size", "1", "--files", "copy"],
    "export": ["--format", "v3-json", "--out", "{out}"],
    "observations": [],
    "annual": [],
    "window": [],
    "verify": [],
    "render": ["--out", "{out}"],
}


@pytest.mark.parametrize("where", ["composite", "project", "plot"])
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.cases(6)
def test_no_command_follows_a_name_out_of_its_folder(
    project: Path, tmp_path: Path, command: str, where: str
) -> None:
    if where == "composite":
        settings = json.loads((project / files.SETTINGS).read_text())
        settings["composites"][ELSEWHERE] = settings["composites"].pop("tc")
        (project / files.SETTINGS).write_text(json.dumps(settings))
    else:
        plots = pd.read_csv(project / files.PLOTS, dtype=str, keep_default_na=False)
        plots[f"{where}_id"] = ELSEWHERE
        plots.to_csv(project / files.PLOTS, index=False)
    before = snapshot(tmp_path)
    out = str(tmp_path / "a/b/c/out")
    told = run(command, str(project), *(text.format(out=out) for text in COMMANDS[command]))
    assert told.exit_code == 1, told.output
    assert "damaged" in told.output
    after = snapshot(tmp_path)
    assert {name for name in after if name not in before and not name.startswith("a/b/c/out/")} == (
        set()
    )
    assert before.items() <= after.items()


def run(command: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [command, *arguments])


def test_a_link_is_no_way_to_a_file_elsewhere(project: Path, tmp_path: Path) -> None:
    """A site does not take along what the project of someone else links to."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    for chip in project.glob("prj_p/*/plot_7/*.png"):
        chip.unlink()
        chip.symlink_to(secret)
    browse(project, tmp_path / "site")
    assert not [
        p for p in (tmp_path / "site").rglob("*") if p.is_file() and b"hunter2" in p.read_bytes()
    ]


@pytest.mark.parametrize("what", ["device", "pipe", "folder"])
def test_what_is_no_file_is_not_read(project: Path, what: str) -> None:
    spectra = next(project.glob("prj_p/*.csv"))
    spectra.unlink()
    if what == "device":
        spectra.symlink_to("/dev/zero")
    elif what == "pipe":
        os.mkfifo(spectra)
    else:
        spectra.mkdir()
    with pytest.warns(LeftOutWarning, match="can't be read"):
        Project(project).spectra()
