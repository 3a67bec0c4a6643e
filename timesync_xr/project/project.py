"""A project that can be read: its settings, plots, logs, spectra, cubes and tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from pyproj import CRS
from pyproj.exceptions import CRSError

from ..errors import InputError, Kind, NoProjectError, ProjectError, counted
from ..grid import ChipGrid, Lattice, chip_shape, get_grid
from ..plots import Plot, id_order, id_problem, plot_table
from ..spectral.annual import CONTRACT, GRADED, TARGET_DAY
from ..spectral.composites import COMPOSITES, Composite
from ..spectral.density import empty_density, observation_density
from ..spectral.offsets import sensor_offsets
from ..spectral.styles import FIXED, Stretch
from ..storage.access import S3, clean
from ..storage.folder import Folder
from ..storage.places import open_folder
from .cubes import whole_cube
from .files import PLOTS, RECENT, SETTINGS, observation_files, table_path
from .ledger import CHECK, INCOMPLETE, NO_ITEMS, read_ledger
from .log import read_log, with_numbers
from .places import places
from .rows import has_spectra, parse_rows, read_rows, tell_left_out
from .series import annual_index, empty_series, series_tables
from .tables import (
    annual_table,
    empty_observations,
    empty_windows,
    joined,
    observation_tables,
    window_tables,
)

LAYOUT: Final = 7
"""Version of the layout of projects that this version of the package reads and writes. It is raised
whenever the same observations would get other files, logs or rows."""

_SHOWN = 5
"""How many plots of a kind are named."""

Plots = pd.DataFrame | str | Path | None
"""A plot list (a table of `read_plots`, or its CSV), or None for all plots of a project."""


@dataclass(frozen=True)
class Settings:
    """What a project is made with; all of its plots alike."""

    collection: str
    """Collection of the archive that it is made of."""
    grid: Lattice
    """Grid of its plots and chips."""
    chip_size: tuple[int, int]
    """Width and height of its chips in pixels."""
    composites: tuple[Composite, ...] = tuple(COMPOSITES.values())
    """What its chips are made of."""
    stretch: Stretch = FIXED
    """Where the limits of the composites come from: of each plot, of all, or as they stand."""
    rendered: bool = False
    """Whether it was made of the cubes of another project."""

    def to_json(self) -> dict[str, Any]:
        """The settings as `SETTINGS` keeps them, with the version of the layout."""
        grid, composites = self.grid, {c.name: [c.channels, c.limits] for c in self.composites}
        kept = {
            "layout": LAYOUT,
            "collection": self.collection,
            "grid": {"name": grid.name, "left": grid.left, "top": grid.top, "crs": grid.crs},
            "chip_size": self.chip_size,
            "composites": composites,
            "stretch": str(self.stretch),
            "rendered": self.rendered,
        }
        plain: dict[str, Any] = json.loads(json.dumps(kept))
        return plain

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Settings:
        """The settings that were kept; any error of Python for what are none."""
        grid = kept["grid"]
        name, left, top, crs = str(grid["name"]), grid["left"], grid["top"], str(grid["crs"])
        collection, stretch = kept["collection"], Stretch.parse(kept["stretch"])
        if not collection or not collection.isprintable():
            raise ValueError("no collection")
        lattice = _kept_grid(name, crs, int(left), int(top))
        width, height = chip_shape(kept["chip_size"])
        ChipGrid(lattice, 0, 0, width, height)  # says what is wrong with a size
        return cls(
            collection,
            lattice,
            (width, height),
            tuple(_composite(name, *how) for name, how in kept["composites"].items()),
            stretch,
            bool(kept["rendered"]),
        )


def _kept_grid(name: str, crs: str, left: int, top: int) -> Lattice:
    """The grid of a name where it is still the same, else a lattice as it was kept."""
    kept = Lattice(name, crs, left, top)
    with suppress(InputError):
        known = get_grid(name)
        if (known.crs, known.left, known.top) == (crs, left, top):
            return known
    CRS.from_user_input(crs)  # `CRSError` for what is none
    return kept


def _composite(name: str, channels: Sequence[str], limits: Sequence[Sequence[float]]) -> Composite:
    """A composite that was kept; its name is part of paths, so it is checked like an id."""
    if problem := id_problem(name):
        raise ValueError(f"the composite {name!r} {problem}")
    (red, green, blue), (a, b, c) = channels, [(low, high) for low, high in limits]
    return Composite(name, (str(red), str(green), str(blue)), (a, b, c))


class DamagedSettingsError(ProjectError):
    """What a project is made with can't be read, or is missing beside a ledger of plots."""

    kind = Kind.CORRUPT


def read_settings(folder: Folder) -> Settings:
    """What the project in a folder is made with.

    `NoProjectError` where it does not say, `ProjectError` for a layout of another version of this
    package, and for what is damaged.
    """
    try:
        kept = json.loads(folder.read(SETTINGS))
        layout = kept.get("layout", 1)
        if layout != LAYOUT:
            raise ProjectError(
                f"the project in {folder.root} has the layout {layout}, and this version of "
                f"timesync_xr reads and writes the layout {LAYOUT}: use the version that made it, "
                "or make the project anew in another folder"
            )
        return Settings.from_json(kept)
    except FileNotFoundError:
        if folder.names(RECENT) or folder.present([PLOTS]):
            raise DamagedSettingsError(
                f"{folder.root}/{SETTINGS} is missing, and the ledger knows of plots: put back a "
                "copy of it, or make the project anew in another folder"
            ) from None
        raise NoProjectError(folder.root) from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
            CRSError, InputError) as error:  # fmt: skip
        raise DamagedSettingsError(
            f"{folder.root}/{SETTINGS} is damaged ({type(error).__name__}): put back a copy of it, "
            "or make the project anew in another folder"
        ) from None


class Project:
    """A project folder: what a run made, to be read while a run is at work on it or after.

    ``place`` is a folder, or an address like ``s3://bucket/prefix``, which is reached by ``s3``.
    Making one requests nothing; each property and method reads what is there at that moment.
    Plots are meant by a row of `plots` or `read_plots`, a `Plot`, or a pair of ids.

    Examples
    --------
    ::

        project = tx.Project("project")
        project.plots[["plot_id", "status", "written"]]
        project.files(("1001", "2"), "1996-08-09")
    """

    def __init__(self, place: str | Path, s3: S3 = S3()) -> None:
        self.place, self.s3 = str(place), s3
        self.folder = open_folder(place, s3)

    def __repr__(self) -> str:
        return f"Project({clean(self.place)!r})"

    @cached_property
    def settings(self) -> Settings:
        """What the project is made with. `NoProjectError` where there is none."""
        return read_settings(self.folder)

    @property
    def plots(self) -> pd.DataFrame:
        """The table of plots, by `timesync_xr.plots.id_order` of their ids.

        Columns `timesync_xr.project.ledger.COLUMNS`, ids as text. `NoProjectError` where there is
        no ledger.
        """
        _ = self.settings  # a project of another layout is not to be misread
        return by_id(read_ledger(self.folder))

    @property
    def unfinished(self) -> list[str]:
        """What is not there yet, a line each; none where every plot of the ledger has all."""
        return unfinished(self.plots, self.settings)

    def files(self, plot: object, day: str) -> list[str]:
        """Paths of all files that a plot has of a day (``YYYY-MM-DD``), below the project folder.

        These are its chips and its CSV, as far as the plot was made with them, and the table of the
        plot's spectra, if there is one, which holds the rows of all of its days.
        """
        ids = plot_ids(plot)
        plots = self.plots
        row = plots[(plots["project_id"] == ids[0]) & (plots["plot_id"] == ids[1])]
        formats = row["products"].iloc[0].split(",") if len(row) else ()
        names = [composite.name for composite in self.settings.composites]
        paths = observation_files(Plot(*ids, 0, 0), day, formats, names)
        return [*paths, table_path(*ids)] if "spectra" in formats else paths

    def log(self, plot: object) -> pd.DataFrame:
        """What became of every observation of a plot, and of items that are part of none.

        Columns `timesync_xr.project.log.COLUMNS`; text is never missing; ``scene_count``,
        ``cloud_cover``, ``qa_pixel``, ``bands_filled`` and the shares are numbers, ``valid_range``
        is bool, or they are missing. Empty where the plot has no log.
        """
        return with_numbers(read_log(self.folder, *plot_ids(plot)))

    def spectra(self) -> pd.DataFrame:
        """All rows of the contract in one table, by plot and date.

        Columns `timesync_xr.spectral.series.CSV_COLUMNS`: ids, ``sensor``, ``hv`` and ``date`` as
        text, the rest as integers; values in the Collection 1 range. Meant for projects that fit in
        memory; `combine` makes files of any others. What the ledger says is written and can't be
        read is left out, with a `timesync_xr.errors.LeftOutWarning`. `NoProjectError` where there
        is no ledger.
        """
        lines: list[bytes] = []
        for plot in read_rows(self.folder, self.plots):
            tell_left_out(*plot.ids, plot.problems)
            lines += [row.line for row in plot.rows]
        return parse_rows(lines)

    def chosen(self, plots: Plots = None) -> pd.DataFrame:
        """The rows of `plots` of the plots of a list, or all of them."""
        known = self.plots
        return known if plots is None else known[_is_in(known, self.listed(plots))]

    def missing(self, plots: Plots) -> pd.DataFrame:
        """The plots of a list that the ledger does not know: project_id and plot_id."""
        known = self.plots
        if plots is None:
            return known.iloc[:0]
        listed = self.listed(plots)[_IDS]
        return listed[~_is_in(listed, known)]

    def listed(
        self, plots: pd.DataFrame | str | Path, columns: Sequence[str] = ("project_id", "plot_id")
    ) -> pd.DataFrame:
        """The plots of a list on the project's grid, read where it is a file, with ``columns``."""
        return plot_table(plots, self.settings.grid, columns)

    def observations(self, plots: Plots = None) -> pd.DataFrame:
        """All observations: their items, QA_PIXEL at the plot, and what became of them.

        ``plots`` is a plot list, to take its plots only. A row per observation, written or not, and
        per item that is part of none; by plot, within it by time. Columns
        `timesync_xr.project.tables.OBSERVATION_COLUMNS`:

        - project_id, plot_id, day (``YYYY-MM-DD``, UTC), year, doy; with them rows of `spectra`
          find theirs among those whose outcome is ``written`` or ``without chip``
        - date (verbatim from the item), sensor, hv, item_ids (all records, blank between),
          processed, scene_count and cloud_cover (per cent) of the item of the plot's tile; of a
          pass of several scenes processed tells all, in the order of item_ids
        - outcome: see `timesync_xr.project.log.OUTCOMES`; asset, kind (see
          `timesync_xr.errors.Kind`), cause and remedy: why not written
        - qa_pixel: the raw value at the plot; its flags (``qa_cloud`` ...) and confidences
          (``qa_cloud_confidence`` ...), see `qa_flags`; those of cirrus are missing for sensors
          without its band; is_clear, see there; qa, see `contract_qa`
        - valid_range: whether all six bands at the plot are in 7273 to 43636; bands_filled: how
          many of them are fill; strict_clear: is_clear and valid_range
        - grade, see `qa_grade`, and fmask, see `fmask`: where a band is filled they say no data
        - fill_share, clear_share: shares of the chip's pixels, 0 to 1; missing where spectra alone
          were made, which read the plot pixel alone
        - checksum: CRC-32 of the chip's digital numbers (band, y, x) as little-endian uint16;
          collection: that of the items in STAC; source: the archive that was read; fallback: the
          second one, and the assets that were read there. Empty text where nothing was read

        What comes from pixels is missing where none was read. An observation that is known to be
        fill at the plot without reading has the flags of fill, and no qa_pixel.
        """
        return joined(empty_observations(), self.observation_tables(plots))

    def observation_tables(self, plots: Plots = None) -> Iterator[pd.DataFrame]:
        """The `observations` of one plot after the other, for projects of any size."""
        collection = self.settings.collection
        return observation_tables(self.folder, self.chosen(plots), collection)

    def annual(
        self,
        plots: Plots = None,
        *,
        target_day: int = TARGET_DAY,
        overrides: pd.DataFrame | None = None,
        rule: str = CONTRACT,
    ) -> pd.DataFrame:
        """The observation of each plot and year that the server chooses, and years without one.

        ``plots`` as in `observations`, everything else is that of `timesync_xr.annual`. What was
        written is read: values from the files of the contract, and the grade of each from its log.
        The ``cause`` of a year of which nothing was written counts what became of its observations.
        Years in which nothing but fill was seen, or in which reading failed, have a row, too. A
        plot without any observation has none.
        """
        options = {"target_day": target_day, "overrides": overrides, "rule": rule}
        return annual_table(self.folder, self.chosen(plots), **options)

    def places(self, plots: Plots = None) -> pd.DataFrame:
        """Where plots lie, as their list gave it and as they were put on the grid.

        ``plots`` as in `observations`. A row per plot: project_id, plot_id; x, y, the centre of its
        pixel; x_listed, y_listed, where the list put it (metres of the grid), and offset, the
        metres between the two; lon, lat of the listed point (WGS 84, or as the list has them beside
        x and y); to_edge, metres from the listed point to the nearest edge of its pixel;
        same_pixel, the ids of all other plots of its project in that pixel, with commas between.
        Then the further columns of the list as text, named ``..._listed`` where a name is taken.
        What no list told is missing.
        """
        every = places(self.folder, self.plots, self.settings.grid)  # neighbours may be any
        wanted = every if plots is None else every[_is_in(every, self.listed(plots))]
        return wanted.reset_index(drop=True)

    def series(self, plots: Plots = None) -> pd.DataFrame:
        """Every observation with values, flags and indices, as segmentation programs take it.

        ``plots`` as in `observations`. A row per observation that was written, by plot and date,
        with `timesync_xr.project.series.SERIES_COLUMNS`:

        - project_id, plot_id; day (``YYYY-MM-DD``, UTC) and ordinal, its number as Python's
          ``date.toordinal`` counts (MATLAB's is 366 more); year, doy; sensor
        - blue, green, red, nir, swir1, swir2: surface reflectance, Collection 1 range; -2000 is
          fill
        - qa_pixel, qa, is_clear, valid_range, bands_filled, strict_clear, fmask, grade: as in
          `observations`
        - outlier: see `is_outlier`; missing where it can't be told
        - ndvi, nbr, nbr2, ndmi, evi, tcb, tcg, tcw, tca: see `timesync_xr.indices`

        What can't be read is left out: `verify` tells. `NoProjectError` where there is no ledger.
        """
        return joined(empty_series(), self.series_tables(plots))

    def series_tables(self, plots: Plots = None) -> Iterator[pd.DataFrame]:
        """The `series` of one plot after the other, for projects of any size."""
        return series_tables(self.folder, self.chosen(plots))

    def annual_index(
        self,
        index: str = "nbr",
        plots: Plots = None,
        *,
        target_day: int = TARGET_DAY,
        overrides: pd.DataFrame | None = None,
        rule: str = GRADED,
    ) -> pd.DataFrame:
        """An index of the observation chosen in each year, a row per plot and a column per year.

        ``index`` is one of `timesync_xr.indices` or a band of the contract; ``plots`` as in
        `observations`, the others as in `timesync_xr.annual`. Columns project_id, plot_id, and
        every year from the first to the last of the project, as text. Missing where a year has no
        choice, and where even the one chosen is not strictly clear: programs such as LandTrendr
        want gaps there, not clouds. `InputError` for an unknown index or rule.
        """
        options = {"target_day": target_day, "overrides": overrides}
        return annual_index(self.folder, self.chosen(plots), index, rule, **options)

    def density(self, plots: Plots = None, *, by: str = "year") -> pd.DataFrame:
        """How many clear observations each plot has by year or season: `observation_density`.

        ``plots`` as in `observations`.
        """
        return joined(empty_density(), self.density_tables(plots, by=by))

    def density_tables(self, plots: Plots = None, *, by: str = "year") -> Iterator[pd.DataFrame]:
        """The `density` of one plot after the other, for projects of any size."""
        return (observation_density(table, by) for table in self.series_tables(plots))

    def offsets(self, plots: Plots = None, *, days: int = 1) -> pd.DataFrame:
        """How far sensors differ over these plots: `sensor_offsets` of their `series`."""
        return sensor_offsets(self.series(plots), days)

    def windows(self, size: int = 3, plots: Plots = None, index: str = "ndvi") -> pd.DataFrame:
        """Statistics of the pixels around each plot that has a cube, see `window_statistics`.

        ``plots`` as in `observations`. Columns `timesync_xr.project.tables.WINDOW_TABLE_COLUMNS`;
        ``day`` is ``YYYY-MM-DD`` in UTC; to_edge and same_pixel are those of `places`. `InputError`
        for a size that is no odd number or does not fit the chips, and for an unknown index.
        """
        return joined(empty_windows(), self.window_tables(size, plots, index))

    def window_tables(
        self, size: int = 3, plots: Plots = None, index: str = "ndvi"
    ) -> Iterator[pd.DataFrame]:
        """The `windows` of one plot after the other, for projects of any size."""
        return window_tables(self.folder, self.chosen(plots), self.places(), size, index)

    @contextmanager
    def cube(self, plot: object) -> Iterator[xr.DataArray]:
        """The kept cube of a plot, lazy, as long as the block lasts.

        ::

            with project.cube(("1001", "2")) as cube:
                table = tx.spectral_table(cube)

        It is that of `chips_for_plot` without the observations whose plot pixel is fill.
        `ProjectError` where the plot has no complete cube, or it can't be read.
        """
        with whole_cube(self.folder, Plot(*plot_ids(plot), 0, 0)) as cube:
            yield cube


def by_id(plots: pd.DataFrame) -> pd.DataFrame:
    """A table of plots by `timesync_xr.plots.id_order` of their ids."""
    ids = zip(plots["plot_id"], plots["project_id"], strict=True)
    keys = [(*id_order(plot_id), project_id) for plot_id, project_id in ids]
    return plots.iloc[sorted(range(len(keys)), key=keys.__getitem__)]


def keep_settings(folder: Folder, settings: Settings) -> None:
    """Keep what a project is made with; `ProjectError` if it was made with other settings."""
    if is_new_project(folder, settings):
        folder.write(SETTINGS, json.dumps(settings.to_json(), indent=1).encode())


def is_new_project(folder: Folder, settings: Settings) -> bool:
    """Whether a folder holds no project; `ProjectError` for one made with other settings."""
    wanted = settings.to_json()
    try:
        kept = read_settings(folder).to_json()
    except NoProjectError:
        return True
    if kept["rendered"] != settings.rendered:
        made, command = ("cubes", "render") if kept["rendered"] else ("an archive", "extract")
        raise ProjectError(
            f"the project in {folder.root} was made of {made}, by timesync-xr {command}: go on "
            "with that, or use another --out folder"
        )
    for name, value in wanted.items():
        if kept[name] != value:
            was, asked = (_told(name, of, other) for of, other in ((kept, wanted), (wanted, kept)))
            raise ProjectError(
                f"the project in {folder.root} was made with {name.replace('_', ' ')} {was}, "
                f"not {asked}: use the same, or another --out folder"
            )
    return False


def _told(name: str, settings: Mapping[str, Any], other: Mapping[str, Any]) -> Any:
    """A setting for a message, as far as it is not that of others."""
    value = settings[name]
    if name == "grid":
        return value["name"]
    if name == "stretch":
        return value or "fixed"
    if name == "composites" and list(value) != list(other[name]):
        return ", ".join(value)
    if name == "composites":
        told = (f"{n} of {_drawn(*of)}" for n, of in value.items() if of != other[name][n])
        return "; ".join(told)
    return value


def _drawn(channels: Sequence[str], limits: Sequence[Sequence[float]]) -> str:
    """``red 0 to 1500, green 0 to 1500, blue 0 to 1500``."""
    parts = zip(channels, limits, strict=True)
    return ", ".join(f"{channel} {low:g} to {high:g}" for channel, (low, high) in parts)


def as_project(project: Project | str | Path) -> Project:
    """The project, also of its folder or address."""
    return project if isinstance(project, Project) else Project(project)


def plot_ids(plot: object) -> tuple[str, str]:
    """Ids of a plot: of a row of a table, a `Plot`, or a pair (project_id, plot_id)."""
    try:
        if isinstance(plot, Mapping | pd.Series):
            project_id, plot_id = plot["project_id"], plot["plot_id"]
        elif hasattr(plot, "plot_id"):
            project_id, plot_id = plot.project_id, plot.plot_id  # type: ignore[attr-defined]
        else:
            project_id, plot_id = plot  # type: ignore[misc]
    except (TypeError, ValueError, KeyError):
        raise InputError(
            f"{plot!r} names no plot: give a row of a table of plots, or (project_id, plot_id)"
        ) from None
    return str(project_id), str(plot_id)


_IDS: Final = ["project_id", "plot_id"]


def _is_in(plots: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    return pd.MultiIndex.from_frame(plots[_IDS]).isin(pd.MultiIndex.from_frame(others[_IDS]))


def unfinished(plots: pd.DataFrame, settings: Settings) -> list[str]:
    """What a ledger's plots lack, a line each; none where every plot has all."""
    lines, make = [], "render" if settings.rendered else "extract"
    if plots.empty:
        lines.append(f"The ledger knows no plot yet. Run timesync-xr {make} to make some")
    no_items = plots["status"] == NO_ITEMS
    if no_items.any():
        have = _some(plots, no_items, "has no items", "have no items")
        lines.append(f"{have}. {CHECK} of timesync-xr extract")
    incomplete = plots["status"] == INCOMPLETE
    if incomplete.any():
        one = "is incomplete: what it lacks"
        lack = _some(plots, incomplete, one, "are incomplete: what they lack")
        lines.append(f"{lack} is not in here. Run timesync-xr extract again to make it")
    without = ~has_spectra(plots)
    if without.any():
        one = "was made without spectra: it has no values"
        have = _some(plots, without, one, "were made without spectra: they have no values")
        lines.append(f"{have}. Run timesync-xr {make} with --products png,csv to add them")
    return lines


def _some(plots: pd.DataFrame, chosen: pd.Series, one: str, many: str) -> str:
    """How many of the plots are chosen, their names, and what is said of one or of many."""
    names = plots.loc[chosen, "plot_id"].tolist()
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    of_all = f"{len(names)} of the ledger's {counted(len(plots), 'plot')}"
    named = f"{', '.join(names[:_SHOWN])}{more}"
    return f"{of_all} ({named}) {one if len(names) == 1 else many}"
