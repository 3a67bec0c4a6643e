"""Where the pixels of a chip lie in a file."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..landsat import PIXEL
from .tiff import Window

Pair = tuple[int, int]
"""Two whole numbers, of x and of y."""


@dataclass(frozen=True)
class Footing:
    """Where some pixels of a chip lie in a file: whole pixels of the file."""

    window: Window
    """Pixels of the file that hold them; it may reach out of the file."""

    @classmethod
    def native(
        cls, corner: tuple[int, int], file: tuple[int, int], size: tuple[int, int]
    ) -> Footing:
        """The footing where the chip lies on the file's own lattice.

        ``corner`` and ``file`` are the upper left corners (x, y) of the pixels and of the file in
        metres, ``size`` is (width, height). `InputError` for a corner between two pixels.
        """
        col, row = _pixels(corner[0] - file[0]), _pixels(file[1] - corner[1])
        return cls(Window(col, row, *size))

    def inside(self, width: int, height: int) -> Window | None:
        """The part of the window that lies in a file of this size; None if none does."""
        col, row = max(self.window.col, 0), max(self.window.row, 0)
        right = min(self.window.col + self.window.width, width)
        bottom = min(self.window.row + self.window.height, height)
        if col >= right or row >= bottom:
            return None
        return Window(col, row, right - col, bottom - row)


def _pixels(metres: int) -> int:
    count, rest = divmod(metres, PIXEL)
    if rest:
        raise InputError(f"the window is {rest} m off the pixels of the file: use a ChipGrid")
    return int(count)
