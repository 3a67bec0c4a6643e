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

from ..errors import InputError, check_choice, check_path
from ..landsat import QA_BAND
from .composites import (
    ALL_COMPOSITES,
    INDICES,
    Composite,
    channel_values,
    get_composite,
    is_fill_pixel,
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


OVER: Final = ("plot", "project")
"""What a stretch by percentiles may be of."""

_STRETCHES: Final = {
    "fixed": Stretch(),
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

    def composite(self, name: str) -> Composite:
        """The composite of this name; `InputError` names the choices for any other."""
        return get_composite(name, self.composites)

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
        composites = {n: _composite(n, v) for n, v in text.get("composites", {}).items()}
        stretches = {n: _stretch(v) for n, v in text.get("stretches", {}).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: no file of composites and stretches ({type(error).__name__}: {error}). Give "
            "[composites.NAME] with channels and limits, [stretches.NAME] with percentiles and over"
        ) from None
    return Styles(dict(ALL_COMPOSITES) | composites, dict(_STRETCHES) | stretches)


def _composite(name: str, value: Mapping[str, Any]) -> Composite:
    first, second, third = (str(channel) for channel in value["channels"])
    a, b, c = ((float(low), float(high)) for low, high in value["limits"])
    if not all(-np.inf < low < high < np.inf for low, high in (a, b, c)):
        raise InputError(f"the composite {name!r} has limits whose low is not below its high")
    if name in ("cubes", "spectra"):  # where those of the plots lie
        raise InputError(f"a composite can't be named {name!r}: rename it")
    return Composite(name, (first, second, third), (a, b, c))


def _stretch(value: Mapping[str, Any]) -> Stretch:
    low, high = (float(p) for p in value["percentiles"])
    made = Stretch((low, high), str(value.get("over", "plot")))
    if not 0 <= low < high <= 100 or made.over not in OVER:
        raise InputError("a stretch has two percentiles from 0 to 100, over plot or project")
    return made


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
