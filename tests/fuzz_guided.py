"""Untrusted bytes, led by coverage: ``python -m tests.fuzz_guided TARGET SECONDS [CORPUS]``.

Inputs that reach code not seen before are kept and changed further. An input that fails is kept as
``crash-...`` in the working directory. CORPUS is a folder in which inputs are kept for the next
time. Needs atheris.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["timesync_xr"]):
    from tests import fuzz


def main(name: str, seconds: int, corpus: Path) -> None:
    """Never returns: the process ends with 0, or 77 where an input failed."""
    for number, data in enumerate(fuzz.seeds(name)):
        (corpus / f"seed{number}").write_bytes(data)
    options = [f"-max_total_time={seconds}", f"-timeout={fuzz.SECONDS:.0f}", "-max_len=8192"]
    options += [f"-rss_limit_mb={fuzz.MEGABYTES}", "-print_final_stats=1", "-verbosity=0"]

    def check(data: bytes) -> None:
        fuzz.try_input(name, data)

    def change(data: bytes, longest: int, seed: int) -> bytes:
        """Half of the inputs are changed as atheris does it, half in a way of the target's own."""
        dice = random.Random(seed)
        if not data or dice.random() < 0.5:
            return bytes(atheris.Mutate(data, longest))
        return fuzz.TARGETS[name].change(data, dice)[:longest]

    arguments = [sys.argv[0], *options, str(corpus)]
    atheris.Setup(arguments, check, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) > 3:
        main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(sys.argv[1], int(sys.argv[2]), Path(folder))
