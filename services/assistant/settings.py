"""The assistant's settings; see ``LlmSettings`` for those about models."""

from pathlib import Path

from pydantic import AliasChoices, Field

from services.kernel.identity import IdentitySettings
from services.kernel.llm.settings import LlmSettings


class AssistantSettings(LlmSettings, IdentitySettings):
    taxonomy_directory: Path | None = None
    """More taxonomies (``*.yaml``) beside those shipped; one of the same name replaces the shipped one."""
    default_taxonomy: str = "building_maintenance"
    """Of triage jobs that name none."""
    retrain_seconds: float = Field(default=60.0, gt=0)
    """How often corrections are looked for; a training follows only when there are new ones."""
    model_accuracy: float = Field(default=0.93, gt=0.5, lt=1)
    """How often a model's category or priority is right: the lower of the published 93 to 95 %."""
    triage_patience_seconds: float = Field(default=20.0, gt=0)
    """How long an unsure request may wait for a model before the local answer stands."""

    gcs_bucket: str = Field(default="nlq-metadata-cache", validation_alias=AliasChoices("gcs_bucket", "GCS_BUCKET"))
    """The metadata cache, only read: descriptions and examples of companies' tables."""
    analysis_patience_seconds: float = Field(default=30.0, gt=0)
    """How long a model may take to write an analysis's SQL before the nearest example answers."""
    dataset_bucket: str = "querycraft-datasets"
    """Only read from, by the URIs inside ``problem-published``."""
    sandbox_size: int = Field(default=2, ge=1, le=64)
    """Queries of analyses and optimizations at once, each in a process of its own."""
    worker_concurrency: int = Field(default=48, ge=1, le=256)
    """Jobs at once. A triage job is three short transactions and little else, so it is their waiting that overlaps."""
    database_pool_size: int = Field(default=24, ge=2, le=200)
    base_sets_held: int = Field(default=8, ge=1, le=256)
    """Base data sets kept in the sandbox's memory, the least recently used one dropped first."""
    judge_budget_ms: int = Field(default=4_000, ge=200, le=60_000)
    """How long a rewrite is searched for a data set on which it differs, before it may be shown."""
