"""``make demo`` does what the README says, and leaves nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(240)]


def test_the_demo_plays_to_its_end_and_leaves_no_process_behind(tmp_path: Path) -> None:
    out = tmp_path / "demo.json"
    before = {process.pid for process in psutil.process_iter()}
    demo = subprocess.run(
        [sys.executable, "-m", "scripts.demo", "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert demo.returncode == 0, demo.stdout[-3000:] + demo.stderr[-3000:]
    report = json.loads(out.read_text(encoding="utf-8"))
    assert [(entry["answer"], entry["verdict"]) for entry in report["verdicts"]] == [
        ("lucky", "wrong"),
        ("wrong", "wrong"),
        ("right", "correct"),
    ]
    assert {job["status"] for job in report["jobs"]} == {"completed", "failed"}
    assert report["notifications"] >= len(report["jobs"])
    assert len(report["trace_id"]) == 32
    assert report["seconds"]
    left = [process for process in psutil.process_iter(["cmdline"]) if process.pid not in before and _is_ours(process)]
    assert left == []


def _is_ours(process: psutil.Process) -> bool:
    command = " ".join(process.info["cmdline"] or ())
    return "querycraft-" in command and "querycraft-test-" not in command and "querycraft-own-" not in command
