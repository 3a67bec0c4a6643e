"""The made-up valley of the sample archive: what lies where, and how it looks on a day.

Arrays are (y, x) or (band, y, x) on a square of `SIZE` pixels; positions are (u, v), pixels east
and south of the corner of four tiles. Reflectance is a fraction, bands are `landsat.SR_BANDS`.
Every pixel is a mixture of a few pure surfaces, whose shares follow the calendar and the years.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BEFORE: Final = 136
"""Pixels north and west of the tile corner: the last block of a tile is 136 pixels wide."""
SIZE: Final = BEFORE + 192
"""Edge of the valley in pixels; it needs one block of each of the four tiles."""

FIRE: Final = (1996.55, 0.0, 80.0, 36.0)
"""A forest fire: decimal year, centre u, v, and radius in pixels."""
CUTS: Final = (
    (1987.9, -100, 24, 15), (1990.8, 64, 150, 13), (1993.1, -66, 60, 12), (1999.9, 24, 160, 13),
    (2002.1, -112, 120, 16), (2008.1, 60, 62, 13), (2012.9, -46, -4, 12), (2017.1, -92, 168, 15),
    (2020.1, -30, 140, 13),
)  # fmt: skip
"""Clear-cuts: decimal year, centre u, v, and half edge in pixels."""
TOWN: Final = (86.0, -2.0)
"""Centre of the town (u, v)."""

SURFACES: Final = {
    "conifer": (0.020, 0.034, 0.024, 0.215, 0.100, 0.045),
    "leaves": (0.024, 0.052, 0.029, 0.385, 0.170, 0.072),
    "twigs": (0.045, 0.062, 0.072, 0.175, 0.205, 0.130),
    "shrub": (0.034, 0.058, 0.050, 0.290, 0.205, 0.105),
    "grass": (0.036, 0.078, 0.052, 0.360, 0.225, 0.115),
    "straw": (0.066, 0.098, 0.128, 0.235, 0.295, 0.200),
    "crop": (0.026, 0.066, 0.034, 0.470, 0.190, 0.085),
    "soil": (0.058, 0.084, 0.112, 0.180, 0.260, 0.215),
    "char": (0.034, 0.038, 0.044, 0.070, 0.135, 0.145),
    "roofs": (0.120, 0.140, 0.150, 0.205, 0.215, 0.185),
    "water": (0.034, 0.042, 0.026, 0.014, 0.008, 0.005),
}
"""Reflectance of the pure surfaces in the six bands, plausible values for a temperate land."""
SNOW: Final = (0.760, 0.770, 0.760, 0.690, 0.110, 0.090)
"""Reflectance of snow, which lies upon all others."""

_SEASONS: Final = (
    (150, 190, 245, 275),
    (168, 205, 250, 272),
    (105, 135, 180, 200),
    (100, 125, 285, 310),
)
"""Days of the year on which maize, soy, wheat and hay turn green, are green, fade, and are gone."""


def noise(rng: np.random.Generator, roughness: float) -> Floats:
    """A random field of mean 0 and deviation 1 that fits at its edges; small numbers are rough.

    ``roughness`` is the exponent of its power spectrum. Rounded, so that machines agree on it.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) / _damping(roughness)
    field = np.fft.irfft2(spectrum, s=(SIZE, SIZE))
    return np.asarray(np.round(field / field.std(), 3), np.float64)


@cache
def _damping(roughness: float) -> Floats:
    """By how much the waves of each frequency are weaker."""
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
    frequency[0, 0] = np.inf
    return np.asarray(frequency ** (roughness / 2), np.float64)


def ramp(value: Floats | float, low: float, high: float) -> Floats:
    """0 at ``low`` and below, 1 at ``high`` and above, straight between."""
    return np.clip((np.asarray(value, np.float64) - low) / (high - low), 0, 1)


def season(doy: int, start: int, full: int, fading: int, gone: int) -> float:
    """How far a plant is green on a day of the year, 0 to 1."""
    return float(ramp(doy, start, full) * (1 - ramp(doy, fading, gone)))


@dataclass(frozen=True)
class Valley:
    """What lies where. The masks of cover exclude each other and leave out the town to come."""

    water: Mask
    """River and lake."""
    forest: Mask
    """Forest, whatever happens to it later."""
    field: Mask
    """Crop land."""
    meadow: Mask
    """Grass and shrub: banks, wet ground, waysides."""
    road: Mask
    """Roads on the section lines of the crop land."""
    conifer: Floats
    """Share of conifers among the trees, 0 to 1."""
    parcel: Ints
    """Number of the crop field, the same in the whole field."""
    built: Floats
    """Decimal year in which building begins; infinite where nobody builds."""
    disturbed: Floats
    """Decimal year in which the forest burns or is cut; infinite where it does not."""
    burns: Mask
    """Whether the disturbance is a fire."""
    relief: Floats
    """Gain of brightness by slope and aspect, about 1."""
    grain: Floats
    """Fine texture, deviation 1."""
    patches: Floats
    """Coarse texture, deviation 1."""


def make_valley(rng: np.random.Generator) -> Valley:
    """Lay out the valley: woods in the west and south, fields in the east, a river, a town."""
    v, u = np.mgrid[-BEFORE : SIZE - BEFORE, -BEFORE : SIZE - BEFORE].astype(np.float64)
    hills, patches, grain = noise(rng, 4), noise(rng, 3.2), noise(rng, 1)
    bank, water = _waters(u, v, patches)
    burns = np.hypot(u - FIRE[1], v - FIRE[2]) + 7 * patches < FIRE[3]
    cut = _cuts(u, v)
    grove = np.exp(-((u - 66) ** 2 + (v - 78) ** 2) / 32**2)
    wooded = ramp(-u, -40, 90) + ramp(v, 60, 190) + grove + 0.3 * hills + 0.25 * patches > 0.55
    wooded |= burns | np.isfinite(cut)
    parcel, road = _parcels(u, v, rng)
    free = ~water & ~bank
    forest, open_land = free & wooded, free & ~wooded
    hedge = open_land & (parcel % 11 == 0)
    return Valley(
        water=water,
        forest=forest,
        field=open_land & ~road & ~hedge,
        meadow=(bank & ~water) | (hedge & ~road),
        road=open_land & road,
        conifer=ramp(hills + 0.5 * patches, -0.6, 1.6),
        parcel=parcel,
        built=_building_years(u, v, parcel, free),
        disturbed=np.where(burns, FIRE[0], cut),
        burns=burns,
        relief=np.clip(1 + 1.4 * (np.roll(hills, 2, 0) - np.roll(hills, -2, 1)), 0.7, 1.3),
        grain=grain,
        patches=patches,
    )


def _waters(u: Floats, v: Floats, patches: Floats) -> tuple[Mask, Mask]:
    """Banks with the water between them, and the water: a river, a lake, and its outlet."""
    course = 30 + 24 * np.sin(v / 31) + 9 * np.sin(v / 12 + 1) - 0.12 * v
    river = np.abs(u - course) / (1 + 0.25 * np.cos(v / 12) ** 2)
    lake = np.hypot((u + 58) / 1.5, v + 74) + 6 * patches
    stream = np.hypot(v + 74 - 8 * np.sin(u / 14), np.maximum(0, np.abs(u + 26) - 32))
    water = (river < 3.4) | (lake < 21) | (stream < 1.3)
    bank = (river < 8 + 3 * patches) | (lake < 24 + 3 * patches) | (stream < 3.5)
    return bank | water, water


def _cuts(u: Floats, v: Floats) -> Floats:
    """Decimal year of the clear-cut of each pixel; infinite where there is none."""
    year = np.full(u.shape, np.inf)
    for when, at_u, at_v, half in CUTS:
        turned_u, turned_v = (u - at_u) + 0.3 * (v - at_v), (v - at_v) - 0.3 * (u - at_u)
        year[(np.abs(turned_u) < half) & (np.abs(turned_v) < 0.7 * half)] = when
    return year


def _parcels(u: Floats, v: Floats, rng: np.random.Generator) -> tuple[Ints, Mask]:
    """Number of the field of each pixel, and the roads: a turned grid of square miles."""
    a, b = u + 0.06 * v + 500, v - 0.06 * u + 500
    cell = (a // 26.8).astype(np.int64) * 64 + (b // 26.8).astype(np.int64)
    split = rng.integers(0, 6, 4096)[cell]
    across = np.where(split < 2, a % 26.8 // 13.4, np.where(split < 4, b % 26.8 // 8.94, 0))
    road = (a % 53.6 < 1.2) | (b % 53.6 < 1.2)
    return rng.permutation(4096 * 3)[cell * 3 + across.astype(np.int64)], road


def _building_years(u: Floats, v: Floats, parcel: Ints, free: Mask) -> Floats:
    """Decimal year in which each pixel is built on: from the old centre outwards, by parcels."""
    distance = np.hypot(u - TOWN[0], 1.25 * (v - TOWN[1]))
    year = 1958 + 1.4 * distance + parcel % 15 - 7
    return np.where(free & (year < 2016), year, np.inf)


def surface_shares(valley: Valley, day: date) -> dict[str, Floats]:
    """Share of each pure surface in each pixel on a day without snow; the shares add up to 1."""
    doy = day.timetuple().tm_yday
    year = day.year + doy / 366
    town = np.where(valley.water, 0, ramp(year - valley.built, 0, 9))
    cover = {"water": valley.water * 1.0, **_forest(valley, year, season(doy, 122, 150, 270, 300))}
    for name, share in (_open_land(valley, day.year, doy)).items():
        cover[name] = cover.get(name, 0) + share
    houses = np.where(valley.grain > 0.6, 0.25, 0.75)
    shares = {name: share * (1 - town) for name, share in cover.items()}
    shares["roofs"] = shares["roofs"] + town * houses
    shares["leaves" if 130 < doy < 290 else "twigs"] += town * (1 - houses)
    return shares


def _forest(valley: Valley, year: float, leaf: float) -> dict[str, Floats]:
    """Shares in the forest, with what fire and saw have done and how far it has come back."""
    since = year - valley.disturbed
    hit = since >= 0
    age = np.where(hit, since, 99)
    wooded = valley.forest.astype(np.float64)
    open_ground = wooded * np.where(hit, np.exp(-np.clip(age - 1, 0, None) / 10), 0)
    trees = wooded - open_ground
    raw = open_ground * np.exp(-age / 1.6)
    conifer = trees * valley.conifer * np.where(hit, ramp(age, 8, 30), 1)
    return {
        "conifer": conifer,
        "leaves": (trees - conifer) * leaf,
        "twigs": (trees - conifer) * (1 - leaf),
        "char": raw * valley.burns,
        "soil": raw * ~valley.burns,
        "shrub": (open_ground - raw) * (0.35 + 0.4 * leaf),
        "straw": (open_ground - raw) * (0.65 - 0.4 * leaf),
    }


def _open_land(valley: Valley, year: int, doy: int) -> dict[str, Floats]:
    """Shares in fields, meadows and roads. A field bears another crop each year, hay for four."""
    kind = np.where(valley.parcel % 5 == 0, 3, (valley.parcel + year) % 3)
    green = np.array([season(doy, *days) for days in _SEASONS])[kind]
    fresh = season(doy, 95, 130, 205, 300)
    dry = (valley.parcel // 3 + year) % 4 / 4 * (doy > 180)
    return {
        "crop": valley.field * green,
        "soil": valley.field * (1 - green) * (1 - dry),
        "straw": valley.field * (1 - green) * dry + valley.meadow * (1 - fresh) * 0.8,
        "grass": valley.meadow * fresh * 0.8,
        "shrub": valley.meadow * 0.2,
        "roofs": valley.road * 1.0,
    }


def ground(valley: Valley, day: date, snow: float) -> tuple[Floats, Mask]:
    """Reflectance (band, y, x) of the ground on a day, and where snow lies; ``snow`` 0 to 1."""
    shares = surface_shares(valley, day)
    land = np.zeros((6, SIZE, SIZE))
    for name, share in shares.items():
        for number, bright in enumerate(SURFACES[name]):
            land[number] += bright * share
    tone = ((valley.parcel * 7 + day.year * 3) % 16 / 16 - 0.5) * 0.22
    texture = np.select(
        [valley.water, valley.forest, valley.field],
        [0, 0.02 * valley.grain + valley.relief - 1, tone + 0.03 * valley.patches],
        0.06 * valley.patches,
    )
    light = land * (1 + texture)
    deep = snow * np.where(valley.forest, 0.28, 0.85) + 0.04 * valley.patches
    deep = np.round(deep * 16) / 16 * (snow > 0)
    return light + deep * (np.array(SNOW)[:, None, None] - light), deep > 0.5
