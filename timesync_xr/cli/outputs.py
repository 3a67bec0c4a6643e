"""Standard output and standard error that end no work, whatever becomes of them."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from typing import TextIO


class DeadPipe(BaseException):
    """Nobody reads what is written to a pipe any more: the program ends, as others do."""


class Output(io.FileIO):
    """An open file descriptor for telling: what it does not take is dropped and noted.

    A pipe that nobody reads ends the program, by `DeadPipe`, where the main thread writes.
    """

    failure: OSError | None = None
    """Why something was dropped, None where nothing was."""

    def write(self, data: object) -> int | None:  # type: ignore[override]
        """Write bytes; return how many were written or dropped."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            self.failure = error
            if isinstance(error, BrokenPipeError) and _is_main():
                raise DeadPipe from None
            return memoryview(data).nbytes  # type: ignore[arg-type]


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def open_outputs() -> tuple[Output, Output]:
    """Put standard output and standard error into the care of this module, and return them.

    Descriptors that are closed lead nowhere from now on. Else the next file that is opened would
    get their number, and with it all that is told.

    Files and pipes get UTF-8, as tables in files do, also where the system's own encoding is
    another one (Windows). What a terminal does not know is told by its number.
    """
    closed = [_occupy(number) for number in range(3)]
    sys.stdout, out = _wrapped(sys.stdout, 1, closed[1])
    sys.stderr, err = _wrapped(sys.stderr, 2, closed[2])
    return out, err


def _occupy(number: int) -> bool:
    """Whether a descriptor was closed; it leads nowhere then."""
    try:
        os.fstat(number)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number, inheritable=True)
            os.close(nowhere)
        return True
    return False


_ENCODING = "PYTHONIOENCODING"
"""Environment variable: what a user wants the outputs to be in."""


def _wrapped(stream: TextIO | None, number: int, closed: bool) -> tuple[TextIO, Output]:
    output = Output(number, "w", closefd=False)
    if closed:
        output.failure = OSError(errno.EBADF, "it is closed")
    known = getattr(stream, "encoding", None) or "utf-8"
    errors = getattr(stream, "errors", None) or "strict"
    text = io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=known if output.isatty() or _ENCODING in os.environ else "utf-8",
        errors="backslashreplace" if errors == "strict" else errors,
        line_buffering=number == 2 or output.isatty(),
    )
    return text, output
