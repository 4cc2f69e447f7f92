"""Every figure in one run, beside what was promised.

    python -m scripts.bench [--only SECTION ...] [--out build/bench.json]

Ratios are taken within the run, because machines differ and are noisy. Exit code 1 when a section
could not be measured; a goal that was missed is printed and recorded, and is no error of the run.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.bench.goals import GOALS, Goal


def _creating() -> dict[str, Any]:
    from scripts.bench import creating

    return creating.measure()


def _brokers() -> dict[str, Any]:
    from scripts.bench import brokers
    from scripts.embedded.emulator import EmulatorUnavailable

    measured: dict[str, Any] = {"embedded": brokers.measure_embedded(8_000, 3)}
    try:
        measured["pubsub"] = brokers.measure_pubsub(4_000, 2)
    except EmulatorUnavailable as error:
        measured["pubsub"] = {"not_measured": str(error)}
    return measured


def _jobs() -> dict[str, Any]:
    from scripts.bench import jobs

    return jobs.measure()


def _startup() -> dict[str, Any]:
    from scripts.bench import startup

    return startup.measure()


def _judging() -> dict[str, Any]:
    from scripts.bench import judging

    return judging.run(judging.DEFAULT_PAIRS, limit=200, workers=1)


def _grading() -> dict[str, Any]:
    from scripts.bench import grading

    return grading.measure()


def _generation() -> dict[str, Any]:
    from scripts.bench import generation

    return generation.measure(50, seed=1, workers=2)


def _notifications() -> dict[str, Any]:
    from scripts.bench import notifications

    return notifications.measure()


def _models() -> dict[str, Any]:
    from scripts.bench import models

    return models.measure()


def _metadata() -> dict[str, Any]:
    from scripts.bench import metadata

    return metadata.measure()


def _insights() -> dict[str, Any]:
    from scripts.bench import insights

    return insights.measure()


def _triage() -> dict[str, Any]:
    from scripts.bench import triage

    return triage.measure()


SECTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "startup": _startup,
    "creating": _creating,
    "brokers": _brokers,
    "jobs": _jobs,
    "grading": _grading,
    "judging": _judging,
    "generation": _generation,
    "models": _models,
    "metadata": _metadata,
    "notifications": _notifications,
    "insights": _insights,
    "triage": _triage,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure every promised figure.")
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    arguments = parser.parse_args()
    report: dict[str, Any] = {"machine": {"cores": os.cpu_count(), "python": platform.python_version()}}
    failed = []
    for name in arguments.only or SECTIONS:
        print(f"measuring {name} ...", flush=True)
        began = time.monotonic()
        try:
            report[name] = SECTIONS[name]()
        except Exception as error:
            traceback.print_exc()
            report[name] = {"failed": f"{type(error).__name__}: {error}"}
            failed.append(name)
        report[name]["took_s"] = round(time.monotonic() - began, 1)
    report["goals"] = [_judged(goal, report) for goal in GOALS if goal.section in report]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, ensure_ascii=False, indent=2), encoding="utf-8")
    for line in report["goals"]:
        print(f"{line['met']:<12} {line['what']:<60} goal {line['goal']:>8}   measured {line['measured']}")
    return 1 if failed else 0


def _judged(goal: Goal, report: dict[str, Any]) -> dict[str, Any]:
    measured = goal.measured(report)
    met = "NOT MEASURED" if measured is None else "met" if goal.compare(measured, goal.value) else "MISSED"
    return {"what": goal.what, "goal": goal.value, "measured": measured, "met": met}


if __name__ == "__main__":
    sys.exit(main())
