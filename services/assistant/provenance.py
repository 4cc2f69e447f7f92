"""What the rows are that a job's query ran on, so that nobody takes a figure of made-up rows for a company's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Provenance:
    """``kind``: "uploaded" rows came with the job; "synthetic" ones are a published base data set, which is always made
    up (see ``contracts.problems.GradingDataSet``). ``rows``: of all tables, or None where nobody counted them.
    ``modelled_on``: the company's table that synthetic rows stand for, or empty for a practice data set."""

    kind: Literal["synthetic", "uploaded"]
    rows: int | None
    modelled_on: str = ""

    @classmethod
    def uploaded(cls, rows: Mapping[str, list[dict[str, Any]]]) -> Provenance:
        return cls("uploaded", sum(map(len, rows.values())))

    @classmethod
    def published(cls, data_type: str, rows: int | None) -> Provenance:
        return cls("synthetic", rows, data_type if is_company_table(data_type) else "")

    @property
    def empty(self) -> bool:
        return self.rows == 0

    @property
    def named(self) -> dict[str, str]:
        """The rows in a few words, Korean and English."""
        count = "" if self.rows is None else f"{self.rows:,}"
        if self.kind == "uploaded":
            return {"ko": f"보내 주신 {count}개 행", "en": f"the {_rows(count)} sent along"}
        return {"ko": f"합성 데이터 {count}개 행" if count else "합성 데이터 행", "en": _rows(count, "synthetic ")}

    @property
    def note(self) -> dict[str, str]:
        """What to make of figures from these rows, in Korean and English."""
        if self.empty:
            return {"ko": "행이 하나도 없는 빈 테이블입니다.", "en": "The tables have no rows."}
        ko, en = self.named["ko"], self.named["en"]
        if self.kind == "uploaded":
            return {"ko": f"{ko}입니다.", "en": f"{en[0].upper()}{en[1:]}."}
        if self.modelled_on:
            return {
                "ko": f"{self.modelled_on} 테이블의 구조와 프로필을 따라 만든 {ko}이며 실제 행이 아닙니다. "
                "실제 값은 그 테이블에서 SQL 을 실행해 확인하세요.",
                "en": f"{en[0].upper()}{en[1:]}, made after the schema and profile of {self.modelled_on}, not its own: "
                "run the SQL on that table for its real figures.",
            }
        return {
            "ko": f"연습용으로 만든 {ko}이며 실제로 있었던 일이 아닙니다.",
            "en": f"{en[0].upper()}{en[1:]}, made for practice: they tell of nothing that happened.",
        }

    def caveat(self, said: Mapping[str, str]) -> dict[str, str]:
        """``said`` of a result, with the note on a line of its own wherever figures alone would mislead."""
        if self.kind == "uploaded" and not self.empty:
            return dict(said)
        return {language: f"{said[language]}\n{note}" for language, note in self.note.items()}

    def to_json(self) -> dict[str, Any]:
        """{kind, rows, modelled_on, note: {ko, en}}, the field ``data`` of a result."""
        return {"kind": self.kind, "rows": self.rows, "modelled_on": self.modelled_on, "note": self.note}


def is_company_table(data_type: str) -> bool:
    """Whether it names a table as ``project.dataset.table``, not a practice data set."""
    return data_type.count(".") == 2


def _rows(count: str, what: str = "") -> str:
    return f"{count} {what}row{'' if count == '1' else 's'}".lstrip()
