"""A word that was misspelt, and the one that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """``" (did you mean 'png'?)"`` where one of the choices is close to the word, else ``""``.

    Capitals do not matter.
    """
    known = {choice.lower(): choice for choice in choices}
    close = [known[name] for name in get_close_matches(str(word).lower(), known, n=1)]
    return f" (did you mean {close[0]!r}?)" if close else ""
