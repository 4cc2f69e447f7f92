"""What models are asked for, which ones there are, and in what order each purpose tries them.

Facts as of September 2026; a deployment overrides chains and limits by settings. The requirements plan 1,500 + 3,000 +
1,500 free requests a day over three models; for the others the limits are this project's own caution, not the
provider's promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from services.kernel.errors import ConfigurationError


class Purpose(StrEnum):
    PROBLEM = "problem"
    GRADING = "grading"
    TIPS = "tips"
    HINTS = "hints"
    ERROR = "error"
    EXAMPLES = "examples"
    TRIAGE = "triage"


@dataclass(frozen=True, slots=True)
class Limits:
    """``tokens_per_minute`` counts what goes in and what comes out: stricter than the provider's input count."""

    requests_per_minute: int
    tokens_per_minute: int
    requests_per_day: int

    def share(self, part: float) -> Limits:
        """``part`` (0..1) of these limits, rounded down, but never nothing."""
        return Limits(
            max(1, int(self.requests_per_minute * part)),
            max(1, int(self.tokens_per_minute * part)),
            max(1, int(self.requests_per_day * part)),
        )


@dataclass(frozen=True, slots=True)
class Model:
    """``ends_on``: from this day on it may not be asked. ``listed``: named on the provider's page when last read."""

    name: str
    limits: Limits
    ends_on: date | None = None
    listed: bool = True

    def ended(self, today: date) -> bool:
        return self.ends_on is not None and today >= self.ends_on


_CAUTIOUS: Final = Limits(10, 250_000, 500)
_CAUTIOUS_LITE: Final = Limits(15, 250_000, 1_000)

MODELS: Final[Mapping[str, Model]] = {
    model.name: model
    for model in (
        Model("gemini-2.5-flash", Limits(10, 250_000, 1_500), ends_on=date(2026, 12, 1)),
        Model("gemini-2.5-flash-lite", Limits(15, 250_000, 3_000), listed=False),
        Model("gemini-3-flash", Limits(10, 250_000, 1_500), listed=False),
        Model("gemini-3.1-flash-lite", _CAUTIOUS_LITE, ends_on=date(2027, 5, 7)),
        Model("gemini-3.5-flash", _CAUTIOUS),
        Model("gemini-3.5-flash-lite", _CAUTIOUS_LITE),
        Model("gemini-3.6-flash", _CAUTIOUS),
        Model("gemini-3.7-flash", _CAUTIOUS),
        Model("gemini-3.8-flash", _CAUTIOUS),
    )
}

CHAINS: Final[Mapping[Purpose, tuple[str, ...]]] = {
    Purpose.PROBLEM: ("gemini-2.5-flash", "gemini-3.8-flash", "gemini-3.6-flash"),
    Purpose.GRADING: ("gemini-2.5-flash", "gemini-3.7-flash", "gemini-3.5-flash"),
    Purpose.TIPS: ("gemini-2.5-flash-lite", "gemini-3.5-flash-lite"),
    Purpose.HINTS: ("gemini-2.5-flash-lite", "gemini-3.5-flash-lite"),
    Purpose.ERROR: ("gemini-3-flash", "gemini-3.5-flash-lite"),
    Purpose.EXAMPLES: ("gemini-3.6-flash", "gemini-3.5-flash"),
    Purpose.TRIAGE: ("gemini-3.5-flash-lite", "gemini-3.1-flash-lite"),
}
"""The plan's default first, then models of the same strength. Different followers keep one model's day from going to
every purpose at once."""


@dataclass(frozen=True)
class Catalogue:
    """The models of one deployment and each purpose's chain of them, best first."""

    models: Mapping[str, Model]
    chains: Mapping[Purpose, tuple[str, ...]]

    def __post_init__(self) -> None:
        unknown = sorted({name for chain in self.chains.values() for name in chain} - set(self.models))
        if unknown:
            raise ConfigurationError(
                f"no limits are known for {', '.join(unknown)}: state them in QC_MODEL_LIMITS, for example "
                f'{{"{unknown[0]}": {{"requests_per_minute": 10, "tokens_per_minute": 9000, "requests_per_day": 500}}}}'
            )

    def chain(self, purpose: Purpose, today: date) -> tuple[Model, ...]:
        """The models to try on ``today``, those past their end date left out."""
        return tuple(model for model in self._all(purpose) if not model.ended(today))

    def ended(self, purposes: Iterable[Purpose], today: date) -> list[Model]:
        """Models of these purposes that are past their end date, by name."""
        found = {model.name: model for purpose in purposes for model in self._all(purpose) if model.ended(today)}
        return [found[name] for name in sorted(found)]

    def purposes_of(self, name: str) -> list[Purpose]:
        return [purpose for purpose, chain in self.chains.items() if name in chain]

    @property
    def in_use(self) -> list[Model]:
        """Every model that some purpose may ask, in the order of the chains."""
        return [self.models[name] for name in dict.fromkeys(name for chain in self.chains.values() for name in chain)]

    def _all(self, purpose: Purpose) -> tuple[Model, ...]:
        return tuple(self.models[name] for name in self.chains.get(purpose, ()))


DEFAULTS: Final = Catalogue(MODELS, CHAINS)
