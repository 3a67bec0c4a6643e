"""Draw the picture of a plot's page anew, by Chromium, as the pages are now.

``make docs`` does it for the site, ``make picture`` for the file that README.md shows. Where there
is no Chromium the file stays as it is, which is told.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

import timesync_xr as tx
from timesync_xr.sample import make_sample

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLOT = "plot.html#project=1001&plot=2&day=1996-08-09"
SIZE = (1440, 900)


def draw(site: Path, out: Path, browser: str) -> None:
    """Take a picture of the page in a folder of pages; it replaces ``out``, a WebP."""
    with TemporaryDirectory() as place:
        taken = Path(place, "page.png")
        options = [
            "--headless=new",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
            f"--user-data-dir={place}/user",
            f"--window-size={SIZE[0]},{SIZE[1]}",
            "--virtual-time-budget=20000",
            f"--screenshot={taken}",
        ]
        if os.name == "posix" and os.geteuid() == 0:
            options.append("--no-sandbox")  # which Chromium demands of root
        subprocess.run(  # noqa: S603 - a browser of this machine, and the pages made here
            [browser, *options, f"{(site / 'plot.html').as_uri()}{PLOT.removeprefix('plot.html')}"],
            check=True,
            capture_output=True,
            timeout=120,
        )
        with Image.open(taken) as page:
            page.convert("RGB").save(out, "WEBP", quality=88, method=6)


def make_site(folder: Path) -> Path:
    """The pages of the sample's plots; the picture shows the one that burnt."""
    made = make_sample(folder / "demo")
    archive = tx.Archive(made.items, mirror=f"s3://usgs-landsat-ard={made.folder}")
    tx.extract(made.plots, folder / "project", archive, progress=False)
    return Path(tx.browse(folder / "project").out)


def main(out: Path) -> None:
    """Draw the picture into a file, or say why not."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.stderr.write(f"{out} is left as it is: there is no Chromium to draw it anew\n")
        return
    with TemporaryDirectory() as place:
        draw(make_site(Path(place)), out, browser)
    sys.stderr.write(f"{out} shows the page as it is now\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
