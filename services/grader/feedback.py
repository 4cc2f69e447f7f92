"""From a verdict to what the learner reads. Nothing here sees the reference SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.problems import LocaleText
from services.grader import texts
from services.grader.domain import Judgement
from services.kernel.sql.columns import shown_columns
from services.kernel.sql.diagnose import Explanation

MAX_ROWS = 50
"""Rows of a result or a list of differing rows that a learner is shown."""


def judgement_of(verdict: Mapping[str, Any], duration_ms: int) -> Judgement:
    """``verdict``: the JSON form of the judge's ``Verdict``, decided ('equivalent' or 'different')."""
    provenance = _provenance(verdict)
    if verdict["outcome"] == "equivalent":
        remarks = [{"code": code, "text": texts.REMARKS[code].model_dump()} for code in verdict["remarks"]]
        feedback = {
            "explanation": texts.ACCEPTED.model_dump(),
            "hint": {"ko": "", "en": ""},
            "remarks": remarks,
            "clause_scores": dict(verdict["clause_scores"]),
            "judged": provenance,
        }
        return Judgement("correct", 1.0, feedback, duration_ms)
    first = next(iter(verdict["mistakes"]), {"kind": "wrong_rows", "clause": ""})
    counterexample = _counterexample(verdict["counterexample"])
    text = texts.MISTAKES[first["kind"]]
    feedback = {
        "explanation": _explanation(text.explanation, first["clause"], counterexample).model_dump(),
        "hint": text.hint.model_dump(),
        "remarks": [],
        "clause_scores": dict(verdict["clause_scores"]),
        "other_mistakes": [{"kind": m["kind"], "clause": m["clause"]} for m in verdict["mistakes"][1:]],
        "judged": provenance,
    }
    return Judgement(
        "wrong",
        float(verdict["score"]),
        feedback,
        duration_ms,
        mistake_kind=first["kind"],
        mistake_clause=first["clause"],
        counterexample=counterexample,
    )


def judgement_of_error(explanation: Explanation, sql: str, duration_ms: int) -> Judgement:
    """An answer that was refused, failed to run, or went over a limit."""
    details = explanation.to_json()
    feedback = {
        "explanation": details["message"],
        "hint": details["hint"],
        "remarks": [],
        "error": {
            "code": details["code"],
            "position": details["position"],
            "marked": explanation.marked(sql),
            "suggestions": details["suggestions"],
        },
        "position": details["position"],
    }
    clause = (explanation.clause or "").lower().replace(" ", "_")
    return Judgement(
        "wrong",
        0.0,
        feedback,
        duration_ms,
        mistake_kind=texts.FAILED_TO_RUN,
        mistake_clause=clause if clause in texts.CLAUSES else "",
    )


def _explanation(text: LocaleText, clause: str, found: Mapping[str, Any] | None) -> LocaleText:
    ko, en = [text.ko], [text.en]
    if clause:
        where = texts.CLAUSES[clause]
        ko.append(f"살펴볼 곳: {where.ko}.")
        en.append(f"Where to look: {where.en}.")
    if found is not None:
        rows = sum(len(part) for part in found["data_set"].values())
        told = texts.difference_text(found["missing_count"], found["extra_count"], rows)
        ko.append(told.ko)
        en.append(told.en)
    return LocaleText(ko=" ".join(filter(None, ko)), en=" ".join(filter(None, en)))


def _counterexample(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "data_set": found["tables"],
        "expected": _shortened(found["expected"], shown_columns(found["expected"]["columns"])),
        "actual": _shortened(found["actual"], found["actual"]["columns"]),
        "difference": found["difference"],
        "position": found["position"],
        "missing": found["missing"][:MAX_ROWS],
        "extra": found["extra"][:MAX_ROWS],
        "missing_count": len(found["missing"]),
        "extra_count": len(found["extra"]),
        "by_chance": found["by_chance"],
    }


def _shortened(result: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    rows = result["rows"]
    return {"columns": columns, "rows": rows[:MAX_ROWS], "row_count": len(rows)}


def _provenance(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """By which anyone can repeat the verdict."""
    return {
        "engine": verdict["engine"],
        "method": verdict["method"],
        "reason": verdict["reason"],
        "seed": verdict["seed"],
        "budget_ms": verdict["budget_ms"],
        "data_sets": [{"name": score["name"], "agrees": score["agrees"]} for score in verdict["datasets"]],
        "instances": verdict["instances"],
        "exhausted": verdict["exhausted"],
        "as_of": verdict["as_of"],
    }
