"""What the previous site left where a new one is made: it is removed once the new one is there."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ...errors import InputError, ProjectError
from ...project.files import SETTINGS, chips_path, name_in_path, plot_path, project_path
from ...storage.access import S3
from ...storage.places import open_folder

LIST = "data/plots.js"
"""The file of a site that lists its plots."""


def data_path(project_id: str, plot_id: str) -> str:
    """Path of a plot's data below the site."""
    return f"data/{project_path(project_id)}/{plot_path(plot_id)}.js"


class PreviousSite:
    """The site that lies where a new one is made, if there is one.

    Only what a site is made of is touched: the data of plots that its list has, and where it has
    chips of its own the chips of these plots. `InputError` for a place that is another project,
    since its chips would be taken for those of a site.
    """

    def __init__(self, place: str, s3: S3, *, has_chips: bool) -> None:
        self._folder, self._has_chips = open_folder(place, s3), has_chips
        if has_chips and self._folder.present([SETTINGS]):
            raise InputError(f"{place} is a project of its own: choose another folder for the site")
        self._plots, self._composites = self._listed()
        self._stale: list[str] = []

    def keep_only(self, chips: Iterable[str], folder: str) -> None:
        """Of the chips in a folder of the site only these shall stay."""
        if self._plots:
            there = {f"{folder}/{name}" for name in self._folder.names(folder)}
            self._stale += there - set(chips)

    def remove_all_but(self, plots: set[tuple[str, str]]) -> None:
        """Remove what is left of all other plots, and the chips that shall not stay."""
        for project_id, plot_id in self._plots - plots:
            self._stale.append(data_path(project_id, plot_id))
            for composite in self._composites if self._has_chips else ():
                self.keep_only([], chips_path(project_id, composite, plot_id))
        for path in self._stale:
            self._folder.remove(path)

    def _listed(self) -> tuple[set[tuple[str, str]], list[str]]:
        """Plots and composites of the previous site; none where its list can't be read."""
        try:
            text = self._folder.read(LIST)
            site = json.loads(text[text.index(b"(") + 1 : text.rindex(b")")])
            plots = {(row[0], row[1]) for row in site["plots"]}
            composites = [name_in_path(name) for name in site["composites"]]
            for plot in plots:
                data_path(*plot)
            return plots, composites
        except (ProjectError, OSError, ValueError, KeyError, TypeError, IndexError):
            return set(), []
