"""How the sandbox task says that a failure is not the answer's fault. Light: both sides of the sandbox import it."""

from typing import Final

BROKEN_PROBLEM: Final = "broken_problem"
"""The reference does not run or cannot be judged against."""
NEEDS_BIGQUERY: Final = "needs_bigquery"
"""DuckDB could answer this GoogleSQL differently from BigQuery."""
INTERRUPTED: Final = "interrupted"
"""The machine was too busy for the time given."""
UNSUPPORTED: Final = "unsupported"
UNKNOWN_DATA_SET: Final = "unknown_dataset"
"""The base data set left the sandbox in the meantime."""
