"""Instants and spans of time, as STAC items and users write them."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from ..errors import InputError

_DATE = re.compile(
    r"((?:19|20|21)\d\d-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_NAT: Final = np.datetime64("NaT", "ns")


Datetime: TypeAlias = (
    "str | int | date | np.datetime64 | DatetimeRange | Sequence[Any] | slice | None"
)
"""Which dates, as `parse_datetime` takes them."""


@dataclass(frozen=True)
class DatetimeRange:
    """A span of time in UTC, both ends included."""

    start: np.datetime64 | None = None
    """First instant (datetime64[ns]), or None for no limit."""
    end: np.datetime64 | None = None
    """Last instant (datetime64[ns]), or None for no limit."""

    def __str__(self) -> str:
        """START/END as STAC APIs take it, to the microsecond, ".." for an open end."""
        return "/".join(
            ".." if t is None else f"{np.datetime_as_string(t, unit='us', casting='same_kind')}Z"
            for t in (self.start, self.end)
        )

    def covers(self, other: DatetimeRange) -> bool:
        """Whether all of another span lies in this one; nothing lies before 1982."""
        first = np.datetime64("1982-01-01", "ns")
        starts = [first if r.start is None else max(r.start, first) for r in (self, other)]
        later = self.end is None or (other.end is not None and other.end <= self.end)
        return bool(starts[0] <= starts[1] and later)

    def holds(self, time: np.datetime64) -> bool:
        """Whether an instant lies in the span; NaT, the unknown instant, is not ruled out."""
        early = self.start is not None and time < self.start
        late = self.end is not None and time > self.end
        return not (early or late)


def parse_time(text: str) -> np.datetime64:
    """Instant of an RFC 3339 text as datetime64[ns] in UTC; NaT if it is none.

    Any number of fractional digits is read, to the nanosecond (more are cut off). A text without
    a zone is taken for UTC.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return _NAT
    day, clock, fraction, zone = found.groups()
    try:
        time = np.datetime64(f"{day}T{clock}{(fraction or '')[:10]}", "ns")
    except ValueError:
        return _NAT
    if zone in (None, "Z", "z"):
        return time
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        return _NAT
    offset = np.timedelta64(hours * 60 + minutes, "m")
    return time - offset if zone[0] == "+" else time + offset


def parse_datetime(datetime: Datetime) -> DatetimeRange:
    """Span of time of a text like ``"1990/2022-08-31"``; None is everything from 1982 to now.

    START and END are a year, a month, a day or an instant (RFC 3339, UTC unless it tells its
    zone), or ".." or nothing for an open end. Both are included as a whole: ``"2009/2011"`` ends
    with 2011. A single date covers itself. Dates and moments of Python, NumPy and pandas are taken,
    too (a moment at midnight is its day, that of its own zone), and (START, END) as a tuple, a list
    or a slice.

    Raises `InputError` for anything else, and for an end before the start.

    Examples
    --------
    ::

        print(tx.parse_datetime("1996/.."))
    """
    if isinstance(datetime, DatetimeRange):
        return datetime
    if datetime is None:
        return DatetimeRange(np.datetime64("1982-01-01", "ns"))
    text = _text(datetime)
    first, slash, last = text.partition("/")
    if not slash and first.strip() in ("", ".."):
        raise InputError(f"datetime {datetime!r} names no date: give START/END or leave it out")
    start, end = _span(text, first)[0], _span(text, last if slash else first)[1]
    if start is not None and end is not None and end < start:
        raise InputError(f"datetime {datetime!r} ends before it starts: give START/END")
    return DatetimeRange(start, end)


def _text(datetime: object) -> str:
    """START/END of what `parse_datetime` takes."""
    if isinstance(datetime, slice):
        datetime = (datetime.start, datetime.stop, *[datetime.step] * (datetime.step is not None))
    if isinstance(datetime, np.ndarray | pd.Index | pd.Series):
        datetime = list(datetime) if datetime.ndim else datetime[()]
    if isinstance(datetime, list | tuple):
        if len(datetime) != 2 or any(isinstance(end, list | tuple | slice) for end in datetime):
            raise InputError(
                f"datetime {reprlib.repr(datetime)} is no pair: give (START, END), or START/END as "
                "a text"
            )
        return "/".join(".." if end is None else _text(end) for end in datetime)
    if isinstance(datetime, np.datetime64) and np.datetime_data(datetime)[0] in ("h", "m"):
        datetime = datetime.astype("datetime64[s]")
    return datetime if isinstance(datetime, str) else _MIDNIGHT.sub(r"\1", str(datetime))


_MIDNIGHT = re.compile(r"[T ]00:00:00(?:\.0+)?(?:\+00:00|([+-]\d\d:\d\d))?$", re.ASCII)
_DAY_OF_ZONE = re.compile(r"(\d{4}-\d\d-\d\d)([+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"(19|20|21)\d\d(-\d\d(-\d\d)?)?", re.ASCII)


def _span(datetime: str, text: str) -> tuple[np.datetime64 | None, np.datetime64 | None]:
    """First and last instant of one end of a range."""
    text = text.strip()
    if text in ("", ".."):
        return None, None
    try:
        if _DAY.fullmatch(text):
            value = np.datetime64(text)  # its unit is the precision of the text
            return value.astype("M8[ns]"), (value + 1).astype("M8[ns]") - np.timedelta64(1, "ns")
        if local := _DAY_OF_ZONE.fullmatch(text):
            start = parse_time(f"{local[1]}T00:00:00{local[2]}")
            if not np.isnat(start):
                return start, start + np.timedelta64(1, "D") - np.timedelta64(1, "ns")
        instant = parse_time(text)
    except ValueError:
        instant = np.datetime64("NaT", "ns")
    if np.isnat(instant):
        raise InputError(
            f"{text!r} in datetime {datetime!r} is no date: write 2009, 2009-08, 2009-08-29 or "
            "2009-08-29T18:20:00Z, and START/END for a range"
        )
    return instant, instant
