"""The metadata service's settings; see ``ServiceSettings`` for those every service shares."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import NoDecode

from services.kernel.identity import IdentitySettings
from services.kernel.llm.settings import LlmSettings
from services.metadata.domain.tables import Scope
from services.metadata.reconcile import RESERVE_SECONDS


class MetadataSettings(LlmSettings, IdentitySettings):
    target_table_id: str = Field(
        default="nlq-ex.test_dataset.events_20210131",
        validation_alias=AliasChoices("target_table_id", "TARGET_TABLE_ID"),
    )
    metadata_targets: Annotated[tuple[str, ...], NoDecode] = ()
    """Comma-separated: data sets (project.dataset) and tables (project.dataset.table) to keep fresh. Nothing else is
    ever read. Empty: ``target_table_id`` alone."""
    gcs_bucket: str = Field(default="nlq-metadata-cache", validation_alias=AliasChoices("gcs_bucket", "GCS_BUCKET"))
    """Where the cache is kept. ``STORAGE_EMULATOR_HOST`` leads to an emulator."""

    bigquery_emulator_host: str = Field(
        default="", validation_alias=AliasChoices("bigquery_emulator_host", "BIGQUERY_EMULATOR_HOST")
    )
    """google-cloud-bigquery reads it too: all requests then go to an emulator, without credentials."""
    bigquery_location: str = ""
    """Where the data sets are, for example asia-northeast3; empty lets BigQuery find out."""
    execute_bytes: int = Field(default=100_000_000, ge=0)
    """Examples on a larger table are dry-run, not executed."""
    profile_bytes: int = Field(default=1_000_000_000, ge=10_000_000)
    """Of a larger table a sample of about this size is profiled."""
    bigquery_timeout_seconds: float = Field(default=60.0, gt=0, le=600)

    max_age_hours: float = Field(default=24.0, gt=0)
    """A table whose data changed is profiled again when its cache is older."""
    debounce_seconds: float = Field(default=60.0, ge=0, le=3_600)
    """Events about one table within this window cause one refresh, at its end."""
    table_concurrency: int = Field(default=4, ge=1, le=64)

    worker_concurrency: int = Field(default=1, ge=1, le=8)
    time_limit_seconds: float = Field(default=540.0, ge=2 * RESERVE_SECONDS, le=3_600)
    """Nine minutes: a push must be answered within ten. What is left goes on in a process of its own."""
    launcher: Literal["process", "cloud_run"] = "process"
    long_time_limit_seconds: float = Field(default=6 * 3_600.0, ge=2 * RESERVE_SECONDS)
    region: str = Field(
        default="asia-northeast3", validation_alias=AliasChoices("region", "QC_REGION", "GOOGLE_CLOUD_REGION")
    )

    eventarc_audience: str = ""
    eventarc_service_account: str = ""
    """Who may send CloudEvents, beside the pushes of ``push_service_account``: Eventarc's own identity."""

    @field_validator("metadata_targets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def scope(self) -> Scope:
        """Raises ValueError: a target is neither a data set nor a table."""
        return Scope.parse(self.metadata_targets or (self.target_table_id,))
