"""Is a query simple enough to be answered while its client waits? Pure rules that explain themselves."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from contracts.jobs import JobType

THRESHOLD = 3
"""Points from which a query is complex."""

_TYPE_POINTS = {
    JobType.PROBLEM_GENERATION: 3,
    JobType.METADATA_REFRESH: 3,
    JobType.REPORT: 2,
    JobType.PREDICTION: 2,
    JobType.OPTIMIZATION: 1,
}
"""Work that these types bring whatever the query says."""

_SQL = re.compile(r"^\s*(?:select|with)\b", re.IGNORECASE)
_SQL_POINTS = {
    "joins": re.compile(r"\bjoin\b", re.IGNORECASE),
    "windows": re.compile(r"\bover\s*\(", re.IGNORECASE),
    "subqueries": re.compile(r"\(\s*select\b", re.IGNORECASE),
    "common table expressions": re.compile(r"(?:\bwith|,)\s+(?:recursive\s+)?\w+\s+as\s*\(\s*select\b", re.IGNORECASE),
    "set operations": re.compile(r"\b(?:union|intersect|except)\b", re.IGNORECASE),
}
_WORDS = {
    "comparison": re.compile(r"\b(?:compare|comparison|versus|vs|correlat\w*|against)\b|비교|대비|상관", re.IGNORECASE),
    "trend": re.compile(r"\b(?:trends?|over time|growth|season\w*|cohort\w*)\b|추이|추세|성장률|코호트", re.IGNORECASE),
    "prediction": re.compile(r"\b(?:predict\w*|forecast\w*|project(?:ed|ion))\b|예측|전망", re.IGNORECASE),
    "explanation": re.compile(
        r"\b(?:why|explain|causes?|root cause|recommend\w*|optimi[sz]e)\b|원인|이유|추천|최적화", re.IGNORECASE
    ),
    "document": re.compile(
        r"\b(?:report|dashboard|comprehensive|in[- ]depth)\b|보고서|리포트|종합|심층", re.IGNORECASE
    ),
    "segmentation": re.compile(r"\b(?:segment\w*|cluster\w*|break ?down|per each)\b|세분화|군집|별로", re.IGNORECASE),
}
_LONG, _VERY_LONG = 200, 500
_PART_END = re.compile(r"[?？;]\s*|\n\s*(?:[-*•]|\d+[.)])\s+")


@dataclass(frozen=True, slots=True)
class Complexity:
    """``reasons``: rule and points, e.g. ``{"joins": 2}``; their sum is ``score``."""

    level: Literal["simple", "complex"]
    score: int
    reasons: dict[str, int]

    @property
    def is_simple(self) -> bool:
        return self.level == "simple"

    def explained(self) -> dict[str, object]:
        return {"complexity": self.level, "score": self.score, "threshold": THRESHOLD, "reasons": self.reasons}


def classify(job_type: JobType, query: str) -> Complexity:
    """One point per construct or topic that makes work, more for the heavy job types and for long texts."""
    reasons = dict(_points(job_type, query))
    score = sum(reasons.values())
    return Complexity("complex" if score >= THRESHOLD else "simple", score, reasons)


def _points(job_type: JobType, query: str) -> Iterator[tuple[str, int]]:
    if points := _TYPE_POINTS.get(job_type, 0):
        yield f"type {job_type}", points
    if len(query) > _VERY_LONG:
        yield "very long text", 3
    elif len(query) > _LONG:
        yield "long text", 1
    if _SQL.match(query):
        for name, pattern in _SQL_POINTS.items():
            if count := len(pattern.findall(query)):
                yield name, count
        return
    for name, pattern in _WORDS.items():
        if pattern.search(query):
            yield name, 1
    parts = sum(1 for part in _PART_END.split(query) if part and part.strip())
    if parts > 1:
        yield "several questions", parts - 1
