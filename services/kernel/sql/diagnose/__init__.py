"""Explains to the person who wrote a query why it did not run, in English and Korean, with the place marked."""

from services.kernel.sql.diagnose.explain import explain
from services.kernel.sql.diagnose.explanation import Explanation

__all__ = ["Explanation", "explain"]
