"""GoogleSQL on DuckDB where that is provably right, and an explicit decision for BigQuery everywhere else."""

from services.kernel.sql.dialects.emulated import emulator_gaps
from services.kernel.sql.dialects.inlining import CannotInline, inline
from services.kernel.sql.dialects.routing import Reason
from services.kernel.sql.dialects.translate import NeedsBigQuery, Translated, to_duckdb

__all__ = ["CannotInline", "NeedsBigQuery", "Reason", "Translated", "emulator_gaps", "inline", "to_duckdb"]
