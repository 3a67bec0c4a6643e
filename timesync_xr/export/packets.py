"""Packets of plots, as they are handed to interpreters: whole plots only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import AccessError, InputError, Kind
from ..grid import Lattice
from ..lists import is_list, read_list
from ..plots import Plot, read_plots
from ..project.files import PLOTS, log_path, observation_files
from ..project.ledger import COLUMNS
from ..project.log import read_log
from ..project.places import as_listed, copy_listed
from ..project.project import Project, as_project, keep_settings
from ..project.rows import THREADS, written_observations
from ..storage.access import S3, scheme_of
from ..storage.folder import Folder
from ..storage.places import open_folder, workplace

SIZE: Final = 250
"""Plots of a packet, if nothing else is said: about what one interpreter takes on."""

FILES: Final = ("none", "link", "copy")
"""What a packet gets of a project's files: none, hard links, or copies."""

_TAKEN = ("png", "csv")
"""Products that a packet gets; others stay in the project."""

_KEY = ["project_id", "plot_id"]


def split_packets(plots: pd.DataFrame, size: int = SIZE) -> list[pd.DataFrame]:
    """Split a table into packets of about ``size`` plots, none larger, all as even as they can be.

    ``plots`` has the columns project_id and plot_id, and a row or several of each plot (a plot
    list, or a table of observations): rows of one plot stay together. Plots keep the order in
    which they first come, rows their order. `InputError` for a size below 1.
    """
    if size < 1:
        raise InputError(f"a packet of {size} plots holds nothing: give a size of 1 or more")
    number = plots.groupby(_KEY, sort=False).ngroup().to_numpy()
    count = int(number.max()) + 1 if len(number) else 0
    packets = np.array_split(np.arange(count), -(-count // size)) if count else []
    return [plots[(number >= packet[0]) & (number <= packet[-1])] for packet in packets]


def write_packets(
    plots: Project | str | Path,
    out: str | Path,
    size: int = SIZE,
    *,
    files: str = "none",
    grid: str | Lattice = "CU",
    s3: S3 = S3(),
) -> pd.DataFrame:
    """Write a plot list for each packet, and the packet's part of the project where asked.

    Parameters
    ----------
    plots
        A plot list (its name ends in .csv, .txt or .tsv), or a `Project` or its folder, whose
        plots are then those of the ledger, where their list put them and with its further columns.
    out
        Folder or address for ``packet_001.csv`` and so on. A list keeps its columns and texts.
    size
        See `split_packets`.
    files
        Of a project: ``"link"`` (hard links, on one disk) or ``"copy"`` makes ``packet_001/`` and
        so on, each a project of its own with ledger and files. ``"none"`` writes lists only.
    grid
        Grid of a plot list.
    s3
        How ``out`` is reached where it lies in a bucket.

    Returns
    -------
    pandas.DataFrame
        A row per packet: ``packet`` (its name), ``plots`` and ``files`` (their numbers).

    Raises
    ------
    InputError, PlotListError, ProjectError, AccessError
        For wrong arguments or lists, where there is no project, or where nothing can be written.
    """
    if files not in FILES:
        raise InputError(f"files can't be {files!r}: choose from {', '.join(FILES)}")
    place = plots.place if isinstance(plots, Project) else str(plots)
    if files == "link" and (scheme_of(place) or scheme_of(str(out))):
        raise InputError("a bucket has no hard links: use --files copy")
    project = None if not isinstance(plots, Project) and is_list(place) else plots
    if project is None and files != "none":
        raise InputError(f"{place} is a list and has no files: give the project folder for them")
    if project is None:
        return _write_lists(split_packets(_list_as_written(place, grid), size), out, s3)
    project = as_project(project)
    packets = split_packets(project.plots, size)
    table = _write_lists([as_listed(project.folder, packet) for packet in packets], out, s3)
    if files != "none":
        names = zip(table["packet"], packets, strict=True)
        table["files"] = [
            _write_project(project, packet, open_folder(f"{out}/{name}", s3), files)
            for name, packet in names
        ]
    return table


def _write_lists(packets: list[pd.DataFrame], out: str | Path, s3: S3) -> pd.DataFrame:
    """Write a plot list for each packet; return the table of `write_packets`, without files."""
    digits = max(3, len(str(len(packets))))
    names = [f"packet_{number:0{digits}d}" for number in range(1, len(packets) + 1)]
    with workplace(out, s3) as work:
        for name, packet in zip(names, packets, strict=True):
            (work / f"{name}.csv").write_bytes(_csv(packet))
    counts = [len(packet.drop_duplicates(_KEY)) for packet in packets]
    return pd.DataFrame({"packet": names, "plots": counts, "files": 0})


def _list_as_written(path: str | Path, grid: str | Lattice) -> pd.DataFrame:
    """The cells of a plot list as they stand, once it was found to be right."""
    read_plots(path, grid)
    listed = read_list(path, [(name,) for name in _KEY])
    names = [name.lower() if name.lower() in _KEY else name for name in listed.header]
    return pd.DataFrame([cells for _, cells in listed.rows], columns=names, dtype=object)


def _write_project(project: Project, packet: pd.DataFrame, target: Folder, files: str) -> int:
    """Make a project of a part of another; count the chips and CSVs."""
    put = partial(_link if files == "link" else _copy, project.folder, target)
    with ThreadPoolExecutor(THREADS) as threads:
        paths = [path for row in packet.to_dict("records") for path in _paths(project, row)]
        for _ in threads.map(put, paths):
            pass
    keep_settings(target, project.settings)
    made = packet["products"].str.split(",").map(lambda all_: [p for p in all_ if p in _TAKEN])
    rows = packet[list(COLUMNS)].assign(products=made.str.join(","))
    target.write(PLOTS, _csv(rows))
    copy_listed(project.folder, target, rows)
    return sum(path.startswith("prj_") for path in paths)


def _paths(project: Project, row: dict[Any, Any]) -> Iterator[str]:
    """Files of a plot: its log, and those of every observation that was written."""
    plot = Plot(row["project_id"], row["plot_id"], row["x"], row["y"])
    formats = row["products"].split(",")
    names = [composite.name for composite in project.settings.composites]
    yield log_path(plot.project_id, plot.plot_id)
    for written in written_observations(read_log(project.folder, plot.project_id, plot.plot_id)):
        yield from observation_files(plot, written.day, formats, names)


def _copy(source: Folder, target: Folder, path: str) -> None:
    try:
        target.write(path, source.read(path))
    except FileNotFoundError:
        raise _gone(source, path) from None


def _link(source: Folder, target: Folder, path: str) -> None:
    place = Path(target.root, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        os.link(Path(source.root, path), place)
    except FileNotFoundError:
        raise _gone(source, path) from None
    except OSError as error:
        raise AccessError(
            f"{place} can't be a hard link to {source.root}: {error.strerror}. "
            "Use --files copy, or another --out on the project's disk"
        ) from error


def _gone(source: Folder, path: str) -> AccessError:
    return AccessError(
        f"{path} is missing in {source.root}. Find all that is missing with timesync-xr verify, "
        "and make it again with --repair",
        kind=Kind.MISSING,
    )


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()
