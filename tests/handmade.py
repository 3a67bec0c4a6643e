"""Projects written by hand: ledger, logs and CSVs, without an extraction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from timesync_xr.catalog.ard import ARD
from timesync_xr.grid import REGIONS, ChipGrid
from timesync_xr.plots import Plot
from timesync_xr.project.ledger import COLUMNS as LEDGER
from timesync_xr.project.ledger import ledger_row
from timesync_xr.project.log import COLUMNS as LOG
from timesync_xr.project.log import write_log
from timesync_xr.project.project import Settings, keep_settings
from timesync_xr.storage.folder import Folder

HEADER = "sensor,project_id,plot_id,hv,year,doy,blue,green,red,nir,swir1,swir2,qa,date\n"


PLACE = -2061000.0, 1920000.0
"""Where all of its plots lie."""


class Observation(NamedTuple):
    """One that was written."""

    project_id: str
    plot_id: str
    day: str
    values: str = "100,200,300,400,500,600,0"
    sensor: str = "LC08"

    @property
    def stamp(self) -> pd.Timestamp:
        return pd.Timestamp(self.day)

    @property
    def date(self) -> str:
        return f"{self.day}T18:30:00.1234567Z"

    @property
    def line(self) -> str:
        """Its row, for ids that need no quotes."""
        when = f"{self.stamp.year},{self.stamp.day_of_year}"
        ids = f"{self.sensor},{self.project_id},{self.plot_id}"
        return f"{ids},0309,{when},{self.values},{self.date}\n"

    @property
    def path(self) -> str:
        when = f"{self.stamp.year}_{self.stamp.day_of_year:03d}"
        return f"prj_{self.project_id}/{self.plot_id}_spectral_files_set_{when}.csv"


def write_project(
    folder: Path, observations: Sequence[Observation], *, incomplete: Sequence[str] = ()
) -> Path:
    """Write a project that holds these observations and whose product is csv alone."""
    keep_settings(Folder(folder), Settings(ARD.collection, REGIONS["CU"], (255, 255)))
    plots = list(dict.fromkeys((o.project_id, o.plot_id) for o in observations))
    rows = []
    for project_id, plot_id in plots:
        of_plot = [o for o in observations if (o.project_id, o.plot_id) == (project_id, plot_id)]
        log = pd.DataFrame(
            [(o.date, o.day, o.sensor, "0309", "written") for o in of_plot],
            columns=["date", "day", "sensor", "hv", "outcome"],
        )
        log["chip"] = str(ChipGrid.around(REGIONS["CU"], *PLACE, 255))
        log = log.reindex(columns=list(LOG), fill_value="")
        write_log(Folder(folder), of_plot[0], log)
        for observation in of_plot:
            place = folder / observation.path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes((HEADER + observation.line).encode())
        row = ledger_row(Plot(project_id, plot_id, *PLACE), log, "1982-01-01/..", "csv", "")
        rows.append(row | ({"status": "incomplete"} if plot_id in incomplete else {}))
    ledger = pd.DataFrame(rows, columns=list(LEDGER))
    ledger.to_csv(folder / "ledger/plots.csv", index=False)
    return folder
