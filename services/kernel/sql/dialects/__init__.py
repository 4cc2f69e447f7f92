"""GoogleSQL on DuckDB where that is provably right, and an explicit decision for BigQuery everywhere else."""

from services.kernel.sql.dialects.routing import Reason
from services.kernel.sql.dialects.translate import NeedsBigQuery, Translated, to_duckdb

__all__ = ["NeedsBigQuery", "Reason", "Translated", "to_duckdb"]
