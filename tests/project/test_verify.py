"""Whatever is missing, broken or too much in a project is found, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.archive import SmallArchive
from tests.handmade import Observation, write_project
from timesync_xr import Archive, Products, Project, extract, read_plots, verify
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.project.files import png_bytes
from timesync_xr.project.verify import COLUMNS

INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
CHIP = "prj_1211/tc/plot_7/plot_7_2020_183.png"
ROW = "prj_1211/7_spectral_files_set_2020_183.csv"
SIZE = (9, 8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive, a plot list and the project of two plots and three days."""
    folder = tmp_path_factory.mktemp("made")
    archive = SmallArchive(folder / "archive")
    for day in ("2020-07-01", "2020-07-17", "2021-07-04"):
        archive.add("LC08", f"{day}T18:30:00.5Z")
    x, y = INSIDE
    (folder / "plots.csv").write_text(
        f"project_id,plot_id,x,y\n1211,7,{x},{y}\n1211,north,{x + 30},{y}\n"
    )
    extract(
        folder / "plots.csv",
        folder / "project",
        Archive(archive.write_items(), mirror=archive.mirror),
        products=Products(("png", "csv"), chip_size=SIZE),
        progress=False,
    )
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A copy of the project that a test may damage."""
    return Path(shutil.copytree(made / "project", tmp_path / "project"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("archive", ["real", "mosaic"])
def test_golden_projects_have_no_problems(
    shared: Path, golden_projects: dict[str, Path], archive: str, quick: bool
) -> None:
    problems = verify(
        golden_projects[archive], shared / "golden" / archive / "plots.csv", quick=quick
    )
    assert tuple(problems.columns) == COLUMNS
    assert problems.empty


@pytest.mark.deep
def test_sample_project_has_no_problems(sample_project: Path) -> None:
    assert verify(sample_project).empty


def test_reference_output_has_no_problems(
    shared: Path, golden_projects: dict[str, Path], tmp_path: Path
) -> None:
    """Chips and values of the reference, with PNGs that another program wrote."""
    shutil.copytree(golden_projects["real"] / "ledger", tmp_path / "ledger")
    shutil.copytree(shared / "golden/real_expected/prj_1211", tmp_path / "prj_1211")
    assert verify(tmp_path).empty


def no_file(path: Path) -> None:
    path.unlink()


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def other_size(path: Path) -> None:
    path.write_bytes(png_bytes(np.zeros((9, 9, 3), np.uint8)))


def grey(path: Path) -> None:
    with Image.open(path) as image:
        image.convert("L").save(path)


def other_plot_pixel(path: Path) -> None:
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[SIZE[1] // 2, SIZE[0] // 2, 1] ^= 1
    path.write_bytes(png_bytes(pixels))


def other_day(path: Path) -> None:
    shutil.copy(path.with_name(path.name.replace("2020_183", "2020_199")), path)


def other_value(path: Path) -> None:
    cells = path.read_text().split(",")
    cells[-3] = str(1500 if int(cells[-3]) != 1500 else 2500)
    path.write_text(",".join(cells))


@pytest.mark.parametrize(
    ("file", "damage", "kind", "words"),
    [
        (CHIP, no_file, "missing", "the file is missing"),
        (CHIP, half, "broken", "ends too early"),
        (CHIP, nothing, "broken", "no PNG"),
        (CHIP, other_size, "broken", "9 x 9 .* not 9 x 8"),
        (CHIP, grey, "broken", "not 9 x 8 of 8-bit RGB"),
        (CHIP, other_plot_pixel, "broken", "the plot pixel is"),
        (CHIP.replace("tc", "b432"), other_day, "broken", "the plot pixel is"),
        (ROW, no_file, "missing", "the file is missing"),
        (ROW, half, "broken", "header"),
        (ROW, other_day, "broken", "does not begin with LC08,1211,7,0309,2020,183"),
    ],
)
@pytest.mark.cases(6)
def test_damage_is_found_and_named(
    project: Path, file: str, damage: Callable[[Path], None], kind: str, words: str
) -> None:
    damage(project / file)
    (problem,) = verify(project).to_dict("records")
    assert problem["file"] == file
    assert (problem["project_id"], problem["plot_id"]) == ("1211", "7")
    assert problem["day"] == "2020-07-01"
    assert problem["kind"] == kind
    assert pd.Series([problem["problem"]]).str.contains(words).all()
    assert "--repair" in problem["remedy"]
    quick = verify(project, quick=True)
    assert quick["file"].tolist() == ([file] if kind == "missing" else [])


def test_a_value_that_the_chips_do_not_show_is_found(project: Path) -> None:
    """The chips can't tell which of the two is right: all that differ are named."""
    other_value(project / ROW)
    problems = verify(project)
    assert set(problems["file"]) <= {CHIP.replace("tc", name) for name in ("tc", "b743")}
    assert problems["problem"].str.contains("the values of its row have the colour").all()
    assert len(problems) >= 1


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("prj_1211/notes.txt", "no name of the contract"),
        ("prj_1211/tc/plot_7/Thumbs.db", "belongs to no observation"),
        ("prj_1211/tc/plot_7/plot_7_2020_184.png", "belongs to no observation"),
        ("prj_1211/7_spectral_files_set_2020_184.csv", "belongs to no observation"),
        ("prj_1211/7_spectral_files_set_2020_0183.csv", "no name of the contract"),
        ("prj_1211/b743/plot_8", "does not know this plot"),
        ("prj_1211/b743/x", "does not know this plot"),
        ("prj_9", "knows no plot of this project"),
    ],
)
@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.cases(6)
def test_what_should_not_be_there_is_found(
    project: Path, file: str, words: str, quick: bool
) -> None:
    (project / file).parent.mkdir(exist_ok=True)
    if "." in file:
        (project / file).write_text("x")
    else:
        (project / file).mkdir()
    (problem,) = verify(project, quick=quick).to_dict("records")
    assert (problem["file"], problem["kind"]) == (file, "stray")
    assert words in problem["problem"]
    assert "emove it" in problem["remedy"]


def test_rows_of_a_plot_that_the_ledger_does_not_know_are_one_problem(project: Path) -> None:
    """As while a run is making it."""
    for doy in range(100, 150):
        (project / f"prj_1211/x_y_spectral_files_set_2020_{doy}.csv").write_text("x")
    (problem,) = verify(project).to_dict("records")
    assert problem["plot_id"] == "x_y"
    assert problem["file"] == "prj_1211/x_y_spectral_files_set_*.csv"
    assert "50 of these files" in problem["problem"]
    assert "wait" in problem["remedy"]


def test_cubes_and_what_lies_beside_the_contract_are_no_problem(project: Path) -> None:
    for folder in ("prj_1211/cubes", "combined", "exports", "browse"):
        (project / folder).mkdir()
    assert verify(project).empty


def test_all_plots_of_the_list_must_be_there(made: Path, project: Path, tmp_path: Path) -> None:
    plots = tmp_path / "more.csv"
    plots.write_text((made / "plots.csv").read_text() + f"1211,8,{INSIDE[0]},{INSIDE[1]}\n")
    (problem,) = verify(project, plots).to_dict("records")
    assert (problem["plot_id"], problem["kind"]) == ("8", "not done")
    assert "not in the ledger" in problem["problem"]
    assert "timesync-xr extract" in problem["remedy"]
    assert verify(project, read_plots(made / "plots.csv")).empty


def test_another_list_is_refused(made: Path, project: Path, tmp_path: Path) -> None:
    plots = tmp_path / "moved.csv"
    plots.write_text((made / "plots.csv").read_text().replace(str(INSIDE[1]), str(INSIDE[1] + 30)))
    with pytest.raises(InputError, match="plot 7 of project 1211 was made at"):
        verify(project, plots)


def test_a_lost_account_is_found(project: Path) -> None:
    (project / "ledger/observations/prj_1211/plot_7.csv").unlink()
    problems = verify(project)
    assert problems["kind"].tolist()[0] == "not done"
    assert "the ledger counts 3 observations, the log 0" in problems["problem"][0]


def test_a_plot_that_is_marked_as_incomplete_is_found(project: Path) -> None:
    """As a run leaves it that was stopped."""
    ledger = project / "ledger/plots.csv"
    ledger.write_text(ledger.read_text().replace("complete", "incomplete", 1))
    (problem,) = verify(project).to_dict("records")
    assert (problem["plot_id"], problem["kind"]) == ("7", "not done")
    assert "incomplete" in problem["problem"]


@pytest.mark.deep
def test_what_failed_is_told_with_cause_and_remedy(made: Path, tmp_path: Path) -> None:
    archive = Path(shutil.copytree(made / "archive", tmp_path / "archive"))
    next(archive.rglob("*20200717*red.TIF")).unlink()
    extract(
        made / "plots.csv",
        tmp_path / "out",
        Archive(archive / "items.json", mirror=f"s3://usgs-landsat-ard={archive}"),
        products=Products(chip_size=SIZE),
        progress=False,
    )
    problems = verify(tmp_path / "out")
    assert problems["kind"].tolist() == ["failed", "failed"]
    assert problems["day"].tolist() == ["2020-07-17"] * 2
    assert problems["problem"].str.contains("LC08_CU_003009_20200717_20210504_02_SR red").all()
    assert (problems["remedy"] != "").all()


@pytest.mark.deep
def test_a_project_without_chips_needs_none(made: Path, tmp_path: Path) -> None:
    archive = made / "archive"
    for products in (("csv",), ("png",)):
        out = tmp_path / products[0]
        extract(
            made / "plots.csv",
            out,
            Archive(archive / "items.json", mirror=f"s3://usgs-landsat-ard={archive}"),
            products=Products(products, chip_size=SIZE),
            progress=False,
        )
        assert Project(str(out)).plots["written"].tolist() == [3, 3]
        assert verify(out).empty
        assert verify(out, quick=True).empty


def test_no_project_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="has no ledger"):
        verify(tmp_path)


@pytest.mark.deep
def test_command_tells_all_and_by_its_exit_code(made: Path, project: Path, tmp_path: Path) -> None:
    clean = run(project, "--plots", made / "plots.csv")
    assert (clean.exit_code, clean.stdout) == (0, "Problems: none\n")
    quiet = CliRunner().invoke(main, ["--quiet", "verify", str(project)])
    assert (quiet.exit_code, quiet.output) == (0, "")
    for path in (project / "prj_1211").rglob("*.png"):
        path.unlink()
    (project / "prj_1211/notes.txt").write_text("x")
    result = run(project, "--table", tmp_path / "problems.csv")
    assert result.exit_code == 1
    assert f"missing: {CHIP}: the file is missing. Make it again" in result.stdout
    assert "--table FILE.csv lists all" not in run(made / "project").stdout
    assert "Problems: 18 missing, 1 stray" in result.stdout
    table = pd.read_csv(tmp_path / "problems.csv", dtype=str)
    assert len(table) == 19
    assert tuple(table.columns) == COLUMNS
    assert run(tmp_path / "nowhere").exit_code == 2
    assert run(project, "--plots", tmp_path / "none.csv").exit_code == 2


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("x", "1e308"),
        ("written", "9" * 30),
        ("failures", "[" * 2000 + "]" * 2000),
        ("failures", "{"),
        ("datetime", "yesterday"),
    ],
)
def test_a_cell_of_the_ledger_that_none_can_be_is_damage(
    tmp_path: Path, column: str, cell: str
) -> None:
    project = write_project(tmp_path, [Observation("1", "7", "2020-07-01")])
    path = project / "ledger/plots.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table[column] = cell
    table.to_csv(path, index=False)
    problems = verify(project)
    assert problems[["kind", "file"]].values.tolist()[0] == ["broken", "ledger/plots.csv"]


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"source": "elsewhere"}, "the ledger has another source than the log"),
        ({"fill_at_plot": "3"}, "the ledger has another fill_at_plot than the log"),
        ({"log_checksum": "00000000"}, "its checksum is not that of the ledger"),
        ({"status": "incomplete", "failed": "1"}, "the ledger has it as incomplete"),
    ],
)
def test_a_row_of_the_ledger_is_what_the_log_comes_to(
    tmp_path: Path, cells: dict[str, str], problem: str
) -> None:
    project = write_project(tmp_path, [Observation("1", "7", "2020-07-01")])
    assert verify(project).empty
    path = project / "ledger/plots.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.assign(**cells).to_csv(path, index=False)
    assert verify(project)["problem"].tolist() == [problem]
