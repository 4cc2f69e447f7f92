"""The generator's settings; see ``LlmSettings`` for those about models."""

from typing import Literal

from pydantic import AliasChoices, Field

from services.kernel.identity import IdentitySettings
from services.kernel.llm.settings import LlmSettings


class GeneratorSettings(LlmSettings, IdentitySettings):
    dataset_bucket: str = "querycraft-datasets"
    """Where base data sets are kept as Parquet. ``STORAGE_EMULATOR_HOST`` leads to an emulator."""
    gcs_bucket: str = Field(default="nlq-metadata-cache", validation_alias=AliasChoices("gcs_bucket", "GCS_BUCKET"))
    """The metadata service's cache: companies' own tables, of which problems can be made."""
    base_rows: int = Field(default=2_000, ge=1_000, le=1_000_000)
    default_count: int = Field(default=5, ge=1, le=300)
    max_count: int = Field(default=300, ge=1, le=1_000)

    worker_concurrency: int = Field(default=2, ge=1, le=32)
    """Jobs at once; each composes in a process of its own."""
    time_limit_seconds: float = Field(default=540.0, gt=0, le=3_600)
    """Nine minutes: a push must be answered within ten."""

    launcher: Literal["process", "cloud_run"] = "process"
    long_count: int = Field(default=60, ge=1)
    """A job for more problems than this goes on in a process of its own, whose limit is the next line."""
    long_time_limit_seconds: float = Field(default=6 * 3_600.0, gt=0)
    region: str = Field(
        default="asia-northeast3", validation_alias=AliasChoices("region", "QC_REGION", "GOOGLE_CLOUD_REGION")
    )
