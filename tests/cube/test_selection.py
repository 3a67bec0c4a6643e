"""Filters: what each leaves out, and that a project with them equals one made with them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.archive import SmallArchive
from tests.strategies import CLEAR
from timesync_xr import Archive, Products, Project, Selection, Summary, extract
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError
from timesync_xr.grid import REGIONS
from timesync_xr.run.chips import write_chips

ALL = Selection()
INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
CLOUD, SHADOW = 22280, 23888
NOON = "T18:30:00.1234567Z"


def observations(*rows: tuple[str, str, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["time", "sensor", "cloud_cover"])
    return table.assign(time=pd.to_datetime(table["time"], format="ISO8601"))


def taken(filters: Selection, table: pd.DataFrame) -> list[bool]:
    return [cause == "" for cause in filters.causes(table)]


@given(
    first=st.dates(date(2000, 1, 1), date(2000, 12, 31)),
    last=st.dates(date(2000, 1, 1), date(2000, 12, 31)),
    when=st.datetimes(pd.Timestamp("1982-01-01"), pd.Timestamp("2030-12-31")),
)
def test_a_season_is_the_days_met_on_the_way_from_first_to_last(
    first: date, last: date, when: pd.Timestamp
) -> None:
    """Walk through a leap year, day by day, around New Year if need be."""
    year = [d.date() for d in pd.date_range("2000-01-01", "2000-12-31")] * 2
    start = year.index(first)
    stop = year.index(last, start)
    met = {(d.month, d.day) for d in year[start : stop + 1]}
    season = Selection(season=f"{first:%m-%d}/{last:%m-%d}")
    table = observations((when.isoformat(), "LC08", 0.0))
    assert taken(season, table) == [(when.month, when.day) in met]


def test_each_filter_on_metadata() -> None:
    table = observations(
        ("2003-05-30T23:59:59.999", "LE07", 10.0),
        ("2003-05-31", "LE07", 20.0),
        ("2020-01-01", "LE07", 20.5),
        ("2020-01-01", "LC08", np.nan),
    )
    assert taken(ALL, table) == [True] * 4
    assert taken(Selection(slc_off=False), table) == [True, False, False, True]
    assert taken(Selection(max_cloud=20), table) == [True, True, False, True]
    assert taken(Selection(sensors=("LC09", "LC08")), table) == [False, False, False, True]
    assert taken(Selection(season="12-31/01-01"), table) == [False, False, True, True]
    both = Selection(max_cloud=20, slc_off=False)
    assert taken(both, table) == [True, False, False, True]
    assert set(both.causes(table)) == {"", "scan line corrector off", "cloud cover above 20 %"}


def test_the_text_tells_all_and_is_the_same_for_the_same_filters() -> None:
    assert str(ALL) == ""
    options = {"season": "06-01/09-30", "slc_off": False, "clear_only": True}
    full = Selection(sensors=("LC09", "LT05"), max_cloud=20.0, **options)  # type: ignore[arg-type]
    text = "season=06-01/09-30 sensors=LT05,LC09 max-cloud=20 no-slc-off clear-only"
    assert str(full) == text
    same = Selection(2020, "06-01/09-30", ("LT05", "LC09"), 20, False, True)
    assert str(same) == text  # the dates are told apart


@given(
    st.builds(
        Selection,
        st.sampled_from([None, 2020, "2009/2011", "../2003-06"]),
        st.sampled_from(["", "06-01/09-30", "11-01/02-28"]),
        st.permutations(["LE07", "LC08", "LC09"]).map(tuple) | st.just(()),
        st.none() | st.floats(0, 100),
        st.booleans(),
        st.booleans(),
    )
)
def test_the_text_can_be_read_back(selection: Selection) -> None:
    again = Selection.parse(str(selection), str(selection.period))
    assert str(again) == str(selection)
    assert str(again.period) == str(selection.period)
    assert again.max_cloud == pytest.approx(selection.max_cloud)
    assert again.season == selection.season
    assert set(again.sensors) == set(selection.sensors)
    assert (again.slc_off, again.clear_only) == (selection.slc_off, selection.clear_only)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"season": "06-01"}, "MM-DD/MM-DD"),
        ({"season": "6-1/9-30"}, "MM-DD/MM-DD"),
        ({"season": "06-01/09-31"}, "MM-DD/MM-DD"),
        ({"sensors": ("LC10", "LC08")}, "'LC10'.*LC08, LC09"),
        ({"max_cloud": 101.0}, "0 to 100"),
        ({"max_cloud": float("nan")}, "0 to 100"),
    ],
)
def test_wrong_filters_say_what_is_right(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Selection(**options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    """Two platforms on one day, cloud, shadow, fill, and a summer and a winter."""
    made = SmallArchive(tmp_path_factory.mktemp("filters"))
    made.add("LE07", f"2003-01-05{NOON}", values={"qa_pixel": CLEAR})
    made.add("LE07", f"2003-07-05{NOON}", values={"qa_pixel": CLEAR})
    made.add("LE07", f"2020-07-01{NOON}", values={"qa_pixel": CLEAR, "blue": 9000})
    made.add("LC08", f"2020-07-01{NOON}", values={"qa_pixel": CLEAR, "blue": 12000})
    made.add("LC08", f"2020-07-09{NOON}", values={"qa_pixel": SHADOW})
    made.add("LC08", f"2020-07-17{NOON}", values={"qa_pixel": CLOUD})
    made.add("LC08", f"2020-07-25{NOON}", values={"qa_pixel": 1})
    made.add("LC08", f"2020-12-25{NOON}", values={"qa_pixel": CLEAR})
    made.items[-1]["properties"]["eo:cloud_cover"] = 80.0
    made.add("LC08", f"2020-12-26{NOON}", (4, 10))
    return made


@pytest.fixture
def run(archive: SmallArchive, tmp_path: Path) -> Callable[..., Summary]:
    path = tmp_path / "plots.csv"
    path.write_text(f"project_id,plot_id,x,y\n1211,7,{INSIDE[0]},{INSIDE[1]}\n")

    def call(select: Selection = ALL, out: str = "out", *, prune: bool = False) -> Summary:
        source = Archive(archive.write_items(), mirror=archive.mirror)
        products = Products(chip_size=(9, 9))
        select = replace(select, prune=prune)
        return extract(path, tmp_path / out, source, select, products, progress=False)

    return call


def contents(folder: Path) -> dict[str, bytes]:
    """All of a project but its lock."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != "lock")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


SETTINGS = (
    ALL,
    Selection(clear_only=True),
    Selection(slc_off=False),
    Selection(sensors=("LE07",)),
    Selection(season="11-01/02-28"),
    Selection(max_cloud=50.0, clear_only=True),
)


@pytest.mark.parametrize("second", SETTINGS, ids=str)
@pytest.mark.parametrize("first", SETTINGS, ids=str)
@pytest.mark.cases(1)
def test_other_filters_end_like_a_fresh_project(
    run: Callable[..., Summary], tmp_path: Path, first: Selection, second: Selection
) -> None:
    run(first)
    again = run(second, prune=first != second)
    assert again.already == (first == second)
    run(second, out="fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("second", SETTINGS, ids=str)
@pytest.mark.parametrize("first", SETTINGS, ids=str)
@pytest.mark.parametrize("dates", [(None, None), ("2020", "2019/"), ("2019/", "2020")])
@pytest.mark.cases(20)
def test_what_covers_another_selection_takes_all_of_it(
    first: Selection, second: Selection, dates: tuple[str | None, str | None]
) -> None:
    """Held against rows of every sensor, month and cover."""
    first, second = replace(first, datetime=dates[0]), replace(second, datetime=dates[1])
    times = pd.date_range("2000-01-15", "2021-12-31", freq="61D")
    table = pd.DataFrame(
        [(t, s, c) for t in times for s in ("LE07", "LC08") for c in (1.0, 60.0)],
        columns=["time", "sensor", "cloud_cover"],
    )
    takes = [
        np.array(taken(s, table)) & [s.period.holds(t) for t in table["time"].to_numpy()]
        for s in (first, second)
    ]
    if first.covers(second):
        assert (takes[0] >= takes[1]).all()
        assert first.clear_only <= second.clear_only
    assert first.covers(first)
    assert replace(ALL, datetime=dates[0]).covers(replace(second, datetime=dates[0]))


@pytest.mark.parametrize("last", [ALL, Selection(slc_off=False)], ids=["back", "on"])
@pytest.mark.deep
def test_a_run_with_other_filters_may_be_killed_and_any_run_may_follow(
    run: Callable[..., Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: Selection
) -> None:
    """LE07 takes the place of LC08 on 2020-07-01; the first run's log must not vouch for it."""
    run(ALL)

    def write_and_die(*arguments: object) -> None:
        write_chips(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr("timesync_xr.run.plot.write_chips", write_and_die)
    with pytest.raises(KeyboardInterrupt):
        run(Selection(sensors=("LE07",)), prune=True)
    monkeypatch.undo()
    assert Project(tmp_path / "out").plots["status"].tolist() == ["incomplete"]
    assert run(last, prune=True).already == 0
    run(last, out="fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_what_is_left_out_is_told(run: Callable[..., Summary], tmp_path: Path) -> None:
    summary = run(Selection(season="06-01/09-30", clear_only=True))
    log = Project(tmp_path / "out").log(("1211", "7"))
    left_out = log[log["outcome"] == "filtered"].set_index("day")
    assert left_out["cause"].to_dict() == {
        "2003-01-05": "outside the season 06-01/09-30",
        "2020-07-09": "not clear at the plot",
        "2020-07-17": "not clear at the plot",
        "2020-12-25": "outside the season 06-01/09-30",
    }
    assert left_out.loc["2020-07-09", "qa_pixel"] == SHADOW
    (row,) = Project(tmp_path / "out").plots.to_dict("records")
    assert (row["filtered"], row["written"], row["fill_at_plot"]) == (4, 2, 1)
    assert row["filters"] == "season=06-01/09-30 clear-only"
    assert row["status"] == "complete"
    assert "4 filtered" in str(summary)


@pytest.mark.deep
def test_what_metadata_rule_out_is_never_read(archive: SmallArchive, tmp_path: Path) -> None:
    """Its files are not even there."""
    empty = SmallArchive(tmp_path / "archive")
    empty.add("LE07", f"2020-07-01{NOON}", write=False)
    path = tmp_path / "plots.csv"
    path.write_text(f"project_id,plot_id,x,y\n1211,7,{INSIDE[0]},{INSIDE[1]}\n")
    command = ["extract", str(path), "--out", str(tmp_path / "out"), "--chip-size", "9", "9"]
    command += ["--source", str(empty.write_items()), "--mirror", empty.mirror]
    for option in ("--no-slc-off", "--sensors=LC08,LC09", "--season=01-01/03-31", "--max-cloud=1"):
        result = CliRunner().invoke(main, [*command, option])
        assert result.exit_code == 1, "nothing was written"
        assert "1 filtered, 0 failed" in result.output
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "0 filtered, 1 failed" in result.output
    assert CliRunner().invoke(main, [*command, "--season", "summer"]).exit_code == 2
