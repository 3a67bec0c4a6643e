"""Tables of the field, each with its source: bands, sensors, QA bits, tasseled cap.

Nothing here computes; every number that another module uses by name is written down once, here.
"""

from __future__ import annotations

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


COLLECTION1_FILL: Final = -2000
"""What fill becomes in the Collection 1 range; no other digital number does."""


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


QA_FLAGS: Final = {
    "fill": QABit.FILL,
    "dilated_cloud": QABit.DILATED_CLOUD,
    "cirrus": QABit.CIRRUS,
    "cloud": QABit.CLOUD,
    "cloud_shadow": QABit.CLOUD_SHADOW,
    "snow": QABit.SNOW,
    "clear": QABit.CLEAR,
    "water": QABit.WATER,
}
"""Bit of each flag of QA_PIXEL."""

QA_CONFIDENCE: Final = {"cloud": 8, "cloud_shadow": 10, "snow": 12, "cirrus": 14}
"""First of the two QA_PIXEL bits of each confidence: 0 none, 1 low, 2 medium, 3 high."""

QA_MEDIUM: Final = 2
"""The confidence from which a pixel is no longer taken for clear.

USGS gives it to cloud alone; for shadow, snow and cirrus this number is reserved and not met.
"""

CIRRUS_SENSORS: Final = ("LC08", "LC09")
"""Sensors with a band for cirrus; of others QA_PIXEL can't tell whether there is any."""

GRADES: Final = {"clear": 0, "water": 1, "snow": 2, "shadow": 3, "cloud": 4, "no data": 9}
"""TimeSync v4's classes of a pixel, the better the lower."""

FMASK: Final = {"clear": 0, "water": 1, "shadow": 2, "snow": 3, "cloud": 4, "no data": 255}
"""The same classes by the numbers of Fmask, CCDC and COLD: 2 and 3 are the reverse of `GRADES`."""

VALID_RANGE: Final = (7273, 43636)
"""Least and greatest valid digital number of surface reflectance: 0 and 1 (USGS)."""

SLC_FAILURE: Final = "2003-05-31"
"""Day on which the scan line corrector of Landsat 7 failed; images since then have gaps (USGS)."""

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

TASSELED_CAPS: Final[dict[str, dict[str, tuple[float, ...]]]] = {
    "crist1985": TASSELED_CAP_CRIST,
    "huang2002": {
        "brightness": (0.3561, 0.3972, 0.3904, 0.6966, 0.2286, 0.1596),
        "greenness": (-0.3344, -0.3544, -0.4556, 0.6966, -0.0242, -0.2630),
        "wetness": (0.2626, 0.2141, 0.0926, 0.0656, -0.7629, -0.5388),
    },
    "baig2014": {
        "brightness": (0.3029, 0.2786, 0.4733, 0.5599, 0.5080, 0.1872),
        "greenness": (-0.2941, -0.2430, -0.5424, 0.7276, 0.0713, -0.1608),
        "wetness": (0.1511, 0.1973, 0.3283, 0.3407, -0.7117, -0.4559),
    },
    "zhai2022": {
        "brightness": (0.3690, 0.4271, 0.4689, 0.5073, 0.3824, 0.2406),
        "greenness": (-0.2870, -0.2685, -0.4087, 0.8145, 0.0637, -0.1052),
        "wetness": (0.0382, 0.2137, 0.3536, 0.2270, -0.6108, -0.6351),
    },
}
"""Published tasseled-cap coefficients over `SR_BANDS`, by name; all are orthonormal to 2e-4.

crist1985: TM, reflectance factors; see `TASSELED_CAP_CRIST`.

huang2002: ETM+, at-satellite reflectance. Huang, C. et al. (2002): Derivation of a tasselled cap
transformation based on Landsat 7 at-satellite reflectance. International Journal of Remote Sensing
23, 1741-1748.

baig2014: OLI, at-satellite reflectance. Baig, M. H. A. et al. (2014): Derivation of a tasselled cap
transformation based on Landsat 8 at-satellite reflectance. Remote Sensing Letters 5, 423-431.

zhai2022: OLI, surface reflectance. Zhai, Y. et al. (2022): Conterminous United States Landsat-8 top
of atmosphere and surface reflectance tasseled cap transformation coefficients. Remote Sensing of
Environment 274, 112992.

Coefficients for at-satellite reflectance do not suit the surface reflectance of ARD; they are here
for values of your own.
"""


PIXEL: Final = 30
"""Edge of an ARD pixel in metres."""

TILE_SIZE: Final = 5000
"""Edge of an ARD tile in pixels (150 km)."""
