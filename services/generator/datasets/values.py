"""Plausible values for a column that is known only by its name, type and perhaps its profile."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from services.generator.datasets.naming import split_words
from services.generator.datasets.profiles import ColumnProfile
from services.generator.datasets.sampling import Calendar, Skewed, moment, zipf
from services.kernel.errors import PermanentError
from services.kernel.sql.schema import Column

Draw = Callable[[], Any]


class UnsupportedType(PermanentError):
    """A required column has a type for which no values can be made."""

    code = "unsupported_type"


# The first word of a column's name that is listed here gives its categories; the first value is the most frequent.
_DOMAINS: Final = {
    "status": "active closed pending cancelled failed",
    "state": "open closed waiting rejected",
    "상태": "정상 대기 취소 완료",
    "country": "KR JP US DE FR BR",
    "city": "Seoul Busan Tokyo Osaka Berlin Lyon Austin",
    "도시": "서울 부산 대구 인천 광주",
    "region": "north south east west",
    "지역": "서울 경기 부산 강원 제주",
    "gender": "F M X",
    "성별": "여 남",
    "method": "card transfer cash wallet",
    "channel": "web app store partner",
    "language": "ko en ja de",
    "color": "black white red blue green",
    "size": "M L S XL",
    "tier": "basic silver gold",
    "grade": "A B C D F",
    "등급": "일반 우수 최우수",
    "plan": "free basic pro",
    "role": "member editor admin",
    "department": "sales engineering support finance",
    "부서": "영업 개발 지원 재무",
    "genre": "drama comedy action documentary",
    "device": "mobile desktop tablet",
    "platform": "android ios web",
    "os": "android ios windows macos",
    "currency": "KRW USD EUR JPY",
    "priority": "normal low high urgent",
    "severity": "minor major critical",
    "weekday": "mon tue wed thu fri",
    "specialty": "general cardiology pediatrics surgery",
    "position": "junior senior lead",
    "unit": "each box kg",
    "breed": "mixed poodle terrier collie",
    "fuel": "gasoline diesel electric hybrid",
}
_UNIQUE_WORDS: Final = {
    "name",
    "title",
    "label",
    "email",
    "phone",
    "url",
    "address",
    "description",
    "comment",
    "note",
    "notes",
    "message",
    "body",
    "text",
    "subject",
    "code",
    "sku",
    "isbn",
    "serial",
    "plate",
    "slug",
    "username",
    "login",
    "이름",
    "제목",
    "주소",
    "전화",
    "메모",
    "내용",
    "설명",
}
_ENDS: Final = re.compile(
    r"end|clos|cancel|return|expir|delet|resolv|finish|complet|discharg|종료|반납|취소|완료|해지", re.I
)
_DECIMAL: Final = re.compile(r"^(?:DECIMAL|NUMERIC)(?:\((\d+)(?:,\s*(\d+))?\))?", re.I)
# Inclusive bounds of whole numbers by the words of a name.
_RANGES: Final = {
    "age": (18, 80), "나이": (18, 80), "year": (1985, 2025), "연도": (1985, 2025), "rating": (1, 5), "stars": (1, 5),
    "score": (0, 100), "점수": (0, 100), "quantity": (1, 6), "qty": (1, 6), "수량": (1, 6), "floor": (1, 20),
    "month": (1, 12),
    "hour": (0, 23), "day": (1, 28), "percent": (0, 100), "level": (1, 10), "credits": (1, 4), "capacity": (20, 200),
    "duration": (5, 240), "minutes": (5, 240), "weight": (1, 120), "height": (140, 200),
}  # fmt: skip


@dataclass(frozen=True)
class ValueMaker:
    """Draws values for the columns of one table; `calendar` bounds dates and moments."""

    rng: random.Random
    calendar: Calendar

    def null_share(self, column: Column, profile: ColumnProfile | None) -> float:
        if profile is not None and profile.rows:
            return profile.null_share
        return 0.3 if _ENDS.search(column.name) else self.rng.choice((0.04, 0.08, 0.15))

    def draw(self, column: Column, stem: str, profile: ColumnProfile | None = None) -> Draw:
        """A function that makes one value per call. `stem`: what a row is, for names ("customer").

        Raises UnsupportedType for types such as STRUCT, which have no plain values.
        """
        if profile is not None and profile.quantiles and profile.distinct:
            return self._like(profile)
        kind = column.type.upper()
        for matches, make in self._by_type():
            if re.match(matches, kind):
                return make(column, stem)
        raise UnsupportedType(f"column {column.name}: no values can be made for type {column.type}")

    def _like(self, profile: ColumnProfile) -> Draw:
        if profile.distinct <= len(profile.common):
            known = Skewed([v for v, _ in profile.common], [n for _, n in profile.common])
            return lambda: known.draw(self.rng)
        steps = profile.quantiles
        if isinstance(steps[0], str):
            return lambda: self.rng.choice(steps)

        def between() -> Any:
            i = self.rng.randrange(len(steps) - 1)
            low, high = steps[i], steps[i + 1]
            if isinstance(low, int) and not isinstance(low, bool):
                return self.rng.randint(low, high)
            share = self.rng.random()
            if isinstance(low, Decimal):
                return (low + (high - low) * Decimal(str(round(share, 6)))).quantize(low)
            value = low + (high - low) * share
            return value.replace(microsecond=0) if isinstance(value, datetime) else value

        return between

    def _by_type(self) -> tuple[tuple[str, Callable[[Column, str], Draw]], ...]:
        rng = self.rng
        return (
            (r".*\[\d*\]$", self._list),
            (r"BOOL", lambda c, s: self._flag()),
            (r"U?(TINY|SMALL|BIG|HUGE)?INT|INT\d*$|LONG|SHORT", lambda c, s: self._whole(c)),
            (r"DECIMAL|NUMERIC", lambda c, s: self._decimal(c)),
            (r"DOUBLE|FLOAT|REAL", lambda c, s: self._float(c)),
            (r"ENUM", lambda c, s: self._enum(c)),
            (r"JSON", lambda c, s: lambda: f'{{"n": {rng.randrange(9)}}}'),
            (r"VARCHAR|TEXT|STRING|CHAR|BPCHAR", self._text),
            (r"TIMESTAMP|DATETIME", lambda c, s: self._moments()),
            (r"DATE", lambda c, s: self._days(c)),
            (r"TIME", lambda c, s: lambda: time(rng.randrange(24), rng.choice((0, 15, 30, 45)))),
            (r"UUID", lambda c, s: lambda: uuid.UUID(int=rng.getrandbits(128), version=4)),
            (r"BLOB|BYTEA", lambda c, s: lambda: rng.randbytes(4)),
            (r"INTERVAL", lambda c, s: lambda: timedelta(minutes=rng.randrange(1, 600))),
        )

    def _list(self, column: Column, stem: str) -> Draw:
        inner = self.draw(Column(column.name, column.type[: column.type.rindex("[")]), stem)
        return lambda: [inner() for _ in range(self.rng.randrange(4))]

    def _flag(self) -> Draw:
        share = self.rng.choice((0.25, 0.5, 0.7))
        return lambda: self.rng.random() < share

    def _whole(self, column: Column) -> Draw:
        low, high = _range(column) or (0, 0)
        # TINYINT and UTINYINT hold 127 at most in common.
        top = 100 if "TINY" in column.type.upper() else 10_000
        if high:
            return lambda: self.rng.randint(low, min(high, 2_025 if top > 100 else top))
        return lambda: min(top, int(self.rng.lognormvariate(3.0, 1.0)))

    def _decimal(self, column: Column) -> Draw:
        match = _DECIMAL.match(column.type)
        width, scale = (int(match[1] or 18), int(match[2] or (0 if match[1] else 3))) if match else (18, 3)
        unit, top = Decimal(1).scaleb(-scale), Decimal(10) ** (width - scale) - 1
        bounds = _range(column)
        if bounds:
            return lambda: min(top, Decimal(str(self.rng.uniform(*bounds))).quantize(unit))
        return lambda: min(top, Decimal(str(self.rng.lognormvariate(3.4, 0.9))).quantize(unit))

    def _float(self, column: Column) -> Draw:
        bounds = _range(column)
        if re.search("rate|ratio|share|비율", column.name, re.I):
            return lambda: round(self.rng.random(), 3)
        if bounds:
            return lambda: round(self.rng.uniform(*bounds), 1)
        return lambda: round(self.rng.lognormvariate(3.0, 0.8), 2)

    def _enum(self, column: Column) -> Draw:
        values = re.findall(r"'((?:[^']|'')*)'", column.type)
        if not values:
            raise UnsupportedType(f"column {column.name}: its enumeration names no values")
        picks = zipf([v.replace("''", "'") for v in values], 0.7)
        return lambda: picks.draw(self.rng)

    def _text(self, column: Column, stem: str) -> Draw:
        words = split_words(column.name)
        width = int(m[1]) if (m := re.search(r"\((\d+)\)", column.type)) else 1_000
        domain = next((_DOMAINS[w] for w in words if w in _DOMAINS), "")
        if domain:
            picks = zipf([v[:width] for v in domain.split()], 0.8)
            return lambda: picks.draw(self.rng)
        if set(words) & _UNIQUE_WORDS:
            first = zipf([w.capitalize() for w in ("blue", "north", "quiet", "prime", "river", "solar", "amber")], 0.5)
            return lambda: f"{first.draw(self.rng)} {stem} {self.rng.randrange(1, 1000):03d}"[-width:]
        picks = zipf([f"{words[-1] if words else 'kind'} {letter}"[-width:] for letter in "ABCDE"], 0.8)
        return lambda: picks.draw(self.rng)

    def _moments(self) -> Draw:
        daily = self.calendar.daily()
        return lambda: moment(self.rng, daily.draw(self.rng))

    def _days(self, column: Column) -> Draw:
        if re.search("birth|생년|생일", column.name, re.I):
            return lambda: date(1960, 1, 1) + timedelta(days=self.rng.randrange(16_000))
        daily = self.calendar.daily()
        return lambda: daily.draw(self.rng)


def ends_something(name: str) -> bool:
    """Whether a date of this name closes what an earlier one opened."""
    return bool(_ENDS.search(name))


def _range(column: Column) -> tuple[int, int] | None:
    return next((_RANGES[w] for w in split_words(column.name) if w in _RANGES), None)
