"""Landsat archives to what TimeSync needs: chips, spectra and tables of reference plots."""

from importlib.metadata import version

from .account import read_account
from .batch import extract
from .catalog import search_items
from .composites import composite_rgb, stretch, tasseled_cap
from .cube import chips_for_plot
from .errors import TimesyncError
from .export import write_csv, write_png
from .extraction import choose_platforms
from .landsat import BANDS, COMPOSITES, SR_BANDS
from .ledger import read_ledger
from .observations import merge_records
from .plots import Plot, read_plots
from .radiometry import contract_qa, has_bit, is_clear, is_fill, to_collection1
from .sample import make_sample
from .spectra import plot_pixel, spectral_table
from .summary import Summary

__version__ = version("timesync_xr")

__all__ = [
    "BANDS",
    "COMPOSITES",
    "SR_BANDS",
    "Plot",
    "Summary",
    "TimesyncError",
    "chips_for_plot",
    "choose_platforms",
    "composite_rgb",
    "contract_qa",
    "extract",
    "has_bit",
    "is_clear",
    "is_fill",
    "make_sample",
    "merge_records",
    "plot_pixel",
    "read_account",
    "read_ledger",
    "read_plots",
    "search_items",
    "spectral_table",
    "stretch",
    "tasseled_cap",
    "to_collection1",
    "write_csv",
    "write_png",
]
