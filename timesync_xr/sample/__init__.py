"""A small self-made archive to try everything on: COGs, items and a plot list."""

from pathlib import Path

from .archive import SamplePaths, make_tiles
from .scenes import make_scenes

__all__ = ["SamplePaths", "make_sample"]


def make_sample(folder: Path | str, *, scenes: bool = False) -> SamplePaths:
    """Write the sample archive, about 40 years of a made-up valley, and tell where it is.

    It holds COGs under the keys of the USGS bucket, ``items.json`` as landsatlook answers, and
    ``plots.csv`` with a note on each plot. The valley lies at the corner of four tiles; it has
    a river, fields that change with the seasons, a forest with a fire and clear-cuts that grow
    back, and a growing town. Five sensors see it from 1984 to 2025, through clouds with shadows,
    over snow, with swath edges and the gaps of Landsat 7. One date lacks a tile, one tile was
    processed twice, two platforms come on one day of 2022, some times have seven decimals.
    The same bytes are written each time; files of the same names are replaced.

    With ``scenes`` it is an archive of scenes: the valley lies at three places of the Earth, in the
    United States, in Europe and in the south of Africa. Each is seen from two paths in two zones of
    UTM, by rows that overlap, in files that begin elsewhere on each date. Items are as Planetary
    Computer answers, and plots are given by ``lon, lat``.

    Examples
    --------
    ::

        sample = tx.make_sample("sample")
        archive = tx.Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}")
    """
    root = Path(folder)
    return make_scenes(root) if scenes else make_tiles(root)
