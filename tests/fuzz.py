"""Damaged TIFFs by the thousand: ``python -m tests.fuzz [COUNT] [SEED]``, by ``make fuzz``.

Each is a valid file of some kind with bytes changed, cut out or put in, mostly in its header. It
has to be read or refused by an error of our own, in bounded time and memory.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.test_tiff import HEIGHT, WIDTH, make, parse, read
from timesync_xr.tiff import TiffError, Window

KINDS = (
    {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "predictor": 2},
    {"compress": "lzw"},
    {"tiled": True, "blockxsize": 128, "blockysize": 128, "BIGTIFF": "YES", "ENDIANNESS": "BIG"},
)
SECONDS = 2.0
"""What one file may take."""
MEGABYTES = 1500
"""What the process may take, of which numpy and rasterio are some 200."""


def damaged(data: bytes, dice: random.Random) -> bytes:
    """A file with some of its bytes changed."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        place = dice.randrange(min(len(out), dice.choice((8, 64, 1024, len(out)))))
        kind = dice.randrange(4)
        if kind == 0:
            out[place] ^= 1 << dice.randrange(8)
        elif kind == 1:
            size = dice.choice((1, 2, 4, 8))
            out[place : place + size] = dice.choice((b"\0", b"\xff", b"\x7f", b"\x01")) * size
        elif kind == 2:
            del out[place : place + dice.randrange(1, 64)]
        else:
            out[place:place] = dice.randbytes(dice.randrange(1, 16))
        if len(out) < 2:
            break
    return bytes(out)


def main(count: int, seed: int) -> None:
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        valid = [make(Path(folder) / "x.tif", **kind).read_bytes() for kind in KINDS]
    refused, slowest = 0, 0.0
    for number in range(count):
        data = damaged(dice.choice(valid), dice)
        started = time.perf_counter()
        try:
            header = parse(data)
            if (header.width, header.height) != (WIDTH, HEIGHT):
                raise TiffError("another grid")  # as the reader refuses it
            read(data, Window(100, 100, 255, 255))
        except TiffError:
            refused += 1
        except Exception:
            Path("fuzz-failure.tif").write_bytes(data)
            sys.stderr.write(f"input {number} of seed {seed} is kept in fuzz-failure.tif\n")
            raise
        slowest = max(slowest, time.perf_counter() - started)
        assert slowest < SECONDS, f"input {number} of seed {seed} took {slowest:.1f} s"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert memory < MEGABYTES, f"{memory:.0f} MB"
    said = f"{count} inputs, {refused} refused, slowest {slowest:.2f} s, at most {memory:.0f} MB\n"
    sys.stdout.write(said)


if __name__ == "__main__":
    main(*(int(a) for a in (sys.argv[1:] + ["20000", "1"][len(sys.argv) - 1 :])))
