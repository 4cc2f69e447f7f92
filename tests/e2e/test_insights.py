"""A learner and an administrator at the doors of intake and insights: history comes in, a prediction and a report come
out, and nobody gets more than is theirs."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from scripts.embedded.platform import PROJECT, Platform
from services.kernel.storage import GoogleCloudStorage
from tests.e2e.conftest import Platforms
from tests.e2e.test_platform import finished
from tests.support.services import UNCLOSED, let_go_of_sockets

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings(UNCLOSED),
]
BUCKET = "querycraft-datasets"


@pytest.fixture
def embedded(platforms: Platforms) -> Platform:
    return platforms.on("embedded", "")


@pytest.fixture
async def objects(embedded: Platform, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GoogleCloudStorage]:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", embedded.storage.url)
    store = GoogleCloudStorage(BUCKET, PROJECT)
    yield store
    await store.close()
    let_go_of_sockets()


def signed_in(platform: Platform, url: str, user: str, *roles: str) -> httpx.AsyncClient:
    claims = {"sub": user, "roles": roles, "iss": "querycraft", "aud": "querycraft", "exp": 4_102_444_800}
    token = jwt.encode(claims, platform.identity_key, "HS256")
    return httpx.AsyncClient(base_url=url, timeout=90, headers={"Authorization": f"Bearer {token}"})


async def test_history_in_prediction_and_report_out(embedded: Platform, objects: GoogleCloudStorage) -> None:
    rows = [f"{who},{turn},e2e-{turn % 4},join,{int(who == 'mina')}" for who in ("mina", "juno") for turn in range(12)]
    text = "\n".join(["student,seq,item,skills,correct", *rows])
    file = await objects.write_once("insights/imports/e2e.csv", text.encode(), content_type="text/csv")
    options = {"task": "import", "uri": file, "subject": "e2e"}
    importing: dict[str, Any] = {"type": "prediction", "query": "import", "options": options}
    tomorrow = str((datetime.now(UTC) + timedelta(days=2)).date())
    own = {"student_id": "mina", "subject_id": "e2e", "target_date": tomorrow}

    def predicting(**fields: str) -> dict[str, Any]:
        return {"type": "prediction", "query": json.dumps({**own, **fields})}

    async with (
        signed_in(embedded, embedded.url(), "root", "admin") as admin,
        signed_in(embedded, embedded.url(), "mina") as mina,
        signed_in(embedded, embedded.url("insights"), "mina") as mina_reading,
    ):
        refused = await finished(mina, importing)
        assert (refused["status"], "only administrators" in refused["error"]) == ("failed", True)
        claimed = {**importing, "options": {**options, "metadata": {"callerRoles": ["admin"]}}}
        assert (await mina.post("/api/ai/jobs", json=claimed)).status_code == 422
        imported = await finished(admin, importing)
        assert (imported["status"], imported["result"]["answers"]) == ("completed", 24), imported["error"]

        [mine] = (await finished(mina, predicting()))["result"]["predictions"]
        [other] = (await finished(admin, predicting(student_id="juno")))["result"]["predictions"]
        assert mine["basis"] == other["basis"] == "learner"
        assert mine["predicted_score"] > other["predicted_score"]
        assert (await finished(mina, predicting(student_id="juno")))["status"] == "failed"
        read = (await mina_reading.post("/api/predictions/score", json=own)).json()
        assert read["predicted_score"] == pytest.approx(mine["predicted_score"], abs=0.01)
        denied = await mina_reading.post("/api/predictions/score", json={**own, "student_id": "juno"})
        assert denied.status_code == 403

        report = await finished(mina, {"type": "report", "query": json.dumps({"student_id": "mina", "language": "en"})})
        assert report["status"] == "completed", report["error"]
        assert b"mina" in await objects.read(report["result"]["html_uri"])
        assert (await objects.read(report["result"]["pdf_uri"])).startswith(b"%PDF-")
