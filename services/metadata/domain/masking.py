"""Personal data in samples: recognised by the column's name and by the values' form, and shown as form only. Pure.

Source of the kinds: Google's Sensitive Data Protection infoType detectors, the ones that a pattern can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_WORDS: Final = (
    "email|e_?mail|phone|mobile|tel|fax|ssn|rrn|jumin|passport|licen[cs]e|birth|dob|address|addr|street|zip|postal|"
    "first_?name|last_?name|full_?name|user_?name|nick_?name|customer_?name|sur_?name|person|ip|ip_?addr|card|iban|"
    "account_?no|account_?number|password|passwd|secret|token|session|cookie|lat|latitude|lng|lon|longitude|device_?id"
)
_PERSONAL_NAME: Final = re.compile(rf"(?:^|_)(?:{_WORDS})(?:$|_|s$)", re.IGNORECASE)
_PERSONAL_KOREAN: Final = re.compile(
    "이메일|메일|전화|휴대폰|연락처|주민|여권|생년|생일|주소|우편|성명|이름|카드|계좌|비밀번호"
)
_PERSONAL_VALUES: Final = (
    re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]{2,}"),
    re.compile(r"(?<!\d)\d{6}-?[1-8]\d{6}(?!\d)"),  # Korean resident registration number
    re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)"),  # US social security number
    re.compile(r"(?<![\d.])(?:\+\d{1,3}[ -]?)?\(?0?\d{1,3}\)?[ -]\d{3,4}[ -]\d{4}(?!\d)"),  # telephone
    re.compile(r"(?<!\d)01[016789]\d{7,8}(?!\d)"),  # Korean mobile telephone
    re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"),  # IPv4
    re.compile(r"(?i)(?<![0-9a-f:])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}(?![0-9a-f:])"),  # IPv6
    re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b"),  # IBAN
    re.compile(r"\beyJ[\w-]{10,}\.[\w-]+"),  # a signed token
)
_CARD: Final = re.compile(r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)")
MAX_SAMPLE: Final = 80


def is_personal(path: str, values: Iterable[str]) -> bool:
    """Whether a column's values may be about a person: by its name, or because any value looks like it."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", path.rpartition(".")[2])
    if _PERSONAL_NAME.search(name) or _PERSONAL_KOREAN.search(name):
        return True
    return any(_looks_personal(value) for value in values)


def _looks_personal(value: str) -> bool:
    if any(pattern.search(value) for pattern in _PERSONAL_VALUES):
        return True
    return any(_luhn(re.sub(r"\D", "", match[0])) for match in _CARD.finditer(value))


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: the check digit of payment cards."""
    doubled = (int(d) * 2 if i % 2 else int(d) for i, d in enumerate(reversed(digits)))
    return 13 <= len(digits) <= 19 and sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def masked(value: str) -> str:
    """The form of a value: letters become x, digits 9, Hangul 가; the rest stays. ``a.b@c.kr`` is ``x.x@x.xx``."""
    form = re.sub(r"[^\W\d_]", lambda m: "가" if "가" <= m[0] <= "힣" else "x", re.sub(r"\d", "9", value))
    return shortened(form)


def shortened(value: str) -> str:
    return value if len(value) <= MAX_SAMPLE else value[: MAX_SAMPLE - 1] + "…"


def samples(path: str, values: Sequence[str], most: int) -> tuple[tuple[str, ...], bool]:
    """Up to ``most`` different sample values fit to be shown, and whether they are masked."""
    personal = is_personal(path, values)
    shown = dict.fromkeys(masked(value) if personal else shortened(value) for value in values)
    return tuple(list(shown)[:most]), personal
