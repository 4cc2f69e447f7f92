"""Problems from the command line: run as a file, for a schema the program has never seen, and with bad input."""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from scripts.generate_problems import main

ROOT = Path(__file__).resolve().parents[3]
AS_FILES = ("generate_problems", "judge_pairs", "evaluate_triage", "evaluate_insights")
PARCELS = """
CREATE TABLE depots (depot VARCHAR PRIMARY KEY, opened_on DATE NOT NULL);
CREATE TABLE parcels (
    parcel_id INTEGER PRIMARY KEY, depot VARCHAR NOT NULL REFERENCES depots (depot), weight DECIMAL(6, 2) NOT NULL,
    sent_at TIMESTAMP NOT NULL, delivered_at TIMESTAMP, CHECK (weight > 0)
);
"""
FIELDS = {
    "title", "description", "difficulty", "tags", "ordered", "ddl", "reference_sql", "datasets", "hints", "mutants",
}  # fmt: skip


def run(script: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", AS_FILES)
def test_scripts_run_as_files_from_any_folder(script: str, tmp_path: Path) -> None:
    done = run(script, "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


def test_a_schema_file_becomes_lines_that_stand_alone(tmp_path: Path) -> None:
    (tmp_path / "parcels.sql").write_text(PARCELS)
    done = run(
        "generate_problems", "--schema", "parcels.sql", "--count", "2", "--seed", "3", "--rows", "200",
        "--out", "out.jsonl", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert set(line) >= FIELDS
        assert line["mutants"]["made"] > 0
        assert len(line["datasets"]) >= 2
        assert all(set(rows) <= {"depots", "parcels"} for rows in line["datasets"])
        with duckdb.connect() as connection:
            connection.execute(";".join(line["ddl"]))
            assert connection.execute(line["reference_sql"]).description


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("SELECT 1", "CREATE TABLE"),
        ("CREATE TABLE", "parcels.sql"),
        ("", "no CREATE TABLE"),
        ("CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER REFERENCES nowhere (id))", "nowhere"),
    ],
)
def test_a_schema_that_is_none_is_told(
    content: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema, out = tmp_path / "parcels.sql", tmp_path / "out.jsonl"
    schema.write_text(content)
    assert main(["--schema", str(schema), "--count", "1", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("generate_problems: ")
    assert told in error
    assert not out.exists()


def test_a_schema_file_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema", str(tmp_path / "absent.sql"), "--count", "1", "--out", str(tmp_path / "o")]) == 2
    assert "absent.sql" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "no-such-folder" / "out.jsonl"
    assert main(["--data-type", "pa", "--count", "1", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "no-such-folder" in error
    assert "1 of 1" not in error
