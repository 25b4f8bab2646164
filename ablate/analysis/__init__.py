"""MEANING: results in, frozen tables out. No database, no drawing."""

from ablate.analysis.frame import frame
from ablate.analysis.resampling import nadeau_bengio
from ablate.analysis.tables import build_table

__all__ = ["build_table", "frame", "nadeau_bengio"]
