"""``make demo`` does what the README says, and leaves nothing behind."""

import json
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.timeout(240)


def test_the_demo_plays_to_its_end_and_leaves_no_process_behind(tmp_path: Path) -> None:
    out = tmp_path / "demo.json"
    mark = f"demo-{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory(prefix="querycraft-own-") as temporary:
        demo = subprocess.run(
            [sys.executable, "-m", "scripts.demo", "--out", str(out)],
            env={**os.environ, "TMPDIR": temporary, "QUERYCRAFT_STARTED_BY": mark},
            capture_output=True,
            text=True,
            check=False,
        )
        left = [process for process in psutil.process_iter(["cmdline"]) if _comes_from(process, mark, temporary)]
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
    assert left == []


def _comes_from(process: psutil.Process, mark: str, temporary: str) -> bool:
    """By what it inherited, or by the files it was told of: Postgres is given an environment of its own."""
    try:
        inherited = mark in process.environ().values()
    except psutil.Error:  # it has ended meanwhile, or it is another account's
        inherited = False
    return inherited or temporary in " ".join(process.info["cmdline"] or ())
