"""Acts made by hand, and random ones."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import strategies as st

from timesync_xr.interpret.answers import Act
from timesync_xr.interpret.legend import read_legend

V3 = read_legend()
DAYS = [
    "1984-08-08",
    "1990-07-01",
    "1996-08-09",
    "1996-09-10",
    "1997-07-27",
    "2001-08-01",
    "2025-08-02",
]


def act(seq: int, do: str, who: str = "ann", plot: str = "2", **body: Any) -> Act:
    """An act of plot 2 of the sample."""
    seal = f"{seq} {do} {who} {plot} {sorted(body.items())}"
    return {
        "v": 1,
        "id": hashlib.sha256(seal.encode()).hexdigest()[:32],
        "seq": seq,
        "at": f"2026-11-01T10:00:{seq % 60:02d}Z",
        "who": who,
        "project": "1001",
        "plot": plot,
        "legend": V3.digest,
        "tool": "test",
        "do": do,
        **body,
    }


def start(seq: int = 1, **where: Any) -> Act:
    ends = [{"day": DAYS[0]}, {"day": DAYS[-1]}]
    return act(seq, "start", vertices=ends, chips="0" * 16, **where)


def label(seq: int, day: str, use: str, cover: str, process: str = "", **where: Any) -> Act:
    said = {"dominant_landuse": use, "dominant_landcover": cover}
    return act(
        seq, "label", day=day, set=said | ({"change_process": process} if process else {}), **where
    )


def whole(who: str = "ann", plot: str = "2") -> list[Act]:
    """A complete interpretation of three vertices: forest, burnt in 1996, that grows again."""
    where = {"who": who, "plot": plot}
    return [
        start(1, **where),
        act(2, "vertex", day="1996-08-09", **where),
        label(3, "1984-08-08", "Forest", "Trees", **where),
        label(4, "1996-08-09", "Forest", "Grass/forb/herb", "Fire", **where),
        label(5, "2025-08-02", "Forest", "Trees", "Growth", **where),
        act(6, "plot", set={"comment": "=1+1, burnt", "is_example": "1"}, **where),
        act(7, "choose", year=1996, day="1996-09-10", **where),
    ]


names = st.sampled_from(["dominant_landuse", "dominant_landcover", "change_process", "comments"])
days = st.sampled_from(DAYS)


@st.composite
def random_acts(draw: st.DrawFn) -> list[Act]:
    """Acts as two laptops may have them: numbers that come twice, odd moves, undoing of undoing."""
    made: list[Act] = []
    for _ in range(draw(st.integers(1, 14))):
        seq = draw(st.integers(1, 9))
        do = draw(
            st.sampled_from(
                ["start", "vertex", "remove", "move", "label", "plot", "choose", "undo", "replace"]
            )
        )
        body: dict[str, Any] = {}
        if do == "start":
            body = {
                "vertices": [{"day": d} for d in sorted(draw(st.sets(days, min_size=1)))],
                "chips": "0" * 16,
            }
        elif do in ("vertex", "remove"):
            body = {"day": draw(days)}
        elif do == "move":
            body = {"day": draw(days), "to": draw(days)}
        elif do == "label":
            body = {
                "day": draw(days),
                "set": draw(st.dictionaries(names, st.sampled_from(["", "a", "b"]))),
            }
        elif do == "plot":
            body = {"set": {"comment": draw(st.sampled_from(["", "x"]))}}
        elif do == "choose":
            day = draw(days)
            body = {"year": int(day[:4]), "day": draw(st.sampled_from(["", day]))}
        elif do == "undo":
            body = {"act": draw(st.sampled_from([one["id"] for one in made] or ["0" * 32]))}
        else:
            listed = [{"day": d, "comments": "r"} for d in sorted(draw(st.sets(days)))]
            body = {"vertices": listed, "plot_texts": {}, "choices": {}, "source": "test"}
        made.append(act(seq, do, **body))
    return made
