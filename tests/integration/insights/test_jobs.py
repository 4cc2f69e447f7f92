"""Jobs of the insights service: predictions, reports, imports, refits; and a damaged model."""

import csv
import io
import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.insights.adapters.models import Models, record
from services.insights.model.knowledge import untrained
from services.insights.model.population import Population
from services.kernel.storage import GoogleCloudStorage
from tests.integration.insights.conftest import BEGAN, ZONE, Running, answers_of, published
from tests.support.services import UNCLOSED, until

pytestmark = pytest.mark.filterwarnings(UNCLOSED)
SOON = datetime.now(ZoneInfo(ZONE)).date() + timedelta(days=1)  # still to come when midnight passes
IMPORT = {"task": "import", "subject": "sql-course"}


def rows_of(learners: int, each: int) -> list[dict[str, object]]:
    return [
        {
            "student": message.user_id,
            "seq": position,
            "item": message.problem_id,
            "skills": "|".join([*message.tags, "sql"]),
            "correct": int(message.verdict == "correct"),
            "timestamp": int(message.graded_at.timestamp()),
        }
        for position, message in enumerate(answers_of(learners, each))
    ]


def as_csv(rows: list[dict[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, object]]) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), target)
    return target.getvalue()


async def stored(objects: GoogleCloudStorage, name: str, data: bytes) -> str:
    return await objects.write_once(f"insights/imports/{name}", data, content_type="application/octet-stream")


async def test_history_is_imported_once_from_csv_and_parquet(insights: Running, objects: GoogleCloudStorage) -> None:
    rows = rows_of(12, 10)
    by_csv = await insights.job(
        "prediction", "import", options={**IMPORT, "uri": await stored(objects, "once.csv", as_csv(rows))}
    )
    assert (by_csv["answers"], by_csv["learners"]) == (120, 12)
    again = await stored(objects, "once.parquet", as_parquet(rows))
    await insights.job("prediction", "import", options={**IMPORT, "uri": again})
    assert await insights.database.pool.fetchval("SELECT count(*) FROM interactions") == 120
    assert await insights.database.pool.fetchval("SELECT count(*) FROM learners WHERE last_id <> ''") == 12
    subjects = await insights.database.fetch("SELECT DISTINCT subject FROM items")
    assert [row["subject"] for row in subjects] == ["sql-course"]


async def test_an_unreadable_file_fails_its_job_clearly(insights: Running, objects: GoogleCloudStorage) -> None:
    for name, data, says in (
        ("no-header.csv", b"a,b\n1,2\n", "columns student, item, skills, correct are missing"),
        ("bad-row.csv", b"student,item,skills,correct\nx,1,,1\nx,2,,perhaps\n", "row 2: correct"),
        ("torn.parquet", b"PAR1", "no Parquet"),
    ):
        end = await insights.job("prediction", "import", options={**IMPORT, "uri": await stored(objects, name, data)})
        assert end["failed"] == "unreadable_history"
        assert says in end["message"]


async def test_an_import_reads_only_where_imports_lie(insights: Running) -> None:
    end = await insights.job("prediction", "x", options={**IMPORT, "uri": "gs://somewhere-else/secrets.csv"})
    assert end["failed"] == "wrong_place"


async def test_a_prediction_job_scores_several_learners(insights: Running) -> None:
    await insights.publish(*(published(number) for number in range(20)), source="generator")
    answers = answers_of(3, 10, items=20)
    await insights.publish(*answers)
    await insights.followed(len(answers))
    await until(lambda: _items(insights, 20))
    asked = {"student_ids": ["learner-000", "nobody"], "subject_id": "pa", "target_date": str(SOON)}
    found = (await insights.job("prediction", asked))["predictions"]
    assert [(entry["student_id"], entry["basis"]) for entry in found] == [
        ("learner-000", "learner"),
        ("nobody", "cold_start"),
    ]
    late = await insights.job("prediction", {**asked, "target_date": str(SOON - timedelta(days=9))})
    assert late["failed"] == "bad_target_date"
    wrong = await insights.job("prediction", {"student_id": "a", "subject_id": "pa"})
    assert "target_date" in wrong["message"]


async def test_a_report_is_html_and_pdf_with_plots(insights: Running, objects: GoogleCloudStorage) -> None:
    await insights.publish(*(published(number) for number in range(20)), source="generator")
    answers = answers_of(3, 10, items=20)
    await insights.publish(*answers)
    await insights.followed(len(answers))
    await until(lambda: _items(insights, 20))
    asked = {"student_ids": ["learner-000", "<b>$x$ 미나</b>"], "language": "ko", "title": "3월 <보고서>"}
    end = await insights.job("report", asked)
    page = (await objects.read(end["html_uri"])).decode()
    assert "3월 &lt;보고서&gt;" in page
    assert "<b>$x$" not in page
    assert page.count("data:image/png;base64,") == 2
    assert "집단 평균" in page
    assert (await objects.read(end["pdf_uri"])).startswith(b"%PDF-")
    assert (end["pdf_language"] == "ko") == (end["notes"] == [])
    assert set(end["group_scores"]) == {"pa", "stream"}


async def test_a_refit_replaces_the_model_only_when_it_is_better(insights: Running) -> None:
    too_little = await insights.job("prediction", "refit", options={"task": "refit"})
    assert too_little["failed"] == "too_little_history"
    answers = answers_of(40, 40)
    for start in range(0, len(answers), 400):
        await insights.publish(*answers[start : start + 400])
    await insights.followed(len(answers))
    first = await insights.job("prediction", "refit", options={"task": "refit"})
    assert (first["accepted"], first["replaced"], first["learners_rebuilt"]) == (True, 0, 40)
    assert first["figures"]["candidate"]["auc"] > 0.7
    again = await insights.job("prediction", "refit", options={"task": "refit"})
    assert again["accepted"] is False
    assert again["figures"]["candidate"]["log_loss"] >= again["figures"]["in_use"]["log_loss"]
    statuses = await insights.database.fetch("SELECT status FROM models ORDER BY id")
    assert [row["status"] for row in statuses] == ["accepted", "rejected"]
    await until(lambda: _serves(insights, first["model_id"]))


async def test_a_damaged_model_leaves_the_last_good_one_serving(insights: Running, objects: GoogleCloudStorage) -> None:
    good_uri = await Models(insights.database, objects).store(untrained(), Population())
    sealed = json.loads(await objects.read(good_uri))
    sealed["model"] = sealed["model"].replace("0", "1", 1)
    damaged = await objects.write_once("insights/models/damaged.json", json.dumps(sealed).encode(), content_type="x")
    missing = "gs://querycraft-datasets/insights/models/missing.json"
    good, *_ = [
        await record(insights.database.pool, uri, accepted=True, trained_until=BEGAN, figures={})
        for uri in (good_uri, damaged, missing)
    ]

    async def both_broken() -> bool:
        return await insights.database.pool.fetchval("SELECT count(*) FROM models WHERE status = 'broken'") == 2

    await until(both_broken)
    await until(lambda: _serves(insights, good))
    await insights.publish(*answers_of(1, 3, seed=9))
    await insights.followed(3)
    assert await _serves(insights, good)


async def _items(insights: Running, count: int) -> bool:
    async with httpx.AsyncClient(base_url=insights.url) as client:
        return bool((await client.get("/health")).json()["items"] == count)


async def _serves(insights: Running, model_id: int) -> bool:
    async with httpx.AsyncClient(base_url=insights.url) as client:
        return bool((await client.get("/health")).json()["model_id"] == model_id)
