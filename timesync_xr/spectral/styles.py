"""Composites and stretches by name: those of this package, and those of a user's file.

The file is TOML::

    [composites.forest]
    channels = ["swir16", "ndvi", "wetness"]
    limits = [[0, 4000], [0, 1], [-2245, 843]]

    [stretches.soft]
    percentiles = [1, 99]
    over = "project"

Channels and limits are those of `timesync_xr.spectral.composites`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import InputError, check_choice, check_path, did_you_mean
from ..landsat import QA_BAND
from ..lists import texts
from .composites import (
    ALL_COMPOSITES,
    INDICES,
    Composite,
    Composites,
    channel_values,
    is_fill_pixel,
    read_composites,
)
from .quality import is_clear

_INDEX_STEPS = 10_000
"""Percentiles of an index are exact to one part of this."""


@dataclass(frozen=True)
class Stretch:
    """Where the limits of a composite come from."""

    percentiles: tuple[float, float] | None = None
    """Percentiles of the clear pixels that become 0 and 255; None for the composite's own."""
    over: str = "plot"
    """Whose pixels: those of every ``plot`` for itself, or of the ``project``."""

    def __str__(self) -> str:
        """``plot 2 98``, as a project keeps it; empty where limits are as they stand."""
        if self.percentiles is None:
            return ""
        low, high = self.percentiles
        return f"{self.over} {low:.17g} {high:.17g}"

    @property
    def over_plots(self) -> bool:
        """Whether limits are those of each plot."""
        return self.percentiles is not None and self.over == "plot"

    @classmethod
    def parse(cls, text: str) -> Stretch:
        """The stretch that a project keeps; ``ValueError`` for what is none."""
        if text == "":
            return cls()
        over, low, high = text.split(" ")
        made = cls((float(low), float(high)), over)
        if over not in OVER or not 0 <= float(low) < float(high) <= 100:
            raise ValueError("no stretch")
        return made


OVER: Final = ("plot", "project")
"""What a stretch by percentiles may be of."""

FIXED: Final = Stretch()
"""Limits as they stand."""

_STRETCHES: Final = {
    "fixed": FIXED,
    "plot": Stretch((2, 98), "plot"),
    "project": Stretch((2, 98), "project"),
}


@dataclass(frozen=True)
class Styles:
    """A registry of composites and stretches."""

    composites: Mapping[str, Composite] = field(default_factory=lambda: dict(ALL_COMPOSITES))
    """Composites by name."""
    stretches: Mapping[str, Stretch] = field(default_factory=lambda: dict(_STRETCHES))
    """Stretches by name."""

    def chosen(self, names: Composites) -> tuple[Composite, ...]:
        """The composites of these names; `InputError` names the choices for any other."""
        return read_composites(names, self.composites)

    def stretch(self, name: str) -> Stretch:
        """The stretch of this name; `InputError` names the choices for any other."""
        check_choice(name, self.stretches, "stretch")
        return self.stretches[name]


def read_styles(path: str | os.PathLike[str]) -> Styles:
    r"""The registry with what a user's file adds or replaces; `InputError` says what is wrong.

    Examples
    --------
    ::

        from pathlib import Path

        text = '''
        [composites.forest]
        channels = ["swir16", "ndvi", "wetness"]
        limits = [[0, 4000], [0, 1], [-2245, 843]]
        '''
        Path("styles.toml").write_text(text)
        tx.read_styles(Path("styles.toml")).composites["forest"]
    """
    check_path(path, "path", "give that of a TOML file")
    try:
        text = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read as TOML ({error}): {_REMEDY}") from None
    try:
        tables = _known(text, "the file", composites={}, stretches={})
        composites = _table(tables["composites"], "[composites]").items()
        stretches = _table(tables["stretches"], "[stretches]").items()
        return Styles(
            dict(ALL_COMPOSITES) | {name: _composite(name, value) for name, value in composites},
            dict(_STRETCHES) | {name: _stretch(name, value) for name, value in stretches},
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


_REMEDY: Final = (
    "give [composites.NAME] with channels and limits, [stretches.NAME] with percentiles and over"
)


def _table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{name} is no table: {_REMEDY}")
    return value


def _known(value: Any, name: str, **usual: Any) -> dict[str, Any]:
    """A table of these keys; `InputError` for any other, and for one that is not there.

    Those that may be left out have a value in place of None.
    """
    table = _table(value, name)
    for key in table:
        if key not in usual:
            raise InputError(f"{name} has no {key!r}{did_you_mean(key, usual)}: {_REMEDY}")
    filled = {**usual, **table}
    for key, given in filled.items():
        if given is None:
            raise InputError(f"{name} lacks {key!r}: {_REMEDY}")
    return filled


def _composite(name: str, value: Any) -> Composite:
    told = _known(value, f"[composites.{name}]", channels=None, limits=None)
    try:
        limits: Any = tuple((float(low), float(high)) for low, high in told["limits"])
    except (TypeError, ValueError):
        limits = ()  # which a composite refuses
    channels: Any = tuple(texts(told["channels"]))
    return Composite(name, channels, limits)


def _stretch(name: str, value: Any) -> Stretch:
    told = _known(value, f"[stretches.{name}]", percentiles=None, over="plot")
    try:
        low, high = (float(p) for p in told["percentiles"])
    except (TypeError, ValueError):
        low = high = np.nan
    if not 0 <= low < high <= 100 or told["over"] not in OVER:
        raise InputError(
            f"[stretches.{name}] needs percentiles of two numbers from 0 to 100, the lower first, "
            "and over, which is plot or project"
        )
    return Stretch((low, high), told["over"])


def with_percentiles(
    composite: Composite, cubes: Iterable[xr.DataArray], percentiles: tuple[float, float]
) -> Composite:
    """The composite with limits at percentiles of the clear pixels of some cubes.

    Channels without any clear pixel keep their own limits.
    """
    counts = np.zeros((3, 2**16), dtype=np.int64)
    for cube in cubes:
        known = is_clear(cube.sel(band=QA_BAND)) & ~is_fill_pixel(cube)
        for count, channel in zip(counts, composite.channels, strict=True):
            values = channel_values(cube, channel).to_numpy()[known.to_numpy()]
            steps = np.rint(values[np.isfinite(values)] * _steps(channel)) + 2**15
            np.add(
                count,
                np.bincount(steps.clip(0, 2**16 - 1).astype(np.int64), minlength=2**16),
                out=count,
            )
    found = [
        _limits(count, percentiles, _steps(channel)) or limits
        for count, channel, limits in zip(counts, composite.channels, composite.limits, strict=True)
    ]
    return replace(composite, limits=(found[0], found[1], found[2]))


def _steps(channel: str) -> int:
    return _INDEX_STEPS if channel in INDICES else 1


def _limits(
    count: npt.NDArray[np.int64], percentiles: tuple[float, float], steps: int
) -> tuple[float, float] | None:
    """Values at two percentiles of a histogram; None if it is empty or holds one value."""
    wanted = np.maximum(np.array(percentiles) / 100 * count.sum(), 1)  # 0: the lowest that is there
    reached = np.searchsorted(np.cumsum(count), wanted)
    low, high = (reached.clip(0, 2**16 - 1) - 2**15) / steps
    return (float(low), float(high)) if count.any() and low < high else None
