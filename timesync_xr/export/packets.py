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

from ..cube.schema import is_number, is_whole
from ..errors import (
    AccessError,
    InputError,
    Kind,
    ProjectError,
    check_choice,
    check_kind,
    check_path,
)
from ..grid import Lattice
from ..lists import expect_table, is_list, read_list
from ..plots import Plot, read_plots
from ..project.files import PLOTS, log_path, observation_files, table_path
from ..project.ledger import COLUMNS
from ..project.places import as_listed, copy_listed
from ..project.project import Project, as_project, keep_settings
from ..project.rows import SPECTRA, THREADS, kept_log, written_observations
from ..spectral.offsets import check_seed
from ..storage.access import S3, scheme_of
from ..storage.folder import Folder
from ..storage.places import open_folder, workplace

SIZE: Final = 250
"""Plots of a packet, if nothing else is said: about what one interpreter takes on."""

FILES: Final = ("none", "link", "copy")
"""What a packet gets of a project's files: none, hard links, or copies."""

_TAKEN = ("png", "csv", "spectra")
"""Products that a packet gets; others stay in the project."""

_KEY = ["project_id", "plot_id"]


def split_packets(plots: pd.DataFrame, size: int = SIZE) -> list[pd.DataFrame]:
    """Split a table into packets of about ``size`` plots, none larger, all as even as they can be.

    ``plots`` has the columns project_id and plot_id, and a row or several of each plot (a plot
    list, or a table of observations): rows of one plot stay together. Plots keep the order in
    which they first come, rows their order. `InputError` for a size below 1.

    Examples
    --------
    ::

        first, second = tx.split_packets(plots, size=3)
    """
    if not is_whole(size) or size < 1:
        raise InputError(f"a packet can't hold {size!r} plots: give a whole number, 1 or more")
    expect_table(plots, _KEY, "give what read_plots returns")
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
    duplicates: float = 0,
    seed: int = 1,
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
    duplicates
        Share of each packet's plots, 0 to 1, that another packet gets, too, to learn how people
        differ: drawn at random, as many from and for every packet, and in the order of the list,
        so that nobody sees which. ``duplicates.csv`` tells you.
    seed
        Starts the draw: the same seed draws the same.
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

    Examples
    --------
    ::

        tx.write_packets("demo/plots.csv", "packets", size=3)
    """
    check_choice(files, FILES, "way with files")
    if not isinstance(plots, Project):
        check_kind(
            plots, str | os.PathLike, "plots", "give a plot list, or a project or its folder"
        )
    check_path(out, "out", "give a folder, or s3://bucket/...")
    check_kind(s3, S3, "s3", "give S3(...)")
    place = plots.place if isinstance(plots, Project) else str(plots)
    if files == "link" and (scheme_of(place) or scheme_of(str(out))):
        raise InputError("a bucket has no hard links: use --files copy")
    if not is_number(duplicates) or not 0 <= duplicates <= 1:
        raise InputError(f"a share of {duplicates!r} duplicates can't be: give 0 to 1")
    check_seed(seed)
    project = None if not isinstance(plots, Project) and is_list(place) else plots
    if project is None and files != "none":
        raise InputError(f"{place} is a list and has no files: give the project folder for them")
    if project is None:
        packets = split_packets(_list_as_written(place, grid), size)
        packets, key = _doubled(packets, duplicates, seed)
        return _write_lists(packets, key, out, s3)
    project = as_project(project)
    packets, key = _doubled(split_packets(project.plots, size), duplicates, seed)
    lists = [as_listed(project.folder, packet, project.settings.grid) for packet in packets]
    table = _write_lists(lists, key, out, s3)
    if files != "none":
        names = zip(table["packet"], packets, strict=True)
        table["files"] = [
            _write_project(project, packet, open_folder(f"{out}/{name}", s3), files)
            for name, packet in names
        ]
    return table


def _doubled(
    packets: list[pd.DataFrame], share: float, seed: int
) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    """Packets with plots of each other, and which: project_id, plot_id, packet, also_in.

    Every packet gives as many plots as it gets, spread over the others as evenly as they can be.
    """
    columns = [*_KEY, "packet", "also_in"]
    if not share:
        return packets, pd.DataFrame(columns=columns)
    if len(packets) < 2:
        raise InputError("one packet has no other to share plots with: give a smaller --size")
    rng = np.random.default_rng(seed)
    listed = [packet.drop_duplicates(_KEY)[_KEY].to_numpy().tolist() for packet in packets]
    count = min(max(1, round(share * min(map(len, listed)))), *map(len, listed))
    names = _names(len(packets))
    rows, given = [], [set[tuple[str, str]]() for _ in packets]
    for at, plots in enumerate(listed):
        for turn, number in enumerate(rng.choice(len(plots), count, replace=False)):
            other = (at + 1 + turn % (len(packets) - 1)) % len(packets)
            plot = (plots[number][0], plots[number][1])
            given[other].add(plot)
            rows.append([*plot, names[at], names[other]])
    every = pd.concat(packets)
    ids = list(zip(every["project_id"], every["plot_id"], strict=True))
    own = [set(map(tuple, plots)) for plots in listed]
    mine = [np.array([plot in own[at] | given[at] for plot in ids]) for at in range(len(packets))]
    return [every[keep] for keep in mine], pd.DataFrame(rows, columns=columns)


def _names(count: int) -> list[str]:
    digits = max(3, len(str(count)))
    return [f"packet_{number:0{digits}d}" for number in range(1, count + 1)]


def _write_lists(
    packets: list[pd.DataFrame], duplicates: pd.DataFrame, out: str | Path, s3: S3
) -> pd.DataFrame:
    """Write a plot list for each packet; return the table of `write_packets`, without files."""
    names = _names(len(packets))
    with workplace(out, s3) as work:
        if len(duplicates):
            (work / "duplicates.csv").write_bytes(_csv(duplicates))
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
    """Make a project of a part of another; count the chips and files of spectra."""
    put = partial(_link if files == "link" else _copy, project.folder, target)
    paths = [path for row in packet.to_dict("records") for path in _paths(project, row)]
    with target.lock():
        target.clear_temporary()
        target.remove(PLOTS)  # until all is there, it is no project
        with ThreadPoolExecutor(THREADS) as threads:
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
    log, problem = kept_log(project.folder, row)
    if problem:
        raise ProjectError(
            f"plot {plot.plot_id} of project {plot.project_id} can't be handed out: {problem}. "
            f"Make it again by timesync-xr verify {project.place} --repair"
        )
    yield log_path(plot.project_id, plot.plot_id)
    made = written_observations(log)
    for written in made:
        has = formats if written.has_chip else [name for name in formats if name in SPECTRA]
        yield from observation_files(plot, written.day, has, names)
    if made and "spectra" in formats:
        yield table_path(plot.project_id, plot.plot_id)


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
