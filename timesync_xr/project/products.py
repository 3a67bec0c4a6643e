"""What is made of an archive: on which grid, of what size, in which forms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..errors import InputError, did_you_mean
from ..grid import ChipGrid, ChipSize, Lattice, chip_shape, get_grid
from ..lists import texts
from ..plots import Plot
from ..spectral.composites import COMPOSITES, Composite
from .files import observation_files

FORMATS: Final = ("png", "csv", "zarr")
"""What can be made of an observation: chips, a row of spectra, its part of the plot's cube."""


@dataclass(frozen=True)
class Products:
    """What is made of every plot.

    Texts and lists are taken as users write them, and kept as the types below.
    """

    formats: str | Iterable[str] = ("png", "csv")
    """Some of `FORMATS`, or a text of them with commas between; kept as a tuple in that order."""
    grid: str | Lattice | None = None
    """Grid of the plots and chips: CU, AK or HI, utm, or a projected CRS like EPSG:3035; kept as a
    `Lattice`. None: that of the archive, which is CU for ARD and utm for scenes."""
    chip_size: ChipSize = (255, 255)
    """Width and height of a chip in pixels, or one number for both; kept as a pair."""
    composites: tuple[Composite, ...] = tuple(COMPOSITES.values())
    """What chips are made of; TimeSync's three by default."""

    def __post_init__(self) -> None:
        grid = None if self.grid is None else get_grid(self.grid)
        composites: Any = self.composites
        if not isinstance(composites, tuple) or not all(
            isinstance(composite, Composite) for composite in composites
        ):
            raise InputError(f"{composites!r} are no composites: give a tuple of them")
        for name, value in (
            ("formats", read_formats(self.formats)),
            ("grid", grid),
            ("chip_size", chip_shape(self.chip_size)),
        ):
            object.__setattr__(self, name, value)
        ChipGrid(self.lattice, 0, 0, *chip_shape(self.chip_size))  # says what is wrong with a size

    @property
    def made(self) -> tuple[str, ...]:
        """What is made, in the order of `FORMATS`."""
        return read_formats(self.formats)

    @property
    def pixel_only(self) -> bool:
        """Whether the plot pixel is all that is needed: for spectra alone."""
        return self.made == ("csv",)

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
        return ChipGrid.around(self.lattice, plot.x, plot.y, self.chip_size)

    def paths(self, plot: Plot, day: str, formats: Sequence[str] = ()) -> list[str]:
        """Files of a plot and day, the CSV last; of other ``formats`` where these are given."""
        names = [composite.name for composite in self.composites]
        return observation_files(plot, day, formats or self.made, names)


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
