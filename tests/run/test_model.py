"""Random histories of a project, with stops and damage: nothing is ever wrong without a word."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.archive import SmallArchive, as_read_anywhere
from tests.tally import counts, shows
from timesync_xr import Archive, Products, Project, Selection, combine, extract, repair, verify
from timesync_xr.errors import InputError, ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.plots import Plot
from timesync_xr.project.files import observation_files
from timesync_xr.run.render import render
from timesync_xr.storage.folder import Folder

X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
PLOTS = ("7", "8")
SIZE = 3
FORMATS = ("png,csv", "csv", "spectra", "png,csv,zarr", "zarr")
SELECTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"datetime": "2020"},
    {"season": "06-01/08-31"},
    {"sensors": "LC08"},
    {"max_cloud": 50},
)
COLUMNS = ["project_id", "plot_id", "x", "y", "status", "observations", "written", "failed"]


class Stop(KeyboardInterrupt):
    """The run is stopped."""


@dataclass
class World:
    """The items that there can be, and the files that each makes."""

    archive: SmallArchive
    plots: Path
    variants: dict[str, list[dict[str, Any] | None]]
    """By day, what a catalog may hold of it."""
    truth: dict[tuple[str, str, str], dict[str, bytes]] = field(default_factory=dict)
    """Files by plot, item_ids and date."""
    fresh: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    """Projects made afresh, by items and formats."""

    def archive_of(self, folder: Path, items: list[dict[str, Any]]) -> Archive:
        path = folder / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        return Archive(path, mirror=self.archive.mirror)

    def made_afresh(self, items: list[dict[str, Any]], formats: tuple[str, ...]) -> dict[str, Any]:
        """What a project of these items holds, whose plots have these formats."""
        key = (json.dumps(items), *formats)
        if key not in self.fresh:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                for plot, form in zip(PLOTS, formats, strict=True):
                    listed = folder / f"{plot}.csv"
                    header, *lines = self.plots.read_text().splitlines()
                    mine = [line for line in lines if line.split(",")[1] == plot]
                    listed.write_text("\n".join([header, *mine]))
                    made_of = self.archive_of(folder, items)
                    products = Products(form, chip_size=SIZE)
                    extract(listed, folder / "p", made_of, products=products, progress=False)
                self.fresh[key] = contents(folder / "p")
        return self.fresh[key]

    def learn(self) -> None:
        """Make each item alone."""
        all_of_them = [item for variants in self.variants.values() for item in variants if item]
        everything = {json.dumps(item): item for item in all_of_them}
        for item in everything.values():
            with tempfile.TemporaryDirectory() as name:
                out = Path(name) / "p"
                products = Products(chip_size=SIZE)
                extract(
                    self.plots, out, self.archive_of(Path(name), [item]), products=products,
                    progress=False,
                )  # fmt: skip
                for plot in PLOTS:
                    for row in Project(out).log(("p", plot)).to_dict("records"):
                        key = plot, row["item_ids"], row["date"]
                        paths = files_of(plot, row["day"], "png,csv")
                        if row["outcome"] == "written":
                            self.truth[key] = {path: (out / path).read_bytes() for path in paths}


def files_of(plot: str, day: str, formats: str) -> list[str]:
    return observation_files(Plot("p", plot, 0, 0), day, formats.split(","), ("tc", "b743", "b432"))


def contents(out: Path) -> dict[str, Any]:
    """Files of the contract, the logs, and what the ledger tells; of cubes what is in them."""
    project = Project(out)
    found: dict[str, Any] = {}
    for path in out.rglob("*"):
        name = path.relative_to(out).as_posix()
        of_it = name.startswith(("prj_", "ledger/observations/")) and ".zarr" not in name
        if of_it and path.is_file():
            found[name] = as_read_anywhere(path)
    for row in project.plots.to_dict("records"):
        if "zarr" in row["products"]:
            with project.cube((row["project_id"], row["plot_id"])) as cube:
                names = ("time", "sensor", "date", "item_ids", "processed")
                told = [cube[name].values.tolist() for name in names]
                attrs = str({**cube.attrs, "source": ""})
                found[f"cube {row['plot_id']}"] = told, cube.values.tobytes(), attrs
    found["ledger"] = project.plots[COLUMNS].astype(str).to_numpy().tolist()
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    archive = SmallArchive(tmp_path_factory.mktemp("model"))
    noon = "T18:30:00.1234567Z"
    one = archive.add("LC08", f"2020-01-05{noon}")
    again = archive.add("LC08", f"2020-01-05{noon}", processed="20220101")
    other_text = json.loads(json.dumps(again))
    other_text["properties"]["datetime"] = "2020-01-05T18:30:00.123Z"
    two = archive.add("LC08", f"2020-07-05{noon}")
    two_text = json.loads(json.dumps(two))
    two_text["properties"]["datetime"] = "2020-07-05T18:30:00Z"
    cloudy = json.loads(json.dumps(two))
    cloudy["properties"]["eo:cloud_cover"] = 80
    refused = json.loads(json.dumps(two))
    refused["properties"]["proj:shape"] = [5, 5]
    old = archive.add("LE07", f"2001-07-09{noon}")
    twin = archive.add("LC09", f"2022-06-01{noon}")
    twins = archive.add("LE07", f"2022-06-01{noon}")
    plots = archive.folder / "plots.csv"
    lines = [f"p,{plot},{X + 600 * n},{Y}\n" for n, plot in enumerate(PLOTS)]
    plots.write_text("project_id,plot_id,x,y\n" + "".join(lines))
    made = World(
        archive,
        plots,
        {
            "2020-01-05": [one, again, other_text, None],
            "2020-07-05": [two, two_text, cloudy, refused, None],
            "2001-07-09": [old],
            "2022-06-01 a": [twin, None],
            "2022-06-01 b": [None, twins],
        },
    )
    made.learn()
    return made


@contextmanager
def stopped(at: int, *, dead: bool) -> Iterator[None]:
    """Stop at a change of a project, before or after it; ``dead`` runs clean nothing up."""
    done = [0, False]

    def wrapped(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            if done[1] and dead:
                raise Stop
            done[0] += 1
            if done[0] == at and at % 2:
                done[1] = True
                raise Stop
            result = work(*args, **more)
            if done[0] == at:
                done[1] = True
                raise Stop
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("write", "remove", "place", "remove_tree"):
            patch.setattr(Folder, name, wrapped(getattr(Folder, name)))
        with suppress(Stop):
            yield


class History:
    """A project, and what is done to it by chance."""

    def __init__(self, world: World, place: Path, seed: int) -> None:
        self.world, self.place, self.dice = world, place, random.Random(seed)
        self.out, self.drawn = place / "out", place / "drawn"
        self.state = {day: variants[0] for day, variants in world.variants.items()}
        self.told: list[str] = []
        self.formats = FORMATS if self.dice.random() < 0.3 else FORMATS[:3]  # cubes take longest

    @property
    def items(self) -> list[dict[str, Any]]:
        return [item for item in self.state.values() if item]

    @property
    def archive(self) -> Archive:
        return self.world.archive_of(self.place, self.items)

    def step(self) -> None:
        works = [self.extract] * 4 + [self.change] * 3
        works += [self.repair, self.damage] if self.out.exists() else []
        works += [self.render] * 2 if "zarr" in self.formats else []
        work = self.dice.choice(works)
        self.told.append(work.__name__)
        may_stop = work not in (self.change, self.damage)
        at = self.dice.randint(1, 60) if may_stop and self.dice.random() < 0.5 else 0
        with stopped(at, dead=self.dice.random() < 0.5), suppress(InputError, ProjectError):
            work()

    def extract(self) -> None:
        select = Selection(**self.dice.choice(SELECTIONS), prune=self.dice.random() < 0.3)
        count = self.dice.choice((None, None, 1, 2))
        formats = self.dice.choice(self.formats)
        products = Products(formats, chip_size=SIZE, chips_per_year=count)
        refresh = self.dice.random() < 0.5
        self.told.append(f"{select} {products.made} {count} {select.prune} {refresh}")
        extract(
            self.world.plots, self.out, self.archive, select, products, refresh=refresh,
            progress=False,
        )  # fmt: skip

    def change(self) -> None:
        day = self.dice.choice(list(self.state))
        self.state[day] = self.dice.choice(self.world.variants[day])

    def render(self) -> None:
        render(self.out, self.drawn, prune=self.dice.random() < 0.7, progress=False)

    def repair(self) -> None:
        repair(self.out, verify(self.out), self.archive, progress=False)

    def damage(self) -> None:
        """As a power failure leaves files: empty, or half."""
        kinds = (
            "prj_*/**/*.csv", "prj_*/**/*.png", "prj_*/spectra/*", "ledger/observations/*/*",
            "prj_*/**/c/*/*",
        )  # fmt: skip
        pattern = self.dice.choice(kinds)
        paths = sorted(path for path in self.out.glob(pattern) if path.is_file())
        if paths:
            path = self.dice.choice(paths)
            path.write_bytes(path.read_bytes()[: self.dice.choice((0, 60))])

    def check(self) -> None:
        """What `verify` finds well is what its log says, and `combine` gives all of it."""
        out = self.drawn if self.told[-1:] == ["render"] else self.out
        if not (out / "ledger/project.json").exists():
            return
        if len(verify(out)):
            counts["histories named by verify"] += 1
            return
        written = self.compare_files(out)
        made = combine(out, out=self.place / "combined")
        assert made.left_out.empty, (self.told, made.left_out)
        assert made.rows == written, self.told

    def compare_files(self, out: Path) -> int:
        project, written = Project(out), 0
        for row in project.plots.to_dict("records"):
            log = project.log(("p", row["plot_id"]))
            log = log[log["outcome"] == "written"]
            for made in log.to_dict("records"):
                truth = self.world.truth[row["plot_id"], made["item_ids"], made["date"]]
                for path in files_of(row["plot_id"], made["day"], row["products"]):
                    assert (out / path).read_bytes() == truth[path], (self.told, path)
            written += len(log) * ("csv" in row["products"] or "spectra" in row["products"])
        return written

    def compare_drawn(self) -> None:
        """Rendered once more, the project of chips is that of the cubes."""
        with suppress(InputError):
            render(self.out, self.drawn, prune=True, progress=False)
            one, other = (Project(out) for out in (self.out, self.drawn))
            for plot in other.plots["plot_id"]:
                row = one.plots.set_index("plot_id").loc[plot]
                if row["status"] == "complete" and "zarr" in row["products"]:
                    pd.testing.assert_frame_equal(one.log(("p", plot)), other.log(("p", plot)))
            self.compare_files(self.drawn)

    def end(self) -> None:
        """The usual run, pruned, gives what a fresh one gives; what else is there is named."""
        select, products = Selection(prune=True), Products(chip_size=SIZE)
        archive = self.archive
        extract(self.world.plots, self.out, archive, select, products, progress=False)
        if len(problems := verify(self.out)):
            repair(self.out, problems, archive, progress=False)
            problems = verify(self.out)
        assert set(problems["kind"]) <= {"stray"}, (self.told, problems)
        if self.drawn.exists() and problems.empty:
            self.compare_drawn()
        if problems.empty:
            formats = tuple(Project(self.out).plots["products"])
            fresh = self.world.made_afresh(self.items, formats)
            assert contents(self.out) == fresh, self.told
            counts["histories that end as made afresh"] += 1


def run_histories(world: World, place: Path, seeds: range) -> None:
    for seed in seeds:
        folder = place / str(seed)
        folder.mkdir()
        history = History(world, folder, seed)
        for _ in range(history.dice.randint(3, 8)):
            history.step()
            history.check()
        history.end()
        counts["random histories of projects"] += 1


@shows("any history", "output")
@pytest.mark.parametrize(
    "seeds",
    [range(2), *(range(n, n + 10) for n in range(2, 52, 10))],
    ids=str,
)
@pytest.mark.deep
def test_what_a_history_leaves_is_right_or_named(
    world: World, tmp_path: Path, seeds: range
) -> None:
    run_histories(world, tmp_path, seeds)
