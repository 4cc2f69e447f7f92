"""Judges an answer against a reference: equal, different with a minimal counterexample, or not to be told."""

from services.kernel.sql.judge.judging import judge
from services.kernel.sql.judge.request import Counterexample, DatasetScore, JudgeRequest, Verdict, complete_rows

__all__ = ["Counterexample", "DatasetScore", "JudgeRequest", "Verdict", "complete_rows", "judge"]
