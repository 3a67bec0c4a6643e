"""What is missing or broken is made again, exactly that, by the settings of before."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.archive import SmallArchive
from timesync_xr import Archive, Products, Project, Selection, extract, repair, verify
from timesync_xr.cli.main import main
from timesync_xr.errors import TimesyncError
from timesync_xr.grid import REGIONS

X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
LIST = "project_id,plot_id,x,y\n" + "".join(f"1211,{n},{X + 30 * n},{Y}\n" for n in (7, 8, 9))
DAYS = ("1999-07-01", "2020-07-01", "2020-07-17", "2020-12-04")


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    archive = SmallArchive(tmp_path / "archive")
    for day in DAYS:
        archive.add("LC08" if day > "2013" else "LE07", f"{day}T18:30:00.5Z")
    archive.write_items()
    (tmp_path / "plots.csv").write_text(LIST)
    return archive


@pytest.fixture
def project(archive: SmallArchive, tmp_path: Path) -> Path:
    """A project whose plots were made with different settings."""
    for lines, select, formats in (
        (LIST.splitlines()[:3], Selection(season="06-01/09-30"), "png,csv"),
        (LIST.splitlines()[::3], Selection("2000/.."), "csv"),
    ):
        path = tmp_path / "part.csv"
        path.write_text("\n".join(lines))
        products = Products(formats, chip_size=(9, 9))
        extract(path, tmp_path / "project", of(archive), select, products, progress=False)
    return tmp_path / "project"


def contract(project: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of all files of the contract."""
    return {
        str(path.relative_to(project)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in project.glob("prj_*/**/*")
        if path.is_file()
    }


def of(archive: SmallArchive) -> Archive:
    return Archive(archive.folder / "items.json", mirror=archive.mirror)


def mend(archive: SmallArchive, project: Path, plots: Path | None = None) -> None:
    repair(project, verify(project, plots), of(archive), plots, progress=False)


@pytest.mark.deep
def test_only_what_is_broken_is_made_again_and_as_it_was(
    archive: SmallArchive, project: Path
) -> None:
    before, ledger = contract(project), Project(str(project)).plots
    assert len(before) == 3 * 4 * 2 + 3
    broken = "prj_1211/b743/plot_7/plot_7_2020_183.png"
    gone = "prj_1211/9_spectral_files_set_2020_339.csv"
    (project / broken).write_bytes(b"half")
    (project / gone).unlink()
    mend(archive, project)
    after = contract(project)
    assert {name: data for name, (data, _) in after.items()} == {
        name: data for name, (data, _) in before.items()
    }
    touched = {name for name in after if after[name][1] != before[name][1]}
    assert touched == {gone} | {name for name in after if "7_2020_183" in name} | {
        "prj_1211/7_spectral_files_set_2020_183.csv"
    }
    assert verify(project).empty
    columns = ["plot_id", "status", "products", "datetime", "filters"]
    again = Project(str(project)).plots
    assert again[columns].sort_values("plot_id").values.tolist() == (
        ledger[columns].sort_values("plot_id").values.tolist()
    )


@pytest.mark.deep
def test_a_lost_account_is_made_again(archive: SmallArchive, project: Path) -> None:
    account = project / "ledger/observations/prj_1211/plot_8.csv"
    before = account.read_bytes()
    account.unlink()
    mend(archive, project)
    assert account.read_bytes() == before
    assert verify(project).empty


@pytest.mark.deep
def test_plots_that_are_missing_are_made_like_most(archive: SmallArchive, project: Path) -> None:
    plots = project.parent / "plots.csv"
    plots.write_text(f"{LIST}1212,north,{X},{Y}\n")
    mend(archive, project, plots=plots)
    assert verify(project, plots).empty
    row = Project(str(project)).plots.set_index("plot_id").loc["north"]
    assert (row["filters"], row["products"]) == ("season=06-01/09-30", "png,csv")
    assert row["written"] == 3


@pytest.mark.deep
def test_what_should_not_be_there_is_left_alone(archive: SmallArchive, project: Path) -> None:
    stray = project / "prj_1211/notes.txt"
    stray.write_text("mine")
    before = contract(project)
    mend(archive, project)
    assert contract(project) == before


@pytest.mark.deep
def test_what_can_not_be_made_stays_a_problem(archive: SmallArchive, project: Path) -> None:
    (project / "prj_1211/9_spectral_files_set_2020_183.csv").unlink()
    next(archive.folder.rglob("*20200701*red.TIF")).unlink()
    mend(archive, project)
    (problem,) = verify(project).to_dict("records")
    assert (problem["plot_id"], problem["day"], problem["kind"]) == ("9", "2020-07-01", "failed")


@pytest.mark.deep
def test_a_repair_that_stops_is_taken_up_by_the_next(archive: SmallArchive, project: Path) -> None:
    before = contract(project)
    broken = project / "prj_1211/tc/plot_7/plot_7_2020_183.png"
    broken.write_bytes(b"half")
    with pytest.raises(TimesyncError):
        repair(project, verify(project), Archive(project / "none.json"), progress=False)
    assert not broken.exists()
    assert Project(str(project)).plots["status"].value_counts()["incomplete"] == 1
    mend(archive, project)
    assert {n: d for n, (d, _) in contract(project).items()} == {
        n: d for n, (d, _) in before.items()
    }


@pytest.mark.deep
def test_command_repairs_and_verifies_again(archive: SmallArchive, project: Path) -> None:
    (project / "prj_1211/7_spectral_files_set_2020_183.csv").unlink()
    arguments = ["verify", str(project), "--source", str(archive.folder / "items.json")]
    arguments += ["--mirror", archive.mirror]
    assert CliRunner().invoke(main, arguments).exit_code == 1
    result = CliRunner().invoke(main, [*arguments, "--repair"])
    assert result.exit_code == 0, result.output
    assert "Problems: 1 missing" in result.output
    assert "1 plot: 1 completed now" in result.output
    assert result.output.endswith("Problems: none\n")
