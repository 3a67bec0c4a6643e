"""Tables of the field, each with its source: bands, sensors, QA bits, composites, regions.

Nothing here computes; every number that another module uses by name is written down once, here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SR_BANDS: Final = ("blue", "green", "red", "nir08", "swir16", "swir22")
"""Surface reflectance bands by the STAC common names that USGS uses for every sensor."""

QA_BAND: Final = "qa_pixel"
"""The quality band, a set of bits."""

BANDS: Final = (*SR_BANDS, QA_BAND)
"""All bands of a cube, in this order."""

CSV_BANDS: Final = ("blue", "green", "red", "nir", "swir1", "swir2")
"""What the TimeSync table calls the six surface reflectance bands, in the same order."""

FILL: Final = 0
"""Digital number of surface reflectance where there is no data (Collection 2)."""

QA_FILL: Final = 1
"""QA_PIXEL value where there is no data: bit 0 alone."""

SCALE: Final = 0.0000275
"""Surface reflectance per digital number (USGS Landsat Collection 2 Level-2 scale factor)."""

OFFSET: Final = -0.2
"""Surface reflectance at digital number 0 (USGS Landsat Collection 2 Level-2 offset)."""

COLLECTION1_SCALE: Final = 10000
"""Collection 1 kept surface reflectance as integers, 10000 for a reflectance of 1."""


class QABit:
    """Bits of QA_PIXEL (Landsat 4-9 Collection 2 Level 2 data format control books)."""

    FILL = 0
    DILATED_CLOUD = 1
    CIRRUS = 2
    CLOUD = 3
    CLOUD_SHADOW = 4
    SNOW = 5
    CLEAR = 6
    WATER = 7


QA_CONFIDENCE: Final = {"cloud": 8, "cloud_shadow": 10, "snow": 12, "cirrus": 14}
"""First of the two QA_PIXEL bits of each confidence: 0 none, 1 low, 2 medium, 3 high."""

QA_MEDIUM: Final = 2
"""The confidence from which a pixel is no longer taken for clear."""

PLATFORM_AGE: Final = ("LT04", "LT05", "LE07", "LC08", "LC09")
"""Sensors of surface reflectance with six common bands, the oldest platform first."""

TASSELED_CAP_CRIST: Final[dict[str, tuple[float, ...]]] = {
    "brightness": (0.2043, 0.4158, 0.5524, 0.5741, 0.3124, 0.2303),
    "greenness": (-0.1603, -0.2819, -0.4934, 0.7940, -0.0002, -0.1446),
    "wetness": (0.0315, 0.2021, 0.3102, 0.1594, -0.6806, -0.6109),
}
"""Tasseled-cap coefficients for reflectance, over `SR_BANDS`.

Crist, E. P. (1985): A TM tasseled cap equivalent transformation for reflectance factor data.
Remote Sensing of Environment 17, 301-306. Used for every sensor, so that the years compare.
"""


@dataclass(frozen=True)
class Composite:
    """Three channels of a chip image and the range of each that becomes 0..255."""

    name: str
    """Name of the folder in a TimeSync project."""
    channels: tuple[str, str, str]
    """What is shown as red, green and blue: band names or tasseled-cap components."""
    limits: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    """Values (Collection 1 range) that become 0 and 255, a pair per channel."""


COMPOSITES: Final = {
    c.name: c
    for c in (
        Composite(
            "tc",
            ("brightness", "greenness", "wetness"),
            ((604, 5592), (49, 3147), (-2245, 843)),
        ),
        Composite("b743", ("swir22", "nir08", "red"), ((-904, 3696), (151, 4951), (-300, 2500))),
        Composite("b432", ("nir08", "red", "green"), ((151, 4951), (-300, 2500), (50, 1150))),
    )
}
"""The three composites that TimeSync shows, with the limits its interpreters are used to."""

PIXEL: Final = 30
"""Edge of an ARD pixel in metres."""

TILE_SIZE: Final = 5000
"""Edge of an ARD tile in pixels (150 km)."""
