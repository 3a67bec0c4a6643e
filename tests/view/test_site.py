"""The site of a project: what its data say, held against the project's own tables."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from tests.handmade import Observation, write_project
from tests.making import make
from timesync_xr import Archive, Project, read_plots
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, LeftOutWarning, ProjectError
from timesync_xr.interpret.legend import read_legend
from timesync_xr.sample import SamplePaths
from timesync_xr.view.site import browse
from timesync_xr.view.site.records import INDEX_COLUMNS
from timesync_xr.view.site.site import legend_of, renew


def data_of(path: Path) -> dict[str, Any]:
    """The values that a script hands to its page."""
    function, _, rest = path.read_text().partition("(")
    assert function in {"timesync.receiveIndex", "timesync.receivePlot"}
    data: dict[str, Any] = json.loads(rest.removesuffix(");\n"))
    return data


@pytest.fixture(scope="module")
def site(sample_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of the sample project, outside of it."""
    return Path(browse(sample_project, tmp_path_factory.mktemp("site")).out)


@pytest.mark.deep
def test_list_holds_every_plot_of_the_ledger(site: Path, sample_project: Path) -> None:
    listed = data_of(site / "data/plots.js")
    table = pd.DataFrame(listed["plots"], columns=list(INDEX_COLUMNS))
    ledger = Project(str(sample_project)).plots
    keys = ["project_id", "plot_id", "x", "y", "status", "observations", "written"]
    assert sorted(map(tuple, table.iloc[:, :7].to_numpy().tolist())) == sorted(
        map(tuple, ledger[keys].to_numpy().tolist())
    )


@pytest.mark.deep
def test_list_tells_of_the_fire(site: Path) -> None:
    """Plot 2 of the sample is forest that burnt in July 1996."""
    listed = data_of(site / "data/plots.js")
    rows = [dict(zip(INDEX_COLUMNS, values, strict=True)) for values in listed["plots"]]
    (burnt,) = [row for row in rows if row["plot"] == "2"]
    assert burnt["fall_year"] == 1996
    assert burnt["fall"] < -0.5
    assert all(0.5 < row["clear"] <= 1 for row in rows)


def test_plot_holds_every_observation_with_the_values_of_its_csv(
    site: Path, sample_project: Path
) -> None:
    record = data_of(site / "data/prj_1001/plot_2.js")
    rows = pd.DataFrame(record["observations"])
    account = Project(str(sample_project)).log(("1001", "2"))
    assert rows["day"].tolist() == account.loc[account["outcome"] == "written", "day"].tolist()
    assert len(record["rest"]) == (account["outcome"] != "written").sum()
    for row in rows.iloc[::10].to_dict("records"):
        day = pd.Timestamp(row["day"])
        name = f"2_spectral_files_set_{day.year}_{day.day_of_year:03d}.csv"
        csv = pd.read_csv(sample_project / "prj_1001" / name).iloc[0]
        for column in ("sensor", "date", "blue", "green", "red", "nir", "swir1", "swir2", "qa"):
            assert row[column] == csv[column]
        nbr = (csv["nir"] - csv["swir2"]) / (csv["nir"] + csv["swir2"])
        assert row["nbr"] == pytest.approx(nbr, abs=1e-4)


def test_annual_choice_is_one_a_year(site: Path) -> None:
    record = data_of(site / "data/prj_1001/plot_2.js")
    years = [
        record["observations"]["day"][position][:4]
        for position in record["annual_by_rule"]["contract"]
    ]
    assert years == sorted(set(years))
    assert set(years) == {day[:4] for day in record["observations"]["day"]}


def test_outside_the_project_chips_are_hard_links(site: Path, sample_project: Path) -> None:
    chip = "prj_1001/tc/plot_2/plot_2_1996_222.png"
    assert os.path.samefile(site / chip, sample_project / chip)
    assert data_of(site / "data/plots.js")["chips"] == ""
    assert len(list(site.glob("prj_*/*/*/*.png"))) == len(
        list(sample_project.glob("prj_*/*/*/*.png"))
    )


@pytest.mark.deep
def test_chips_are_copied_where_links_are_refused(
    sample_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", refuse)
    browse(sample_project, tmp_path)
    chip = "prj_1001/tc/plot_2/plot_2_1996_222.png"
    assert (tmp_path / chip).read_bytes() == (sample_project / chip).read_bytes()
    assert not os.path.samefile(tmp_path / chip, sample_project / chip)


@pytest.mark.parametrize(("out", "way"), [("", "../"), ("looks/at/it", "../../../")])
@pytest.mark.deep
def test_inside_the_project_its_own_chips_are_shown(
    sample_project: Path, tmp_path: Path, out: str, way: str
) -> None:
    project = tmp_path / "project"
    shutil.copytree(sample_project, project, copy_function=os.link)
    site = browse(project, project / out if out else "")
    assert data_of(Path(site.out) / "data/plots.js")["chips"] == way
    assert not list(Path(site.out).rglob("*.png"))
    assert (Path(site.out) / way / "prj_1001/tc").is_dir()
    assert "together" in str(site)


@pytest.mark.deep
def test_made_again_it_is_the_same(site: Path, sample_project: Path) -> None:
    before = {path: path.read_bytes() for path in site.rglob("*.js")}
    browse(sample_project, site)
    assert {path: path.read_bytes() for path in site.rglob("*.js")} == before


@pytest.mark.deep
def test_what_is_missing_is_left_out(sample_project: Path, tmp_path: Path) -> None:
    """Neither a chip nor a CSV that is gone stops the site."""
    project = tmp_path / "project"
    shutil.copytree(sample_project, project, copy_function=os.link)
    (project / "prj_1001/tc/plot_2/plot_2_1996_222.png").unlink()
    (project / "prj_1001/2_spectral_files_set_1996_222.csv").unlink()
    with pytest.warns(LeftOutWarning, match="1996_222.csv: the file is missing"):
        site = Path(browse(project, tmp_path / "site").out)
    record = data_of(site / "data/prj_1001/plot_2.js")
    at = record["observations"]["day"].index("1996-08-09")
    assert record["observations"]["blue"][at] is None
    assert record["observations"]["nbr"][at] is None
    assert at not in record["annual_by_rule"]["contract"]


@pytest.mark.deep
def test_annual_choice_is_that_of_the_target_day(sample_project: Path, tmp_path: Path) -> None:
    """Plot 2 has four observations in 1995: the choice follows the day as `annual` does."""
    browse(sample_project, tmp_path, target_day=100)
    assert data_of(tmp_path / "data/plots.js")["target_day"] == 100
    record = data_of(tmp_path / "data/prj_1001/plot_2.js")
    days = [
        record["observations"]["day"][position] for position in record["annual_by_rule"]["contract"]
    ]
    plot = pd.DataFrame({"project_id": ["1001"], "plot_id": ["2"]})
    table = Project(sample_project).annual(plot, target_day=100).dropna(subset="doy")
    expected = pd.to_datetime(table["year"] * 1000 + table["doy"].astype(int), format="%Y%j")
    assert days == expected.dt.strftime("%Y-%m-%d").tolist()
    usual = Project(sample_project).annual(plot).dropna(subset="doy")
    assert table["doy"].tolist() != usual["doy"].tolist()


@pytest.mark.parametrize("out", ["project/browse", "site"])
@pytest.mark.deep
def test_what_the_project_lost_is_gone_from_a_site_made_again(
    sample_project: Path, tmp_path: Path, out: str
) -> None:
    project, site = tmp_path / "project", tmp_path / out
    shutil.copytree(sample_project, project, copy_function=os.link)
    browse(project, site)
    (site / "notes.txt").write_text("mine")
    (site / "data/mine.js").write_text("mine")
    lost = project / "ledger/observations/prj_1001/plot_2.csv"
    account = lost.read_text().splitlines(keepends=True)
    lost.unlink()
    lost.write_text("".join(line for line in account if "1996-08-09" not in line))
    ledger = project / "ledger/plots.csv"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.unlink()  # a hard link to the shared project
    ledger.write_text("".join(line for line in lines if "river-bank" not in line))

    with pytest.warns(LeftOutWarning, match=r"plot 2: the ledger counts \d+ observations, the log"):
        browse(project, site)

    assert not list(site.rglob("*river-bank*.*"))
    assert not list(site.rglob("plot_2_1996_222.png"))
    assert (site / "data/prj_1001/plot_2.js").is_file()
    assert len(list(site.rglob("plot_2_1997_208.png"))) == (3 if out == "site" else 0)
    assert (site / "notes.txt").read_text() == (site / "data/mine.js").read_text() == "mine"
    shown = project if out == "project/browse" else site  # the project's own chips stay
    assert len(list(shown.glob("prj_*/*/plot_2/plot_2_1997_208.png"))) == 3
    assert len(list(project.glob("prj_*/*/plot_2/plot_2_1996_222.png"))) == 3


def test_another_project_is_no_place_for_a_site(sample_project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(sample_project, other, copy_function=os.link)
    before = sorted(other.rglob("*"))
    with pytest.raises(InputError, match="project of its own"):
        browse(sample_project, other)
    assert sorted(other.rglob("*")) == before


@pytest.mark.deep
def test_plots_without_spectra_are_shown_by_their_chips(
    sample: SamplePaths, tmp_path: Path
) -> None:
    """Two plots with chips alone and one with spectra: each has its own."""
    archive = Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}")
    plots = read_plots(sample.plots)
    make(plots.iloc[[0, 2]], tmp_path / "p", archive, datetime="1996-08-09", formats="png")
    make(plots.iloc[[1]], tmp_path / "p", archive, datetime="1996-08-09")
    site = Path(browse(tmp_path / "p", tmp_path / "site").out)
    for plot, has_spectra in (("1", False), ("2", True), ("3", False)):
        record = data_of(site / f"data/prj_1001/plot_{plot}.js")["observations"]
        assert record["day"] == ["1996-08-09"]
        assert (record["nir"] != [None]) == has_spectra
        assert (site / f"prj_1001/tc/plot_{plot}/plot_{plot}_1996_222.png").is_file()


def test_a_folder_without_ledger_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="ledger"):
        browse(tmp_path, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for path in [*site.glob("*.html"), *site.glob("assets/*")]:
        text = path.read_text()
        assert not any(word in text for word in ("//cdn", "@import", "innerHTML"))
        own = text.replace('fetch("../api/acts"', "").replace("fetch(`../api/acts?", "")
        if path.name == "figure.js":  # of a chip that the page shows, see the test below
            own = own.replace("await fetch(address)", "")
        assert "fetch(" not in own  # what is asked, a page's own server is asked
        if path.name == "common.js":  # links to maps, which the user may follow
            text = re.sub(r'\["[\w ]+", `https://[^`]*`\],', "", text)
        assert "https:" not in text
        if path.suffix == ".html":
            assert "http" not in text


def test_figures_hold_chips_of_the_page_alone(site: Path) -> None:
    """What they fetch is the address of a chip, which begins as the site says."""
    scripts = {path.name: path.read_text() for path in site.glob("assets/*.js")}
    calls = [call for text in scripts.values() for call in re.findall(r"\bembedded\(([^;]*)", text)]
    (own, other) = sorted(calls)
    assert own.startswith("address)")
    assert other.startswith("timesync.chipAddress(site, ")


@pytest.mark.deep
def test_own_columns_and_title_stay_where_a_site_is_renewed(
    sample: SamplePaths, sample_project: Path, tmp_path: Path
) -> None:
    """`interpret` makes the site anew as the project grows; plots of a list that is gone stay."""
    folder = tmp_path / "project"
    shutil.copytree(sample_project, folder, copy_function=os.link)
    project = Project(folder)
    usual: dict[str, Any] = {
        "target_day": None, "rule": None, "progress": False, "legend": read_legend(),
    }  # fmt: skip
    plots = tmp_path / "mine.csv"
    plots.write_text('project_id,plot_id,note,strata\n1001,2,"a, ""b""",=1\n')
    place = Path(renew(project, plots=plots, title="Mine", **usual))
    first = data_of(place / "data/plots.js")
    assert (first["name"], first["own"]) == ("Mine", ["note", "strata"])
    assert data_of(place / "data/prj_1001/plot_2.js")["own"] == {"note": 'a, "b"', "strata": "=1"}
    made = (place / "data/plots.js").stat().st_mtime_ns
    renew(project, plots=None, title="", **usual)
    assert (place / "data/plots.js").stat().st_mtime_ns == made  # nothing to do
    (place / "assets/plot.js").write_text("of another version")
    renew(project, plots=None, title="", **usual)
    assert data_of(place / "data/plots.js") == first
    assert (place / "assets/plot.js").read_text() != "of another version"
    assert legend_of(project) == read_legend()
    lcmap = read_legend("lcmap")
    renew(project, plots=None, title="", **usual | {"legend": lcmap})
    assert data_of(place / "data/plots.js") == first | {
        "legend": lcmap.to_json() | {"digest": lcmap.digest}
    }
    assert legend_of(project) == lcmap
    (place / "data/plots.js").write_text('timesync.receiveIndex({"legend": ["<b>"]});')
    assert legend_of(project) == read_legend(), "what is none is not taken"


@pytest.mark.deep
def test_the_pages_keep_what_stands_for_a_year_where_interpret_is_given_nothing(
    tmp_path: Path,
) -> None:
    project = Project(write_project(tmp_path / "p", [Observation("1", "2", "2020-01-01")]))
    usual: dict[str, Any] = {
        "plots": None, "title": "", "progress": False, "legend": read_legend(),
    }  # fmt: skip
    made = Path(project.place) / "browse/data/plots.js"
    for day, rule, expected in (
        (None, None, (215, "contract")),
        (200, "graded", (200, "graded")),
        (None, None, (200, "graded")),
        (None, "contract", (200, "contract")),
        (215, None, (215, "contract")),
    ):
        renew(project, target_day=day, rule=rule, **usual)
        told = data_of(made)
        assert (told["target_day"], told["rule"]) == expected
    made.write_text('timesync.receiveIndex({"target_day": 900, "rule": "best"});')
    renew(project, target_day=None, rule=None, **usual)
    told = data_of(made)
    assert (told["target_day"], told["rule"]) == (215, "contract"), "what is none is not taken"


@pytest.mark.deep
def test_the_pages_keep_their_legend_where_interpret_is_given_none(
    sample_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from timesync_xr.interpret.serve import Desk

    folder = tmp_path / "project"
    shutil.copytree(sample_project, folder, copy_function=os.link)
    at_work: list[str] = []
    monkeypatch.setattr(Desk, "serve_forever", lambda desk: at_work.append(desk.legend.name))
    for options in ([], ["--legend", "lcmap"], [], ["--legend", "v3"], []):
        words = ["interpret", str(folder), "--as", "ann", "--no-open", "--quiet", *options]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        kept = data_of(folder / "browse/data/plots.js")["legend"]
        assert kept["name"] == at_work[-1]
    v3, lcmap = (read_legend(name).name for name in ("v3", "lcmap"))
    assert at_work == [v3, lcmap, lcmap, v3, v3]
