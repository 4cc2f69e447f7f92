"""The grader's settings; see ``LlmSettings`` for those about models."""

from typing import Literal

from pydantic import AliasChoices, Field

from services.kernel.identity import IdentitySettings
from services.kernel.llm.settings import LlmSettings


class GraderSettings(LlmSettings, IdentitySettings):
    dataset_bucket: str = "querycraft-datasets"
    """Only read from, by the URIs inside ``problem-published``."""
    sandbox_size: int = Field(default=2, ge=1, le=64)
    """Learners' queries at once, each in a process of its own."""
    worker_concurrency: int = Field(default=8, ge=1, le=256)
    """Grading jobs at once; those beyond ``sandbox_size`` wait for a sandbox."""
    judge_budget_ms: int = Field(default=1_000, ge=50, le=60_000)
    """How long one judgement may search for a data set that tells an answer from the reference; less in a line."""
    base_sets_held: int = Field(default=8, ge=1, le=256)
    """Base data sets kept in the sandbox's memory, the least recently used one dropped first."""
    unknown_problem_seconds: float = Field(default=10.0, ge=0)
    """For so long after a submission its problem may still be on its way from the generator."""

    googlesql_engine: Literal["off", "bigquery"] = "off"
    """Where GoogleSQL runs that DuckDB could answer differently; off: such an answer is refused."""
    bigquery_emulator_host: str = Field(
        default="", validation_alias=AliasChoices("bigquery_emulator_host", "BIGQUERY_EMULATOR_HOST")
    )
    """google-cloud-bigquery reads it too. An emulator gets only what it is known to run as BigQuery does."""
    bigquery_location: str = ""
    googlesql_max_bytes_billed: int = Field(default=10_485_760, ge=10_485_760)
    """Of one statement; BigQuery bills no less for one that reads anything, and ours read nothing."""
    googlesql_timeout_seconds: float = Field(default=20.0, gt=0, le=600)

    wording_patience_seconds: float = Field(default=4.0, gt=0, le=60)
    """With a model: how long a learner waits for its words, before the offline ones stand."""
