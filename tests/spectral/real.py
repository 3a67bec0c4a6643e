"""Real series of Collection 2 as a table like `Project.series`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from timesync_xr import contract_qa, fmask, is_clear, is_fill, is_valid, qa_grade, to_collection1
from timesync_xr.landsat import CSV_BANDS

NUMBERS = {
    "blue": (2, 1), "green": (3, 2), "red": (4, 3), "nir": (5, 4), "swir1": (6, 5), "swir2": (7, 7),
}  # fmt: skip
"""Numbers of the bands of OLI, and of TM and ETM+."""


def real_table(shared: Any) -> pd.DataFrame:
    """93,162 observations of 106 places, 1985 to 2022, with values and flags; fill is left out."""
    names = ("lsat.example.dt", "noatak.dt")
    folder = shared / "real" / "pixel_series_c2"
    raw = pd.concat([pd.read_csv(folder / f"{name}.csv.gz") for name in names])
    raw = raw[raw["QA_PIXEL"].notna()]
    oli = raw["SPACECRAFT_ID"].isin(["LANDSAT_8", "LANDSAT_9"])
    dn = pd.DataFrame(
        {b: raw[f"SR_B{new}"].where(oli, raw[f"SR_B{old}"]) for b, (new, old) in NUMBERS.items()}
    )
    numbers = dn.fillna(0).to_numpy(np.uint16)
    qa = raw["QA_PIXEL"].to_numpy(np.uint16)
    day = pd.to_datetime(raw["date"].astype(str), format="%Y%m%d")
    table = pd.DataFrame(to_collection1(numbers), columns=list(CSV_BANDS)).assign(
        project_id="real",
        plot_id=raw["sample_id"].to_numpy(),
        day=day.dt.strftime("%Y-%m-%d").to_numpy(),
        year=day.dt.year.to_numpy(),
        doy=day.dt.day_of_year.to_numpy(),
        sensor=raw["LANDSAT_PRODUCT_ID"].str[:4].to_numpy(),
        qa=contract_qa(qa),
        grade=qa_grade(qa),
        fmask=fmask(qa),
        strict_clear=is_clear(qa) & is_valid(numbers).all(axis=1),
    )
    return table[~is_fill(qa)].reset_index(drop=True)
