"""Chains, limits and end dates by configuration."""

from datetime import date
from typing import Any

import pytest

from scripts.model_dates import findings
from services.kernel.errors import ConfigurationError
from services.kernel.llm.catalogue import DEFAULTS, Catalogue, Limits, Model, Purpose
from services.kernel.llm.settings import LlmSettings

NAMES = ("GEMINI_MODEL_PROBLEM", "GEMINI_MODEL_GRADING", "QC_MODEL_LIMITS", "QC_MODEL_SHARE", "GEMINI_API_KEY")


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)

    def configure(**environment: str) -> Catalogue:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return LlmSettings(database_url="postgresql://unused").catalogue()

    return configure


def test_the_plans_defaults_come_first() -> None:
    first = {purpose.value: chain[0] for purpose, chain in DEFAULTS.chains.items()}
    assert {name: first[name] for name in ("problem", "grading", "tips", "hints", "error")} == {
        "problem": "gemini-2.5-flash",
        "grading": "gemini-2.5-flash",
        "tips": "gemini-2.5-flash-lite",
        "hints": "gemini-2.5-flash-lite",
        "error": "gemini-3-flash",
    }
    assert set(DEFAULTS.chains) == set(Purpose)
    planned = ("gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-flash")
    assert sum(DEFAULTS.models[name].limits.requests_per_day for name in planned) == 6_000


def test_every_purpose_has_a_model_without_an_end() -> None:
    assert all(DEFAULTS.chain(purpose, date.max) for purpose in Purpose)


def test_the_environment_replaces_a_chain(configured: Any) -> None:
    catalogue = configured(GEMINI_MODEL_PROBLEM="gemini-3.8-flash, gemini-3.6-flash,gemini-3.8-flash")
    assert catalogue.chains[Purpose.PROBLEM] == ("gemini-3.8-flash", "gemini-3.6-flash")
    assert catalogue.chains[Purpose.GRADING] == DEFAULTS.chains[Purpose.GRADING]


def test_a_model_without_limits_is_refused_with_the_remedy(configured: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"gemini-99.*QC_MODEL_LIMITS"):
        configured(GEMINI_MODEL_PROBLEM="gemini-99")


def test_limits_of_new_and_known_models(configured: Any) -> None:
    catalogue = configured(
        GEMINI_MODEL_PROBLEM="gemini-99",
        QC_MODEL_LIMITS='{"gemini-99": {"requests_per_minute": 1000, "ends_on": "2027-01-01"}, '
        '"gemini-2.5-flash": {"requests_per_day": 20000}}',
    )
    assert catalogue.models["gemini-99"].limits.requests_per_minute == 1_000
    assert catalogue.models["gemini-99"].ends_on == date(2027, 1, 1)
    flash = catalogue.models["gemini-2.5-flash"]
    assert (flash.limits, flash.ends_on) == (Limits(10, 250_000, 20_000), date(2026, 12, 1))


def test_a_share_of_every_limit(configured: Any) -> None:
    catalogue = configured(QC_MODEL_SHARE="0.25")
    assert catalogue.models["gemini-2.5-flash"].limits == Limits(2, 62_500, 375)


def test_a_model_past_its_end_is_left_out() -> None:
    names = [model.name for model in DEFAULTS.chain(Purpose.PROBLEM, date(2026, 12, 1))]
    assert names == ["gemini-3.8-flash", "gemini-3.6-flash"]
    assert DEFAULTS.chain(Purpose.PROBLEM, date(2026, 11, 30))[0].name == "gemini-2.5-flash"


LEAD = Model("lead", Limits(1, 1, 1), ends_on=date(2026, 12, 1))
SPARE = Model("spare", Limits(1, 1, 1), ends_on=date(2026, 10, 1))
UNLISTED = Model("unlisted", Limits(1, 1, 1), listed=False)
DATED = Catalogue(
    {m.name: m for m in (LEAD, SPARE, UNLISTED)},
    {Purpose.TIPS: ("lead", "spare", "unlisted"), Purpose.HINTS: ("spare", "lead")},
)


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 7, 1), {"unlisted": False}),
        (date(2026, 8, 2), {"spare": False, "unlisted": False}),  # 60 days before
        (date(2026, 10, 2), {"lead": False, "spare": False, "unlisted": False}),
        (date(2026, 11, 30), {"lead": False, "spare": False, "unlisted": False}),  # spare ended; lead serves the hints
        (date(2026, 12, 1), {"lead": True, "spare": True, "unlisted": False}),
    ],
)
def test_only_a_purpose_without_a_model_fails_the_check(today: date, expected: dict[str, bool]) -> None:
    assert {found.text.split(" ")[0]: found.fatal for found in findings(DATED, today)} == expected
