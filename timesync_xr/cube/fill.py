"""Where QA_PIXEL says that nothing was seen: the one rule of the package."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt


def mark_fill(qa: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """QA_PIXEL with bit 0 set where it is 0, of any shape and integer dtype, else as it is.

    A real QA_PIXEL always has a bit; 0 is what clips, reindexing and reprojecting leave outside.
    """
    marked: npt.NDArray[Any] = qa | (qa == 0)
    return marked
