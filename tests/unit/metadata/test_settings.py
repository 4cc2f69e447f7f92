"""Settings under the names that operators know, and what holds without any."""

import pytest
from pydantic import ValidationError

from services.metadata.domain.tables import DatasetId, TableId
from services.metadata.settings import MetadataSettings

DATABASE = "postgresql://metadata@host/querycraft"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_CLOUD_PROJECT", "TARGET_TABLE_ID", "GCS_BUCKET", "GOOGLE_CLOUD_REGION", "QC_METADATA_TARGETS"):
        monkeypatch.delenv(name, raising=False)


def test_the_promised_defaults() -> None:
    settings = MetadataSettings(database_url=DATABASE)
    assert settings.scope.tables == {TableId("nlq-ex", "test_dataset", "events_20210131")}
    assert (settings.gcs_bucket, settings.region) == ("nlq-metadata-cache", "asia-northeast3")
    assert (settings.max_age_hours, settings.debounce_seconds) == (24.0, 60.0)


def test_the_promised_names(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"GOOGLE_CLOUD_PROJECT": "acme-data", "TARGET_TABLE_ID": "acme-data.shop.orders", "GCS_BUCKET": "a-bucket"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = MetadataSettings(database_url=DATABASE)
    assert (settings.google_cloud_project, settings.gcs_bucket) == ("acme-data", "a-bucket")
    assert settings.scope.tables == {TableId("acme-data", "shop", "orders")}
    monkeypatch.setenv("QC_METADATA_TARGETS", "acme-data.shop, acme-data.hr.people")
    scope = MetadataSettings(database_url=DATABASE).scope
    assert (scope.datasets, scope.tables) == ({DatasetId("acme-data", "shop")}, {TableId("acme-data", "hr", "people")})


@pytest.mark.parametrize(
    "wrong", [{"launcher": "lambda"}, {"time_limit_seconds": 60}, {"table_concurrency": 0}, {"debounce_seconds": -1}]
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MetadataSettings(database_url=DATABASE, **wrong)
