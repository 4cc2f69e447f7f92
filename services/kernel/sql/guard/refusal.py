"""The refusal: a stable code, the place in the text, and what to tell the person who wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from services.kernel.errors import PermanentError

Language = Literal["en", "ko"]

_MESSAGES: Final[dict[str, tuple[str, str]]] = {
    "empty": ("There is no statement to run.", "실행할 문장이 없습니다."),
    "not_text": (
        "The text holds characters that are not valid Unicode.",
        "올바른 유니코드가 아닌 문자가 들어 있습니다.",
    ),
    "control_character": (
        "The text holds an invisible control character; type the statement again without it.",
        "보이지 않는 제어 문자가 들어 있습니다. 그 문자를 빼고 다시 입력하세요.",
    ),
    "too_long": ("The statement is too long.", "문장이 너무 깁니다."),
    "too_deep": ("The statement is nested too deeply.", "문장이 너무 깊게 중첩되어 있습니다."),
    "too_complex": ("The statement has too many parts.", "문장의 구성 요소가 너무 많습니다."),
    "syntax": ("The statement cannot be parsed.", "문장의 문법을 해석할 수 없습니다."),
    "multiple_statements": ("Only one statement may be run at a time.", "한 번에 한 문장만 실행할 수 있습니다."),
    "not_read_only": (
        "Only queries that read data (SELECT) may be run.",
        "데이터를 읽는 조회문(SELECT)만 실행할 수 있습니다.",
    ),
    "construct": ("This construct may not be used here: {subject}.", "여기서 쓸 수 없는 구문입니다: {subject}."),
    "function": ("This function may not be used here: {subject}.", "여기서 쓸 수 없는 함수입니다: {subject}."),
    "external_source": (
        "A query may read only the problem's tables, not files or addresses: {subject}.",
        "문제의 테이블만 읽을 수 있습니다. 파일이나 주소는 읽을 수 없습니다: {subject}.",
    ),
    "system_table": (
        "The database's own catalog may not be read: {subject}.",
        "데이터베이스의 시스템 카탈로그는 읽을 수 없습니다: {subject}.",
    ),
    "unknown_table": (
        "The problem has no table of this name: {subject}.",
        "문제에 이 이름의 테이블이 없습니다: {subject}.",
    ),
    "parameter": (
        "Parameters have no value here; write the value itself: {subject}.",
        "매개변수에 넣을 값이 없습니다. 값을 직접 쓰세요: {subject}.",
    ),
}

REFUSAL_CODES: Final = frozenset(_MESSAGES)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the statement: 0-based ``offset`` and ``length`` in characters, 1-based ``line`` and ``column``."""

    offset: int
    length: int
    line: int
    column: int

    @classmethod
    def at(cls, text: str, offset: int, length: int = 1) -> Position:
        offset = max(0, min(offset, len(text)))
        before = text[:offset]
        return cls(offset, max(1, length), before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def refusal_message(code: str, subject: str = "", language: Language = "en") -> str:
    """The sentence for a refusal ``code`` (KeyError when the code is unknown)."""
    english, korean = _MESSAGES[code]
    return (korean if language == "ko" else english).format(subject=subject)


class Refused(PermanentError):
    """The statement may not run. ``code`` is one of REFUSAL_CODES; ``subject`` names the offending part, if any."""

    def __init__(self, code: str, *, subject: str = "", position: Position | None = None, detail: str = "") -> None:
        sentence = refusal_message(code, subject)
        super().__init__(f"{sentence} {detail}".strip(), code=code)
        self.subject = subject
        self.position = position
        self.detail = detail

    def message(self, language: Language = "en") -> str:
        return refusal_message(self.code, self.subject, language)
