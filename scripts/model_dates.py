"""Check the end dates of the models that purposes ask by default: python -m scripts.model_dates [--on DATE]

Warns from 60 days before an end, of models that have ended (they are skipped) and of those that the provider's page
did not list; fails when a purpose has no model left. ``make lint`` runs it.
"""

import argparse
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from services.kernel.llm.catalogue import DEFAULTS, Catalogue, Model

WARN_BEFORE = timedelta(days=60)


@dataclass(frozen=True)
class Finding:
    fatal: bool
    text: str

    def __str__(self) -> str:
        return f"{'error' if self.fatal else 'warning'}: {self.text}"


def findings(catalogue: Catalogue, today: date) -> list[Finding]:
    """What a maintainer should know on ``today``, model by model."""
    return [found for model in catalogue.in_use if (found := _finding(catalogue, model, today)) is not None]


def _finding(catalogue: Catalogue, model: Model, today: date) -> Finding | None:
    purposes = ", ".join(catalogue.purposes_of(model.name))
    if model.ended(today):
        ends = {each.name: each.ended(today) for each in catalogue.in_use}
        last = any(model.name in chain and all(ends[name] for name in chain) for chain in catalogue.chains.values())
        advice = "choose another default in services/kernel/llm/catalogue.py"
        return Finding(last, f"{model.name} ({purposes}) ended on {model.ends_on}: {advice}")
    if model.ends_on is not None and model.ends_on - today <= WARN_BEFORE:
        days = (model.ends_on - today).days
        return Finding(False, f"{model.name} ({purposes}) ends in {days} days, on {model.ends_on}")
    if not model.listed:
        return Finding(False, f"{model.name} ({purposes}) is not on the provider's list of models as last read")
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the end dates of the default models.")
    parser.add_argument("--on", type=date.fromisoformat, default=datetime.now(UTC).date(), help="instead of today")
    found = findings(DEFAULTS, parser.parse_args().on)
    for finding in found:
        print(finding, file=sys.stderr)
    return int(any(finding.fatal for finding in found))


if __name__ == "__main__":
    sys.exit(main())
