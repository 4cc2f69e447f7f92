"""Decides whether a statement may run at all: one read-only statement, built from known parts, over known tables."""

from services.kernel.sql.guard.check import CheckedQuery, Dialect, check
from services.kernel.sql.guard.refusal import Position, Refused, refusal_message

__all__ = ["CheckedQuery", "Dialect", "Position", "Refused", "check", "refusal_message"]
