"""Files of pairs through the sandbox: the output's form, hostile and broken pairs, and the bench on top of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import judge_pairs
from scripts.bench import judging

DDL = ["CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER, s VARCHAR)", "CREATE TABLE u (t_id INTEGER, d DATE)"]


def pair(identifier: str, reference: str, candidate: str, **more: Any) -> dict[str, Any]:
    return {"id": identifier, "ddl": DDL, "reference_sql": reference, "candidate_sql": candidate, **more}


PAIRS = [
    pair("same", "SELECT v FROM t", "SELECT x.v FROM t AS x", label="equivalent"),
    pair("wrong", "SELECT id FROM t WHERE v > 3", "SELECT id FROM t WHERE v >= 3", label="different"),
    pair("dates", "SELECT d FROM u", "SELECT max(d) FROM u", label="different"),
    pair("order", "SELECT v FROM t ORDER BY v", "SELECT v FROM t", label="different", order_sensitive=True),
    pair("hostile", "SELECT v FROM t", "SELECT * FROM read_csv('/etc/passwd')"),
    pair("two", "SELECT v FROM t", "SELECT v FROM t; SELECT 1"),
    pair("bomb", "SELECT count(*) FROM t", "SELECT count(*) FROM range(10000000000) a, range(1000000000) b"),
    pair("broken", "SELECT v FROM t", "SELECT nothing FROM t"),
    {"id": "no schema", "ddl": ["CREATE"], "reference_sql": "SELECT 1", "candidate_sql": "SELECT 1"},
    pair("last", "SELECT count(*) FROM t", "SELECT count(v) FROM t", label="different"),
]
EXPECTED = {
    "same": "equivalent",
    "wrong": "different",
    "dates": "different",
    "order": "different",
    "hostile": "refused",
    "two": "refused",
    "broken": "unsupported",
    "no schema": "unsupported",
    "last": "different",
}


def write(path: Path, pairs: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in pairs), encoding="utf-8")
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_every_pair_gets_a_verdict_in_its_place(tmp_path: Path, workers: int) -> None:
    source, target = write(tmp_path / "in.jsonl", PAIRS), tmp_path / "out.jsonl"

    code = judge_pairs.main(
        ["--in", str(source), "--out", str(target), "--budget-ms", "1500", "--workers", str(workers)]
    )

    verdicts = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert code == 0
    assert [verdict["id"] for verdict in verdicts] == [one["id"] for one in PAIRS]
    by_id = {verdict["id"]: verdict for verdict in verdicts}
    assert {name: by_id[name]["verdict"] for name in EXPECTED} == EXPECTED
    assert by_id["bomb"]["verdict"] in {"refused", "unsupported"}
    for one, verdict in zip(PAIRS, verdicts, strict=True):
        assert set(verdict) == {"id", "verdict", "reason", "counterexample", "ms"}
        assert verdict["reason"]
        assert (verdict["counterexample"] is not None) == (verdict["verdict"] == "different")
        if verdict["counterexample"] is not None:
            assert judging.holds(one, verdict["counterexample"])
            assert set(verdict["counterexample"]) == {"t", "u"}
            assert all(set(row) == {"id", "v", "s"} for row in verdict["counterexample"]["t"])


def test_the_bench_counts_what_the_judge_got_wrong(tmp_path: Path) -> None:
    labelled = [one for one in PAIRS if "label" in one]
    mislabelled = labelled[1] | {"id": "mislabelled", "label": "equivalent"}

    figures = judging.run(write(tmp_path / "in.jsonl", [*labelled, mislabelled]), budget_ms=1500)

    assert figures["pairs"] == 6
    assert figures["false_accepts"] == 0
    assert figures["false_rejects"] == 0.5
    assert figures["wrong"]["rejects"] == ["mislabelled"]
    assert figures["untrue_counterexamples"] == []
    assert figures["counterexample_rows_median"] <= 4


def test_the_bench_says_when_there_is_nothing_to_measure(tmp_path: Path) -> None:
    figures = judging.run(tmp_path / "nowhere.jsonl")

    assert figures["available"] is False
    assert "nowhere.jsonl" in figures["reason"]


def test_the_same_file_and_seed_give_the_same_verdicts(tmp_path: Path) -> None:
    """Also across processes: nothing may hang on the hash seed."""
    pairs = [one for one in PAIRS if one["id"] in {"wrong", "dates", "order", "last"}]

    runs = [list(judge_pairs.judge_pairs(pairs, budget_ms=1500, seed=4)) for _ in range(2)]

    for one, other in zip(*runs, strict=True):
        assert (one["verdict"], one["counterexample"]) == (other["verdict"], other["counterexample"])
