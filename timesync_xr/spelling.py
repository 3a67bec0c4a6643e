"""A word that was misspelt, and the one that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

KNOWN_AS: Final = {
    "conus": "CU", "usa": "CU", "us": "CU", "alaska": "AK", "hawaii": "HI",
    "shp": "gpkg", "shapefile": "gpkg", "geojson": "gpkg", "geopackage": "gpkg", "kmz": "kml",
    "json": "v3-json", "v3": "v3-json", "db": "sqlite",
}  # fmt: skip
"""Other words for choices of this package, in small letters."""


def is_choice(word: object, choices: Iterable[str]) -> bool:
    """Whether something is one of the choices; whatever it is."""
    return isinstance(word, str) and word in tuple(choices)


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """``" (did you mean 'png'?)"`` where one of the choices is close to the word, else ``""``.

    Close is what is spelt alike or stands in `KNOWN_AS`. Capitals do not matter.
    """
    known = {choice.lower(): choice for choice in choices}
    text = str(word).lower()
    meant = [choice for choice in known.values() if choice == KNOWN_AS.get(text)]
    close = meant or [known[name] for name in get_close_matches(text, known, n=1)]
    return f" (did you mean {close[0]!r}?)" if close else ""
