"""The best observations of each year, without paying for the others."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from click.testing import CliRunner

from tests.archive import BUCKET, SmallArchive
from tests.making import make
from tests.servers import file_server
from timesync_xr import (
    Archive,
    ChipsPerYear,
    Project,
    annual,
    combine,
    repair,
    verify,
)
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError
from timesync_xr.grid import REGIONS
from timesync_xr.landsat import BANDS, QA_BAND
from timesync_xr.project.log import read_log
from timesync_xr.raster import reader

CU = REGIONS["CU"]
X, Y = CU.center(3 * 5000 + 2500, 9 * 5000 + 2500)
CLEAR, WATER, CLOUD, SHADOW, SNOW, FILL = 21824, 21952, 22280, 23888, 30048, 1
QA = [CLEAR] * 4 + [WATER, CLOUD, CLOUD, CLOUD, SHADOW, SNOW, FILL, FILL]
DARK, BRIGHT, NOTHING, HOLED = (9000, 9500), (17000, 9500), (0, 14545), (9000, 0)
"""Blue, and the other bands: usual; 2675 in blue; 0 in blue, green and red; fill beside blue."""


class LinkedArchive(SmallArchive):
    """An archive of many items whose files are links to a few."""

    def see(self, sensor: str, day: str, qa: int = CLEAR, bands: tuple[int, int] = DARK) -> str:
        """Add an item; returns its name."""
        item = self.add(sensor, f"{day}T18:30:00Z", write=False)
        name = str(item["id"]).removesuffix("_SR")
        values = dict.fromkeys(BANDS, bands[1]) | {"blue": bands[0], QA_BAND: qa}
        for band, value in values.items():
            path = self.path(name, band)
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(self._template(band == QA_BAND, value), path)
        return name

    def _template(self, is_qa: bool, value: int) -> Path:
        band = QA_BAND if is_qa else "red"
        made = self.path("template", band).with_name(f"{band}_{value}.tif")
        if not made.exists():
            self._write("template", band, (3, 9), value)
            self.path("template", band).rename(made)
        return made

    @property
    def source(self) -> Archive:
        return Archive(self.write_items(), mirror=self.mirror)


def plots(folder: Path) -> Path:
    path = folder / "plots.csv"
    path.write_text(f"project_id,plot_id,x,y\np,7,{X},{Y}\n")
    return path


def run(out: Path, archive: Archive, count: int | ChipsPerYear | None, **options: Any) -> Project:
    listed = plots(out.parent)
    made = make(listed, out, archive, **{"chip_size": 3, "chips_per_year": count} | options)
    assert made.complete
    return Project(out)


def log_of(project: Project) -> pd.DataFrame:
    return read_log(project.folder, "p", "7")


def written(project: Project) -> set[str]:
    log = log_of(project)
    return set(log.loc[log["outcome"] == "written", "day"])


def files(project: Project) -> dict[str, bytes]:
    root = Path(project.place)
    paths = (p for p in root.glob("prj_p/**/*") if p.is_file() and ".zarr" not in str(p))
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in paths}


def random_archive(folder: Path, seed: int) -> LinkedArchive:
    """Three years of days by chance, some of them seen by two platforms."""
    dice, archive = random.Random(seed), LinkedArchive(folder)
    for year in (2001, 2013, 2022):
        for doy in sorted(dice.sample(range(1, 366), dice.choice((2, 10)))):
            day = (pd.Timestamp(f"{year}-01-01") + pd.Timedelta(days=doy - 1)).strftime("%Y-%m-%d")
            for sensor in dice.sample(("LE07", "LC09"), dice.choice((1, 1, 1, 2))):
                bands = dice.choice((DARK, DARK, BRIGHT, NOTHING, HOLED))
                archive.see(sensor, day, dice.choice(QA), bands)
    return archive


def best(full: Project, choice: ChipsPerYear) -> set[str]:
    """The best days of each year by the words of the rule, from all of a full run."""
    table = full.series()
    usable = table[(table[["blue", "green", "red"]].sum(axis=1) != 0) & (table["blue"] < 2000)]
    found: set[str] = set()
    for year, rows in usable.groupby("year"):
        told = rows["qa"] if choice.rule == "contract" else rows["grade"].fillna(9)
        days = rows["doy"].astype(int) - choice.target_day
        cost = told.astype(int) * 10**6 + days.abs() * 1000 + (days + 1).abs()
        cost += [10**9 * ((year, doy) not in choice.days) for doy in rows["doy"]]
        found |= set(rows.loc[cost.sort_values().index[: choice.count], "day"])
    return found


@pytest.mark.parametrize("seed", range(14))
@pytest.mark.deep
def test_what_the_server_would_choose_is_among_them(tmp_path: Path, seed: int) -> None:
    """Held against `annual` on a full run, and against the rule in words."""
    archive = random_archive(tmp_path / "archive", seed)
    full = run(tmp_path / "full", archive.source, None)
    dice, whole = random.Random(seed), files(full)
    days = full.spectra()[["project_id", "plot_id", "year", "doy"]]
    for number, rule in enumerate(("contract", "graded")):
        overrides = days.sample(min(2, len(days)), random_state=seed)
        choice = ChipsPerYear(dice.choice((1, 2, 5)), rule, dice.randint(1, 366), overrides)
        some = run(tmp_path / f"some{number}", archive.source, choice)
        options: dict[str, Any] = {
            "target_day": choice.target_day,
            "overrides": overrides,
            "rule": rule,
        }
        chosen = full.annual(**options)
        again = some.annual(**options)
        usual = chosen.dropna(subset="doy")[["year", "doy", "sensor"]]
        found = again.dropna(subset="doy")[["year", "doy", "sensor"]]
        pd.testing.assert_frame_equal(
            usual.reset_index(drop=True), found.reset_index(drop=True), check_dtype=False
        )
        assert written(some) == best(full, choice), (choice, seed)
        assert files(some).items() <= whole.items()
        assert verify(some).empty


@pytest.mark.parametrize(
    "formats", ["png,csv", *(pytest.param(f, marks=pytest.mark.deep) for f in ("png,zarr", "csv"))]
)
@pytest.mark.deep
def test_a_greater_number_later_ends_as_if_asked_for_at_first(tmp_path: Path, formats: str) -> None:
    archive = random_archive(tmp_path / "archive", 3)
    later = run(tmp_path / "later", archive.source, 1, formats=formats)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "later/prj_p").rglob("*.png")}
    for count in (3, None):
        run(tmp_path / "later", archive.source, count, formats=formats)
        first = run(tmp_path / f"first{count}", archive.source, count, formats=formats)
        pd.testing.assert_frame_equal(log_of(later), log_of(first))
        pd.testing.assert_frame_equal(later.plots, first.plots)
        assert files(later) == files(first)
        assert verify(later).empty
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


@pytest.fixture
def series(tmp_path: Path) -> LinkedArchive:
    """Two years of ten days each, all clear."""
    archive = LinkedArchive(tmp_path / "archive")
    for year in (2019, 2020):
        for month in range(1, 11):
            archive.see("LC08", f"{year}-{month:02d}-15")
    return archive


@pytest.mark.deep
def test_another_target_day_adds_and_prune_takes_away(
    series: LinkedArchive, tmp_path: Path
) -> None:
    spring = ChipsPerYear(1, target_day=105)
    project = run(tmp_path / "out", series.source, 1)
    summer = written(project)
    assert summer == {"2019-08-15", "2020-08-15"}
    summary = make(plots(tmp_path), tmp_path / "out", series.source, chip_size=3,
                   chips_per_year=spring)  # fmt: skip
    assert "Kept from earlier runs: 2 observations" in str(summary)
    assert written(project) == summer | {"2019-04-15", "2020-04-15"}
    kept = log_of(project).set_index("day")["cause"]["2019-08-15"]
    assert kept == "kept from an earlier run: not among the 1 best of its year"
    assert verify(project).empty
    again = make(plots(tmp_path), tmp_path / "out", series.source, chip_size=3,
                 chips_per_year=spring)  # fmt: skip
    assert again.already == 1
    run(tmp_path / "out", series.source, spring, prune=True)
    first = run(tmp_path / "first", series.source, spring)
    assert written(project) == written(first)
    assert files(project) == files(first)
    assert verify(project).empty


@pytest.mark.deep
def test_a_full_project_loses_nothing_to_a_choice(series: LinkedArchive, tmp_path: Path) -> None:
    project = run(tmp_path / "out", series.source, None)
    whole = files(project)
    run(tmp_path / "out", series.source, 1)
    assert files(project) == whole
    assert verify(project).empty
    run(tmp_path / "out", series.source, None)
    assert not log_of(project)["cause"].any()


@pytest.mark.deep
def test_what_was_chosen_is_repaired_alone(series: LinkedArchive, tmp_path: Path) -> None:
    """With the overrides, which the project itself keeps."""
    columns = ["project_id", "plot_id", "year", "doy"]
    overrides = pd.DataFrame([("p", "7", 2020, 15), ("p", "8", 2019, 15)], columns=columns)
    project = run(tmp_path / "out", series.source, ChipsPerYear(1, overrides=overrides))
    before, log = files(project), log_of(project)
    assert written(project) == {"2019-08-15", "2020-01-15"}
    for path in sorted(before):
        (tmp_path / "out" / path).unlink()
    (tmp_path / "out/ledger/observations/prj_p/plot_7.csv").write_text("damaged")
    repair(project, verify(project), series.source, progress=False)
    assert files(project) == before
    pd.testing.assert_frame_equal(log_of(project), log)
    assert verify(project).empty


@pytest.mark.deep
def test_what_is_not_chosen_is_not_paid_for(series: LinkedArchive, tmp_path: Path) -> None:
    """One look at the nearest day of each year, then its chips; later ones read what is new."""
    asked: list[str] = []
    with file_server(series.folder, asked) as port:
        archive = Archive(series.write_items(), mirror=f"{BUCKET}=http://127.0.0.1:{port}")

        def requests_of(out: str, count: int | None) -> int:
            reader.reset()
            asked.clear()
            run(tmp_path / out, archive, count, chip_size=255)
            return len(asked)

        full, one = requests_of("full", None), requests_of("one", 1)
        assert (full, one) == (20 * 15, 2 * 21)  # rows of small blocks lie near each other
        assert requests_of("one", 2) <= 2 * 21
        assert requests_of("one", 2) == 0


@pytest.mark.deep
@pytest.mark.parametrize("wrong", [False, True], ids=["whole", "of other pixels"])
def test_a_kept_cube_tells_of_days_without_the_archive(
    series: LinkedArchive, tmp_path: Path, wrong: bool
) -> None:
    """A cube with another QA_PIXEL than the log is not asked."""
    series.see("LC08", "2020-07-30", bands=BRIGHT)
    series.see("LC08", "2020-07-31", qa=QA[-1])
    asked: list[str] = []
    with file_server(series.folder, asked) as port:
        archive = Archive(series.write_items(), mirror=f"{BUCKET}=http://127.0.0.1:{port}")
        expected = run(tmp_path / "fresh", archive, 2)
        project = run(tmp_path / "out", archive, None, formats=("zarr",))
        if wrong:
            array = zarr.open_array(Path(project.place, "prj_p/cubes/plot_7.zarr/digital_number"))
            array[:, -1] = 1
        reader.reset()
        asked.clear()
        run(tmp_path / "out", archive, 2, formats=("png", "csv"))
    assert bool(asked) == wrong
    assert files(project).items() >= files(expected).items()


def test_the_looks_go_outwards_from_the_target_day(tmp_path: Path) -> None:
    """Clouds and fill near the target day are passed; of what lies far beyond nothing is read."""
    archive = LinkedArchive(tmp_path / "archive")
    for day, qa in (("07-30", FILL), ("08-07", CLOUD), ("07-20", CLEAR), ("01-01", CLEAR)):
        archive.see("LC08", f"2020-{day}", qa)
    archive.see("LC08", "2020-08-09", CLEAR, BRIGHT)
    archive.see("LC08", "2020-02-01")
    log = log_of(run(tmp_path / "out", archive.source, 1)).set_index("day")
    assert log["outcome"].to_dict() == {
        "2020-01-01": "filtered", "2020-02-01": "filtered", "2020-07-20": "written",
        "2020-07-30": "fill at plot",
        "2020-08-07": "filtered", "2020-08-09": "filtered",
    }  # fmt: skip
    assert log["qa_pixel"]["2020-01-01"] == ""
    assert log["qa_pixel"]["2020-08-07"] == str(CLOUD)
    assert log["cause"]["2020-08-09"].startswith("too bright")
    assert log["cause"]["2020-01-01"] == "not among the 1 best of its year"


def test_where_the_best_fails_the_next_takes_its_place(
    series: LinkedArchive, tmp_path: Path
) -> None:
    path = series.path("LC08_CU_003009_20200815_20210504_02", "red")
    path.unlink()
    summary = make(plots(tmp_path), tmp_path / "out", series.source, chip_size=3, chips_per_year=1)
    assert not summary.complete
    project = Project(tmp_path / "out")
    assert written(project) == {"2019-08-15", "2020-07-15"}
    assert project.plots["failed"].tolist() == [1]


@pytest.mark.deep
def test_an_archive_that_is_gone_takes_no_files_away(series: LinkedArchive, tmp_path: Path) -> None:
    """Of chips without CSVs the pixels are looked at again, to rank them."""
    project = run(tmp_path / "out", series.source, 1, formats="png")
    whole = files(project)
    for path in series.folder.rglob("*0815*_SR_*.TIF"):
        path.unlink()
    run(tmp_path / "out", series.source, ChipsPerYear(1, "graded"), formats="png")
    assert files(project) == whole


def test_the_command_and_what_it_refuses(
    series: LinkedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = [str(plots(tmp_path)), "--out", str(tmp_path / "out"), "--mirror", series.mirror,
              "--source", str(series.write_items()), "--chip-size", "3", "3", "-q"]  # fmt: skip
    invoke: Callable[..., Any] = CliRunner().invoke
    wrong = invoke(main, ["extract", *common, "--target-day", "100"])
    assert wrong.exit_code == 2
    assert "--chips-per-year" in wrong.output
    done = invoke(main, ["extract", *common, "--chips-per-year", "2", "--target-day", "100",
                         "--rule", "graded"])  # fmt: skip
    assert done.exit_code == 0, done.output
    project = Project(tmp_path / "out")
    assert len(written(project)) == 4
    assert project.plots["filters"].tolist() == ["chips-per-year=2 rule=graded target-day=100"]
    assert combine(project, out=tmp_path / "combined").rows == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 0}, "1 or more"),
        ({"count": 1.5}, "1 or more"),
        ({"count": True}, "1 or more"),
        ({"count": 1, "rule": "best"}, "contract, graded"),
        ({"count": 1, "target_day": 0}, "1 to 366"),
        ({"count": 1, "overrides": pd.DataFrame({"year": [1]})}, "read_overrides"),
    ],
)
def test_wrong_choices_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ChipsPerYear(**wrong)


def test_a_rank_by_hand(tmp_path: Path) -> None:
    """The day before the target comes before the day after it."""
    archive = LinkedArchive(tmp_path / "archive")
    for day in ("2021-08-02", "2021-08-04"):  # 214 and 216
        archive.see("LC08", day)
    assert written(run(tmp_path / "out", archive.source, 1)) == {"2021-08-02"}
    table = Project(tmp_path / "out").spectra()
    assert annual(table)["doy"].tolist() == [214]
    assert np.array_equal(table["doy"], [214])
