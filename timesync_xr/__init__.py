"""Landsat archives to what TimeSync needs: chips, spectra and tables of reference plots."""

from importlib.metadata import version

from . import indices
from .account import read_account
from .batch import extract
from .catalog import read_items, search_items, write_items
from .choice import annual, read_overrides, selected_of_year
from .combining import Combined, combine
from .composites import composite_rgb, stretch, tasseled_cap
from .contents import read_spectra
from .cube import chips_for_plot
from .doors import export_project
from .errors import TimesyncError
from .export import write_csv, write_png
from .extraction import choose_platforms
from .filters import Filters
from .landsat import BANDS, COMPOSITES, SR_BANDS
from .ledger import read_ledger
from .observations import merge_records
from .outlines import chip_outlines
from .packets import split_packets, write_packets
from .plots import Plot, read_plots
from .provenance import observation_table
from .radiometry import (
    contract_qa,
    has_bit,
    is_clear,
    is_fill,
    qa_flags,
    qa_grade,
    to_collection1,
)
from .repairing import repair
from .rest import v3_records
from .sample import make_sample
from .spectra import plot_pixel, spectral_table
from .summary import Summary
from .verification import verify
from .window import window_statistics
from .yearly import annual_of_project

__version__ = version("timesync_xr")

__all__ = [
    "BANDS",
    "COMPOSITES",
    "SR_BANDS",
    "Combined",
    "Filters",
    "Plot",
    "Summary",
    "TimesyncError",
    "annual",
    "annual_of_project",
    "chip_outlines",
    "chips_for_plot",
    "choose_platforms",
    "combine",
    "composite_rgb",
    "contract_qa",
    "export_project",
    "extract",
    "has_bit",
    "indices",
    "is_clear",
    "is_fill",
    "make_sample",
    "merge_records",
    "observation_table",
    "plot_pixel",
    "qa_flags",
    "qa_grade",
    "read_account",
    "read_items",
    "read_ledger",
    "read_overrides",
    "read_plots",
    "read_spectra",
    "repair",
    "search_items",
    "selected_of_year",
    "spectral_table",
    "split_packets",
    "stretch",
    "tasseled_cap",
    "to_collection1",
    "v3_records",
    "verify",
    "window_statistics",
    "write_csv",
    "write_items",
    "write_packets",
    "write_png",
]
