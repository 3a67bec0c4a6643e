"""What a satellite sees of the valley on a pass: clouds, shadows, gaps, edges and QA_PIXEL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from ..landsat import CIRRUS_SENSORS, FILL, OFFSET, QA_FILL, SCALE, VALID_RANGE, QABit
from .scene import BEFORE, SIZE, Floats, Mask, Valley, ground, noise, ramp

CLOUD: Final = (0.62, 0.63, 0.64, 0.68, 0.50, 0.40)
"""Reflectance of a dense cloud in the six bands."""
SHADE: Final = (0.72, 0.62, 0.55, 0.45, 0.40, 0.40)
"""What is left of the light in a cloud's shadow."""
STEPS: Final = (512, 192, 512, 768, 640, 640)
"""Distance of neighbouring digital numbers in each band: few of them make small files."""
LEAN: Final = 0.15
"""How far swath edges lean west on their way south; scans cross them, so gaps run down to the east.

An orbit leans by 12 degrees from the meridian, and at this place the grid by 3 degrees from it.
"""
SLC_FAILURE: Final = date(2003, 5, 31)
"""Since this day Landsat 7 has gaps between its scans."""


@dataclass(frozen=True)
class Pass:
    """One platform over the valley on one day."""

    sensor: str
    """LT04, LT05, LE07, LC08 or LC09."""
    day: date
    """Date of acquisition."""
    number: int
    """What its weather and its time of the day are drawn from."""
    clouds: float = 0
    """Share of the valley under clouds."""
    cirrus: bool = False
    """Whether thin high clouds drift over the valley."""
    snow: float = 0
    """How much of the ground lies under snow, 0 to 1."""
    edge: float | None = None
    """Where the swath ends, in pixels east of the tile corner; the land west of it is not seen."""


def observe(valley: Valley, flight: Pass, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """What the pass records: digital numbers (7, y, x) as uint16, the last one is QA_PIXEL."""
    light, snow = ground(valley, flight.day, flight.snow)
    light *= 1 + 0.025 * rng.standard_normal((6, 1, 1))
    opacity, shadow = _clouds(rng, flight.clouds)
    light *= 1 - shadow * (1 - np.array(SHADE))[:, None, None]
    light += opacity * (np.array(CLOUD)[:, None, None] - light)
    veil = np.round(4 * ramp(noise(rng, 3.8), 0.2, 2)) / 4 * flight.cirrus
    light += 0.05 * veil
    unseen = _unseen(flight, rng)
    numbers = np.where(unseen, FILL, _digital_numbers(light, rng))
    flags = _quality(flight, valley.water, opacity > 0.2, shadow > 0.5, snow, veil > 0.3)
    return np.concatenate([numbers, np.where(unseen, QA_FILL, flags)[None]]).astype(np.uint16)


def _digital_numbers(light: Floats, rng: np.random.Generator) -> Floats:
    """Reflectance (band, y, x) to Collection 2 digital numbers, as far apart as `STEPS` say.

    The steps begin elsewhere on each pass and in each band, so that the years differ. Along a
    row a number stays until it is a whole step off: long runs make small files.
    """
    steps = np.array(STEPS)[:, None, None]
    start = rng.integers(0, steps)
    exact = ((light - OFFSET) / SCALE - start) / steps
    columns = np.ascontiguousarray(np.moveaxis(exact, -1, 0))
    kept: Floats = np.round(columns)
    for x in range(1, SIZE):
        np.copyto(kept[x], kept[x - 1], where=np.abs(columns[x] - kept[x - 1]) <= 1)
    kept = np.moveaxis(kept, 0, -1)
    return np.asarray(np.clip(kept * steps + start, *VALID_RANGE), np.float64)


def _clouds(rng: np.random.Generator, share: float) -> tuple[Floats, Floats]:
    """How opaque the clouds are and how deep their shadows, each 0 to 1."""
    heaps = noise(rng, 3.4)
    base = np.quantile(heaps, 1 - share) if share else np.inf
    opacity = np.round(ramp(heaps, base, base + 0.7) * 8) / 8 if share else np.zeros_like(heaps)
    shadow = np.minimum(1, 3 * np.roll(opacity, (-13, -9), (0, 1)))
    return opacity, np.round(2 * shadow) / 2


def _unseen(flight: Pass, rng: np.random.Generator) -> Mask:
    """Where the pass has no data: beyond the swath, and in the gaps of Landsat 7."""
    v, u = np.mgrid[-BEFORE : SIZE - BEFORE, -BEFORE : SIZE - BEFORE]
    unseen = np.zeros((SIZE, SIZE), np.bool_)
    if flight.edge is not None:
        unseen |= u + LEAN * v < flight.edge
    if flight.sensor == "LE07" and flight.day > SLC_FAILURE:
        width = 4.5 + 6 * (u + BEFORE) / SIZE
        unseen |= (v - LEAN * u + rng.integers(33)) % 33 < width
    return unseen


def _quality(
    flight: Pass, water: Mask, cloud: Mask, shadow: Mask, snow: Mask, cirrus: Mask
) -> npt.NDArray[np.int64]:
    """QA_PIXEL of seen pixels: flags in bits 0 to 7, confidences (1 low, 3 high) above.

    Bit 6 (clear) says other things on other sensors, as in the real archive: on OLI it is set for
    shadow, snow and water and not for dilated cloud, on TM and ETM+ the other way round.
    """
    dilated = cloud.copy()
    for axis, step in ((0, 2), (0, -2), (1, 2), (1, -2)):
        dilated |= np.roll(dilated, step, axis)
    dilated &= ~cloud
    shadow, snow = shadow & ~(cloud | dilated), snow & ~(cloud | dilated | shadow)
    water = water & ~(cloud | dilated | shadow | snow)
    has_cirrus_band = flight.sensor in CIRRUS_SENSORS
    cirrus = cirrus & has_cirrus_band & ~(cloud | dilated | shadow | snow | water)
    flags = {
        QABit.DILATED_CLOUD: dilated,
        QABit.CIRRUS: cirrus,
        QABit.CLOUD: cloud,
        QABit.CLOUD_SHADOW: shadow,
        QABit.SNOW: snow,
        QABit.CLEAR: ~(cloud | (dilated if has_cirrus_band else shadow | snow | water)),
        QABit.WATER: water,
    }
    value = sum(mask.astype(np.int64) << bit for bit, mask in flags.items())
    for bit, sure in ((8, cloud), (10, shadow), (12, snow)):
        value = value + (np.where(sure, 3, 1) << bit)
    return np.asarray(value + has_cirrus_band * (np.where(cirrus, 3, 1) << 14), np.int64)
