"""What is made of an archive: on which grid, of what size, in which forms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from ..cube.schema import is_whole
from ..errors import InputError, check_kind, did_you_mean
from ..grid import ChipGrid, ChipSize, Lattice, chip_shape, get_grid
from ..lists import expect_table, texts
from ..plots import Plot
from ..spectral.annual import CONTRACT, KEY, TARGET_DAY, check_rule, check_target_day
from ..spectral.composites import COMPOSITES, Composite, Composites, read_composites
from .files import observation_files
from .rows import SPECTRA

FORMATS: Final = ("png", "csv", "spectra", "zarr")
"""What can be made of an observation: chips, its row of spectra in a file of its own, the same row
in the table of the plot, its part of the plot's cube."""


Override = tuple[str, str, int, int]
"""What an interpreter chose: project_id, plot_id, year, day of the year."""


@dataclass(frozen=True)
class ChipsPerYear:
    """Which observations of each year are made: the best by the rule of `timesync_xr.annual`.

    What the server would choose of all observations is among them. Of the others nothing is made,
    or with ``all_rows`` their rows of spectra alone, of the plot pixel.

    Examples
    --------
    ::

        tx.ChipsPerYear(3, target_day=200)  # the three best days of each year
        tx.ChipsPerYear(1, all_rows=True)  # one chip a year, and all of the trajectory
    """

    count: int
    """How many days of each year, at most."""
    rule: str = CONTRACT
    """``contract`` or ``graded``, see `timesync_xr.annual`."""
    target_day: int = TARGET_DAY
    """The preferred day of the year, 1 to 366."""
    overrides: pd.DataFrame | tuple[Override, ...] = ()
    """What interpreters chose instead, see `timesync_xr.read_overrides`; kept as a tuple."""
    all_rows: bool = False
    """Whether every observation gets its row of spectra, chip or not. The server's files of
    `timesync_xr.combine` hold the rows that have chips; everything else takes all."""

    def __post_init__(self) -> None:
        if not is_whole(self.count) or self.count < 1:
            raise InputError(f"{self.count!r} chips per year can't be: give 1 or more")
        check_rule(self.rule)
        check_target_day(self.target_day)
        check_kind(self.all_rows, bool | np.bool_, "all_rows", "give True or False")
        if isinstance(self.overrides, pd.DataFrame):
            columns = [*KEY, "doy"]
            expect_table(self.overrides, columns, "give one of read_overrides")
            rows = self.overrides[columns].itertuples(index=False)
            chosen = tuple((str(p), str(n), int(year), int(doy)) for p, n, year, doy in rows)
            object.__setattr__(self, "overrides", chosen)
        given: Any = self._overrides
        for row in given:
            kinds = [type(value) for value in row] if isinstance(row, tuple) else []
            if kinds != [str, str, int, int]:
                raise InputError(f"{row!r} is no override: give tuples of project, plot, year, doy")

    def of(self, plot: Plot) -> ChipsPerYear:
        """The same with the overrides of one plot alone."""
        check_kind(plot, Plot, "plot", "give a timesync_xr.Plot")
        mine = self._by_plot.get((plot.project_id, plot.plot_id), set())
        return replace(self, overrides=tuple(sorted(mine)))

    @cached_property
    def _by_plot(self) -> dict[tuple[str, str], set[Override]]:
        found: dict[tuple[str, str], set[Override]] = {}
        for row in self._overrides:
            found.setdefault(row[:2], set()).add(row)
        return found

    @property
    def days(self) -> set[tuple[int, int]]:
        """Year and day of the year of the overrides."""
        return {(year, doy) for _, _, year, doy in self._overrides}

    @property
    def _overrides(self) -> tuple[Override, ...]:
        return self.overrides if isinstance(self.overrides, tuple) else ()

    def __str__(self) -> str:
        """All of it in words without blanks, the same for the same choice of one plot."""
        return " ".join(self._texts())

    def _texts(self) -> Iterator[str]:
        yield f"{_COUNT}={self.count}"
        if self.rule != CONTRACT:
            yield f"rule={self.rule}"
        if self.target_day != TARGET_DAY:
            yield f"target-day={self.target_day}"
        if self._overrides:
            days = ",".join(f"{year}-{doy:03d}" for _, _, year, doy in self._overrides)
            yield f"overrides={days}"
        if self.all_rows:
            yield _ALL_ROWS

    @classmethod
    def parse(cls, text: str, plots: Iterable[tuple[str, str]]) -> ChipsPerYear | None:
        """What the words of these plots stand for, as the ledger keeps them; None for no choice."""
        check_kind(text, str, "text", "give that of a choice of chips per year")
        words = dict(word.partition("=")[::2] for word in text.split())
        if _COUNT not in words:
            return None
        days = [day.split("-") for day in words.get("overrides", "").split(",") if day]
        overrides = tuple((*plot, int(year), int(doy)) for plot in plots for year, doy in days)
        target_day = int(words.get("target-day", TARGET_DAY))
        rule = words.get("rule", CONTRACT)
        return cls(int(words[_COUNT]), rule, target_day, overrides, _ALL_ROWS in words)


_COUNT: Final = "chips-per-year"
_ALL_ROWS: Final = "all-rows"


@dataclass(frozen=True)
class Products:
    """What is made of every plot.

    Texts and lists are taken as users write them, and kept as the types below.

    Examples
    --------
    ::

        tx.Products("png,csv,zarr", chips_per_year=tx.ChipsPerYear(1))
    """

    formats: str | Iterable[str] = ("png", "csv")
    """Some of `FORMATS`, or a text of them with commas between; kept as a tuple in that order."""
    grid: str | Lattice | None = None
    """Grid of the plots and chips: CU, AK or HI, utm, or a projected CRS like EPSG:3035; kept as a
    `Lattice`. None: that of the archive, which is CU for ARD and utm for scenes."""
    chip_size: ChipSize = (255, 255)
    """Width and height of a chip in pixels, or one number for both; kept as a pair."""
    composites: Composites = tuple(COMPOSITES.values())
    """What chips are made of, by name or a `Composite` of your own; TimeSync's three by default.
    Kept as a tuple of `Composite`."""
    chips_per_year: int | ChipsPerYear | None = None
    """How many observations of each year are made, the best by the annual rule; all by default.
    Kept as `ChipsPerYear`, which holds rule, target day and overrides, too."""

    def __post_init__(self) -> None:
        grid = None if self.grid is None else get_grid(self.grid)
        composites = read_composites(self.composites)
        if not composites and "png" in read_formats(self.formats):
            raise InputError("there is no composite: name one; for no chips leave out png")
        for name, value in (
            ("formats", read_formats(self.formats)),
            ("grid", grid),
            ("chip_size", chip_shape(self.chip_size)),
            ("composites", composites),
        ):
            object.__setattr__(self, name, value)
        per_year: Any = self.chips_per_year
        if per_year is not None and not isinstance(per_year, ChipsPerYear):
            object.__setattr__(self, "chips_per_year", ChipsPerYear(per_year))
        if self.all_rows and not (self.of_rows and {*self.made} - {*SPECTRA}):
            raise InputError(
                f"{','.join(self.made)} can't have rows without chips: with all_rows, give csv or "
                "spectra beside png or zarr. Spectra alone have all rows without chips_per_year"
            )
        ChipGrid(self.lattice, 0, 0, *chip_shape(self.chip_size))  # says what is wrong with a size

    @property
    def made(self) -> tuple[str, ...]:
        """What is made, in the order of `FORMATS`."""
        return cast("tuple[str, ...]", self.formats)

    @property
    def drawn(self) -> tuple[Composite, ...]:
        """What chips are made of."""
        return cast("tuple[Composite, ...]", self.composites)

    @property
    def per_year(self) -> ChipsPerYear | None:
        """Which observations of each year are made; None for all."""
        chosen = self.chips_per_year
        return ChipsPerYear(chosen) if isinstance(chosen, int) else chosen

    @property
    def all_rows(self) -> bool:
        """Whether observations that get no chip get their row of spectra."""
        return self.per_year is not None and self.per_year.all_rows

    @property
    def of_rows(self) -> tuple[str, ...]:
        """What is made that holds rows of spectra."""
        return tuple(name for name in self.made if name in SPECTRA)

    @property
    def pixel_only(self) -> bool:
        """Whether the plot pixel is all that is needed: for spectra alone."""
        return set(self.made) <= set(SPECTRA)

    @property
    def lattice(self) -> Lattice:
        """Grid of the plots and chips; CU where none is named."""
        return get_grid(self.grid or "CU")

    def on(self, grid: str) -> Products:
        """The same on this grid, where none is named."""
        return replace(self, grid=grid) if self.grid is None else self

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height of a chip in pixels."""
        return chip_shape(self.chip_size)

    def chip(self, plot: Plot) -> ChipGrid:
        """The pixels of a plot's chip."""
        check_kind(plot, Plot, "plot", "give a timesync_xr.Plot")
        return ChipGrid.around(self.lattice, plot.x, plot.y, self.chip_size)

    def paths(self, plot: Plot, day: str, formats: Sequence[str] = ()) -> list[str]:
        """Files of a plot and day, the CSV last; of other ``formats`` where these are given."""
        check_kind(plot, Plot, "plot", "give a timesync_xr.Plot")
        names = [composite.name for composite in self.drawn]
        wanted = texts(formats) or self.made
        return observation_files(plot, day, wanted, names)


def read_formats(formats: str | Iterable[str], known: Iterable[str] = FORMATS) -> tuple[str, ...]:
    """Some of the known formats, in their order; `InputError` for none, or for any other."""
    known = tuple(known)
    asked = [part.strip() for part in texts(formats)]
    unknown = [name for name in asked if name not in known]
    if unknown or not asked:
        raise InputError(
            f"there is no product {', '.join(map(repr, unknown)) or 'to make'}"
            f"{did_you_mean(''.join(unknown[:1]), known)}: choose from {', '.join(known)}"
        )
    return tuple(name for name in known if name in asked)
