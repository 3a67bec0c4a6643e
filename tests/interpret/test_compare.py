"""Agreement of interpreters, held against other libraries, brute force and made-up people."""

from __future__ import annotations

import itertools
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.interpret.making import whole
from tests.interpret.test_exchange import copied
from timesync_xr import Project
from timesync_xr.cli.main import main
from timesync_xr.interpret.answers import Interpretation
from timesync_xr.interpret.compare import (
    KINDS,
    compare_answers,
    match_vertices,
)
from timesync_xr.interpret.store import Store
from timesync_xr.interpret.tables import year_table

USES = ["Forest", "Developed", "Other"]


def person(
    who: str, plot: str, rng: np.random.Generator, *, error: float, shift: int = 0
) -> Interpretation:
    """Somebody who sees a plot of five vertices, and errs in a label with a known chance."""
    truth = np.random.default_rng(int(plot))
    days = ["1985-07-01", "1992-07-01", "2000-07-01", "2010-07-01", "2020-07-01"]
    one = Interpretation("1", plot, who)
    for number, day in enumerate(days):
        inner = 0 < number < len(days) - 1
        at = f"{int(day[:4]) + shift * inner}{day[4:]}"
        texts = {}
        for name in ("dominant_landuse", "dominant_landcover", "change_process"):
            label = int(truth.integers(3))
            if rng.random() < error:
                label = (label + 1 + int(rng.integers(2))) % 3
            texts[name] = USES[label]
        one.vertices[at] = texts
    return one


def people(count: int, error: float) -> list[Interpretation]:
    rng = np.random.default_rng(5)
    plots = [str(number) for number in range(count)]
    return [person(who, plot, rng, error=error) for plot in plots for who in ("ann", "ben", "cyd")]


def wide(answers: list[Interpretation], column: str) -> pd.DataFrame:
    table = year_table(answers)
    return table.pivot(
        index=["project_id", "plot_id", "year"], columns="interpreter", values=column
    )


COLUMN = {
    "landuse": "dominant_landuse",
    "landcover": "dominant_landcover",
    "process": "change_process",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.cases(1)
def test_alpha_is_that_of_krippendorff(kind: str) -> None:
    """With labels that are missing, and plots that only some people have."""
    answers = people(25, 0.3)
    del answers[4], answers[7]
    for one in answers[::5]:
        del one.vertices["2000-07-01"]["dominant_landuse"]
    table = wide(answers, COLUMN[kind]).replace({"": None})
    codes = table.apply(lambda column: column.map({name: i for i, name in enumerate(USES)}))
    expected = krippendorff.alpha(codes.T.to_numpy(float), level_of_measurement="nominal")
    found = compare_answers(answers).agreement.set_index("kind").loc[kind]
    assert found["alpha"] == pytest.approx(expected, abs=1e-12)
    assert found["alpha_low"] < found["alpha"] < found["alpha_high"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.deep
def test_kappa_is_that_of_scikit_learn(kind: str) -> None:
    from sklearn.metrics import cohen_kappa_score  # takes long to import

    answers = people(25, 0.3)
    table = wide(answers, COLUMN[kind])
    pairs = compare_answers(answers).pairs.set_index(["first", "second", "kind"])
    for first, second in itertools.combinations(["ann", "ben", "cyd"], 2):
        found = pairs.loc[(first, second, kind), :].to_dict()
        expected = cohen_kappa_score(table[first], table[second])
        assert found["kappa"] == pytest.approx(expected, abs=1e-12)
        assert found["share"] == pytest.approx((table[first] == table[second]).mean(), abs=1e-12)
        assert found["years"] == len(table)


def test_years_and_labels_add_up() -> None:
    answers = people(10, 0.3)
    compared = compare_answers(answers)
    table = wide(answers, "dominant_landuse")
    years = compared.years.query("kind == 'landuse'").set_index("year")
    in_1999 = table[table.index.get_level_values("year") == 1999]
    pairs = [
        a == b for row in in_1999.to_numpy() for a, b in itertools.combinations(row.tolist(), 2)
    ]
    assert years.loc[1999, "share"] == pytest.approx(np.mean(pairs))
    labels = compared.labels.query("kind == 'landuse'").set_index("label")
    assert labels["years"].sum() == table.size
    found = compared.differences.query("kind == 'landuse' and first == 'ann' and second == 'ben'")
    differing = (found["last_year"] - found["first_year"] + 1).sum()
    assert differing == (table["ann"] != table["ben"]).sum()


@pytest.mark.deep
def test_intervals_hold_the_truth() -> None:
    """Two people who err on their own in a tenth of labels agree in 0.9 ** 2 + 0.1 ** 2 / 2."""
    truth = 0.9**2 + 0.1**2 / 2
    compared = compare_answers(people(150, 0.1))
    for row in compared.pairs.to_dict("records"):
        assert abs(row["share"] - truth) < 0.04
        assert row["share_low"] < row["share"] < row["share_high"]
        assert row["share_high"] - row["share_low"] < 0.12


def test_people_without_error_agree_wholly() -> None:
    compared = compare_answers(people(5, 0))
    assert (compared.agreement["share"] == 1).all()
    assert (compared.agreement["alpha"] == 1).all()
    assert (compared.vertices[["precision", "recall"]] == 1).all(axis=None)
    assert compared.differences.empty


@pytest.mark.parametrize(("shift", "matched"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_vertices_that_are_late(shift: int, matched: float) -> None:
    rng = np.random.default_rng(1)
    answers = [person("ann", str(n), rng, error=0) for n in range(5)]
    answers += [person("ben", str(n), rng, error=0, shift=shift) for n in range(5)]
    (row,) = compare_answers(answers, tolerance=1.0).vertices.to_dict("records")
    assert row["recall"] == row["precision"] == matched
    if matched:
        assert row["bias"] == pytest.approx(shift, abs=0.01)


moments = st.lists(st.integers(0, 60).map(lambda n: n / 4), max_size=5, unique=True).map(sorted)


@given(moments, moments, st.sampled_from([0.0, 0.5, 1.0, 3.0]))
def test_matching_is_the_best_of_all(a: list[float], b: list[float], tolerance: float) -> None:
    found = match_vertices(a, b, tolerance)
    assert all(abs(a[i] - b[j]) <= tolerance for i, j in found)
    assert all(len(set(side)) == len(found) for side in zip(*found, strict=True))

    def score(pairs: list[tuple[int, int]]) -> tuple[int, float]:
        return -len(pairs), sum(abs(a[i] - b[j]) for i, j in pairs)

    close = [(i, j) for i in range(len(a)) for j in range(len(b)) if abs(a[i] - b[j]) <= tolerance]
    best = (0, 0.0)
    for size in range(1, min(len(a), len(b)) + 1):
        for chosen in itertools.combinations(close, size):
            if len({i for i, _ in chosen}) == len({j for _, j in chosen}) == size:
                best = min(best, score(list(chosen)))
    assert score(found) == pytest.approx(best)


def test_one_plot_has_no_interval() -> None:
    """What is drawn of it is always the same, and would look like certainty."""
    compared = compare_answers(people(1, 0.3))
    table = pd.concat([compared.agreement, compared.pairs])
    assert table["share"].between(0, 1).all()
    assert table[["share_low", "share_high", "alpha_low", "kappa_high"]].isna().all(axis=None)
    assert " to " not in str(compared).splitlines()[0]


def test_nobody_to_compare() -> None:
    compared = compare_answers([])
    assert compared.pairs.empty
    assert "unknown alike" in str(compared)


def test_command(sample_project: Path, tmp_path: Path) -> None:
    project = Project(copied(sample_project, tmp_path / "project"))
    Store(project).append([*whole("ann"), *whole("ben")])
    result = CliRunner().invoke(main, ["answers", "compare", project.place])
    assert result.exit_code == 0, result.output
    assert "ann and ben: 1 vertex matched of 1 and 1" in result.output
    tables = {path.stem for path in Path(project.place, "exports/answers-compare").iterdir()}
    assert tables == {"agreement", "pairs", "years", "labels", "vertices", "differences"}
