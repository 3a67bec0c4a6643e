"""A project of tables of spectra is that of CSVs, to the character, for all who read it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.making import make
from tests.run.test_yearly import LinkedArchive, random_archive
from timesync_xr import (
    Project,
    browse,
    combine,
    export_project,
    repair,
    verify,
    write_packets,
)
from timesync_xr.cube.plan import Plan
from timesync_xr.errors import DamagedError
from timesync_xr.grid import REGIONS
from timesync_xr.project import spectra
from timesync_xr.project.files import table_path
from timesync_xr.project.rows import NO_FILE, NO_ROW
from timesync_xr.project.spectra import PlotTable, read_table, table_bytes
from timesync_xr.run import pixels as run_pixels
from timesync_xr.run import plot as run_plot
from timesync_xr.run.render import render
from timesync_xr.spectral.series import CSV_COLUMNS
from timesync_xr.storage.folder import Folder

X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
IDS = (("p", "7"), ("p", "8,b"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> LinkedArchive:
    return random_archive(tmp_path_factory.mktemp("archive"), 3)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = pd.DataFrame(IDS, columns=["project_id", "plot_id"]).assign(x=[X, X + 600], y=Y)
    path = tmp_path_factory.mktemp("list") / "plots.csv"
    table.to_csv(path, index=False)
    return path


def run(listed: Path, out: Path, archive: LinkedArchive, formats: str, **options: Any) -> Project:
    made = make(listed, out, archive.source, formats=formats, **{"chip_size": 3} | options)
    assert made.complete
    return Project(out)


@pytest.fixture(scope="module")
def both(
    listed: Path, archive: LinkedArchive, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, Project]:
    """The same project by CSVs and by tables, in folders of one name."""
    one, other = (tmp_path_factory.mktemp(name) / "made" for name in ("csv", "spectra"))
    return (
        run(listed, one, archive, "png,csv"),
        run(listed, other, archive, "png,spectra"),
    )


@pytest.fixture(scope="module")
def cubes(listed: Path, archive: LinkedArchive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of cubes alone."""
    out = tmp_path_factory.mktemp("cubes") / "made"
    run(listed, out, archive, "zarr")
    return out


@pytest.fixture
def copy(both: tuple[Project, Project], tmp_path: Path) -> Project:
    """A project of tables to spoil."""
    shutil.copytree(both[1].place, tmp_path / "made")
    return Project(tmp_path / "made")


def files(folder: Path) -> dict[str, bytes]:
    paths = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def of(place: str | Path, *parts: str) -> dict[str, bytes]:
    return {name: data for name, data in files(Path(place)).items() if name.startswith(parts)}


def test_a_table_has_the_rows_of_the_csvs_in_place_of_them(both: tuple[Project, Project]) -> None:
    one, other = (of(project.place, "prj_") for project in both)
    for plot in IDS:
        rows = parquet.read_table(Path(both[1].place, table_path(*plot))).to_pandas()
        start = f"prj_p/{plot[1]}_spectral"
        csvs = [data.decode() for name, data in sorted(one.items()) if name.startswith(start)]
        header = csvs[0].splitlines()[0]
        assert rows.to_csv(index=False).splitlines() == [
            header,
            *(text.splitlines()[1] for text in csvs),
        ]
        assert len(csvs) > 5
    assert not any(name.endswith(".csv") for name in other)
    assert {n for n in one if n.endswith(".png")} == {n for n in other if n.endswith(".png")}
    assert len(other) == len([n for n in one if n.endswith(".png")]) + len(IDS)


@pytest.mark.deep
def test_what_is_made_of_either_is_the_same_to_the_byte(
    both: tuple[Project, Project], tmp_path: Path
) -> None:
    made = []
    for project, name in zip(both, ("one", "other"), strict=True):
        out = tmp_path / name
        assert combine(project, out=out / "combined").complete
        for form in ("v3-json", "series"):
            export_project(project, form, out / form)
        browse(project, out / "site", title="same", progress=False)
        write_packets(project, out / "packets", 1, files="copy")
        for packet in ("packet_1", "packet_2"):
            place = next((out / "packets").glob(f"{packet[:-1]}*{packet[-1]}"))
            if place.is_dir():
                assert verify(place).empty
                assert combine(place, out=out / packet).complete
        made.append(files(out))
    kept = [{n: d for n, d in of_one.items() if "packets/" not in n} for of_one in made]
    assert kept[0].keys() == kept[1].keys()
    parquets = [n for n in kept[0] if n.endswith(".parquet")]
    different = [n for n in kept[0] if kept[0][n] != kept[1][n]]
    assert not different
    assert parquets


@pytest.mark.deep
def test_tables_of_either_are_the_same(both: tuple[Project, Project]) -> None:
    for name in ("annual", "series", "observations", "density", "annual_index", "spectra"):
        one, other = (getattr(project, name)() for project in both)
        pd.testing.assert_frame_equal(one, other)
        assert len(one) or name == "density"
    assert verify(both[0]).empty
    assert verify(both[1]).empty
    assert verify(both[1], quick=True).empty
    assert both[1].files(IDS[0], "2001-01-01")[-1] == table_path(*IDS[0])


@pytest.mark.deep
def test_cubes_are_rendered_into_either(
    both: tuple[Project, Project], cubes: Path, tmp_path: Path
) -> None:
    render(cubes, tmp_path / "drawn", formats="png,spectra", progress=False)
    assert of(tmp_path / "drawn", "prj_") == of(both[1].place, "prj_")
    assert verify(tmp_path / "drawn").empty


@pytest.mark.deep
def test_spectra_alone_and_chips_per_year_go_on_with_a_table(
    archive: LinkedArchive, listed: Path, both: tuple[Project, Project], tmp_path: Path
) -> None:
    alone = run(listed, tmp_path / "alone", archive, "spectra")
    tables = {n: d for n, d in of(both[1].place, "prj_").items() if n.endswith(".parquet")}
    assert of(alone.place, "prj_") == tables
    some = run(listed, tmp_path / "some", archive, "png,spectra", chips_per_year=1)
    run(listed, tmp_path / "csvs", archive, "png,csv", chips_per_year=1)
    found = [combine(tmp_path / name, out=tmp_path / f"{name}_c") for name in ("some", "csvs")]
    assert files(Path(found[0].out)) == files(Path(found[1].out))
    more = run(listed, tmp_path / "some", archive, "png,spectra")
    assert of(more.place, "prj_") == of(both[1].place, "prj_")
    assert some.place == more.place


@pytest.fixture
def no_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be read of the archive."""

    def read_nothing(todo: Plan, *_: object) -> Iterator[Any]:
        assert todo.observations.empty
        return iter(())

    monkeypatch.setattr(run_plot, "read_ahead", read_nothing)
    monkeypatch.setattr(run_pixels, "read_ahead", read_nothing)


@pytest.mark.usefixtures("no_archive")
@pytest.mark.deep
def test_products_are_made_of_a_kept_cube(
    archive: LinkedArchive, listed: Path, both: tuple[Project, Project], cubes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "made"
    shutil.copytree(cubes, out)
    for formats in ("csv", "spectra", "png"):
        run(listed, out, archive, formats)
    found = {name: data for name, data in of(out, "prj_").items() if ".zarr" not in name}
    assert found == {n: d for project in both for n, d in of(project.place, "prj_").items()}
    before, now = (Project(place).log(IDS[0]) for place in (cubes, out))
    pd.testing.assert_frame_equal(before, now)
    assert verify(out).empty
    assert of(out, "prj_p/cubes") == of(cubes, "prj_p/cubes")


@pytest.mark.deep
def test_what_a_kept_cube_has_no_more_comes_from_the_archive(
    archive: LinkedArchive, listed: Path, both: tuple[Project, Project], cubes: Path, tmp_path: Path
) -> None:
    """Its pixels are damaged, or those of another observation, as the log tells."""
    out = tmp_path / "made"
    shutil.copytree(cubes, out)
    log = next((out / "ledger/observations/prj_p").glob("plot_7.csv"))
    sums = [str(text) for text in Project(out).log(IDS[0])["checksum"] if text]
    log.write_text(log.read_text().replace(sums[0], "01234567"))
    run(listed, out, archive, "png,csv,zarr")
    found = {name: data for name, data in of(out, "prj_").items() if ".zarr" not in name}
    assert found == of(both[0].place, "prj_")
    assert verify(out).empty


@pytest.mark.deep
def test_a_table_is_made_of_the_csvs_that_are_there(
    archive: LinkedArchive,
    listed: Path,
    both: tuple[Project, Project],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    run(listed, tmp_path / "made", archive, "png,csv")
    request.getfixturevalue("no_archive")
    project = run(listed, tmp_path / "made", archive, "png,spectra")
    found = of(project.place, "prj_p/spectra")
    assert found == of(both[1].place, "prj_p/spectra")
    assert verify(project).empty


def stopped_at_table(
    write: Callable[..., None], wait: bool
) -> Callable[[Folder, str, bytes], None]:
    """A `Folder.write` that stops at a table, before it is in place or after."""

    def stop(self: Folder, path: str, data: bytes) -> None:
        if wait or not path.endswith(".parquet"):
            write(self, path, data)
        if path.endswith(".parquet"):
            raise KeyboardInterrupt

    return stop


@pytest.mark.deep
def test_a_stopped_run_goes_on(
    archive: LinkedArchive, listed: Path, both: tuple[Project, Project], tmp_path: Path
) -> None:
    """Stopped before and after the table is in place: its log vouches for no row until then."""
    for number, wait in enumerate((False, True)):
        out = tmp_path / str(number)
        run(listed, out, archive, "png,spectra", datetime="2001")
        before = combine(out, out=tmp_path / f"c{number}").rows
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Folder, "write", stopped_at_table(Folder.write, wait))
            with pytest.raises(KeyboardInterrupt):
                run(listed, out, archive, "png,spectra")
        found = combine(out, out=tmp_path / f"c{number}")
        assert (found.rows, found.left_out.empty) == (before, True)
        run(listed, out, archive, "png,spectra")
        assert of(out, "prj_", "ledger/obs") == of(both[1].place, "prj_", "ledger/obs")


def other_columns(table: pd.DataFrame) -> bytes:
    """A table whose file is whole, with values of another type."""
    with pytest.MonkeyPatch.context() as patch:
        schema = spectra._schema()
        at = schema.get_field_index("nir")
        patch.setattr(
            spectra, "_schema", lambda: schema.set(at, schema.field(at).with_type(pa.int64()))
        )
        return table_bytes(table)


def spoil(project: Project, how: str) -> None:
    """Damage the table of the first plot."""
    path = Path(project.place, table_path(*IDS[0]))
    data, table = path.read_bytes(), read_table(project.folder, *IDS[0])
    dark = table["blue"].between(1, 2000) & (table["nir"] > 0)
    extra = table.iloc[:1].assign(year=1999)
    changed: dict[str, Callable[[], object]] = {
        "gone": path.unlink,
        "empty": lambda: path.write_bytes(b""),
        "half": lambda: path.write_bytes(data[: len(data) // 2]),
        "other columns": lambda: path.write_bytes(other_columns(table)),
        "twice": lambda: path.write_bytes(table_bytes(pd.concat([table, table[:1]]))),
        "a row less": lambda: path.write_bytes(table_bytes(table[1:])),
        "a row more": lambda: path.write_bytes(table_bytes(pd.concat([extra, table]))),
        "other date": lambda: path.write_bytes(table_bytes(table.assign(date="2001"))),
        "range": lambda: path.write_bytes(table_bytes(table.assign(nir=-2001))),
        "colour": lambda: path.write_bytes(
            table_bytes(table.assign(nir=table["nir"] + 900 * dark))
        ),
    }
    changed[how]()


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("gone", "missing", NO_FILE),
        ("empty", "broken", "the table is damaged"),
        ("half", "broken", "the table is damaged"),
        ("other columns", "broken", "columns are not those"),
        ("twice", "broken", "a day twice"),
        ("a row less", "missing", NO_ROW),
        ("a row more", "broken", "no observation that was written"),
        ("other date", "broken", "does not begin with"),
        ("range", "broken", "outside -2000 to 16022"),
        ("colour", "broken", "the values of its row have the colour"),
    ],
)
@pytest.mark.cases(1)
def test_damage_is_named_and_mended(
    both: tuple[Project, Project],
    copy: Project,
    archive: LinkedArchive,
    how: str,
    kind: str,
    words: str,
) -> None:
    spoil(copy, how)
    problems = verify(copy)
    assert set(problems["kind"]) == {kind}
    assert problems["problem"].str.contains(words).all()
    assert set(problems["plot_id"]) == {"7"}
    made = combine(copy, out=Path(copy.place).parent / "combined")
    assert made.left_out.empty == (how in ("a row more", "colour"))
    assert set(made.left_out["file"]) <= {table_path(*IDS[0])}
    repair(copy, problems, archive.source, progress=False)
    assert verify(copy).empty
    assert of(copy.place, "prj_") == of(both[1].place, "prj_")


def test_a_flipped_bit_is_noticed(copy: Project) -> None:
    """Also where a reader of Parquet would not notice, or would end the process."""
    path, dice = Path(copy.place, table_path(*IDS[0])), np.random.default_rng(1)
    data = path.read_bytes()
    for at in [*dice.choice(len(data), 200, replace=False).tolist(), *range(-20, 0)]:
        changed = bytearray(data)
        changed[at] ^= 4
        path.write_bytes(changed)
        with pytest.raises(DamagedError, match="damaged"):
            read_table(copy.folder, *IDS[0])


def test_strays_among_tables_are_named(copy: Project) -> None:
    Path(copy.place, "prj_p/spectra/plot_9.parquet").write_bytes(b"")
    problems = verify(copy)
    assert problems["problem"].tolist() == ["the ledger knows no plot with this table"]


def test_what_goes_leaves_the_table(copy: Project, archive: LinkedArchive, listed: Path) -> None:
    options = {"season": "06-01/08-31", "prune": True}
    run(listed, Path(copy.place), archive, "png,spectra", **options)
    table = read_table(copy.folder, *IDS[0])
    assert len(table)
    assert table["doy"].between(152, 244).all()
    assert verify(copy).empty


def test_huge_tables_are_refused(tmp_path: Path) -> None:
    row = dict.fromkeys(CSV_COLUMNS, "x") | dict.fromkeys(CSV_COLUMNS[4:13], 1)
    table = pd.DataFrame([row] * 50_001)
    folder = Folder(tmp_path)
    folder.write(table_path("p", "7"), table_bytes(table))
    with pytest.raises(Exception, match="no plot has so many rows"):
        read_table(folder, "p", "7")
    folder.write(table_path("p", "7"), table_bytes(table[:1].assign(date="x" * 2000)))
    with pytest.raises(Exception, match="none of the contract"):
        read_table(folder, "p", "7")


def test_a_plot_without_a_table_writes_none(tmp_path: Path) -> None:
    from timesync_xr.plots import Plot

    table = PlotTable(Folder(tmp_path), Plot("p", "7", 0, 0), wanted=False)
    table.keep({"2020-01-01"})
    assert not [*tmp_path.rglob("*.parquet")]
