"""Settings that every service shares. Names from the requirements are kept; the rest begin with ``QC_``."""

from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Read from the environment once, in the service's ``bootstrap``."""

    model_config = SettingsConfigDict(env_prefix="QC_", extra="ignore", populate_by_name=True)

    database_url: SecretStr
    """Postgres, with the service's own role: postgresql://intake@host/querycraft."""
    database_pool_size: int = Field(default=10, ge=2, le=200)
    database_statement_cache: int = Field(default=1024, ge=0)
    """0 behind a transaction pooler, where prepared statements do not survive."""

    broker: Literal["embedded", "pubsub"] = "embedded"
    delivery: Literal["pull", "poll", "push"] = "pull"
    """``push``: an HTTP endpoint takes the messages (Cloud Run); ``pull``: the service fetches them, on Pub/Sub by
    streaming pull; ``poll``: by unary pull."""
    lease_seconds: float = Field(default=30.0, gt=0)
    """How long the embedded broker waits for a silent consumer before handing its messages to another."""
    push_audience: str = ""
    push_service_account: str = ""
    push_emulator: bool = False
    """The Pub/Sub emulator signs nothing: take its pushes without a token. Never in the cloud."""
    google_cloud_project: str = Field(
        default="querycraft-local", validation_alias=AliasChoices("google_cloud_project", "GOOGLE_CLOUD_PROJECT")
    )

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65535)
    drain_seconds: float = Field(default=10.0, gt=0)
    """How long a stopping service may finish what it holds before handing it back."""

    telemetry_exporter: Literal["none", "file", "otlp"] = "none"
    telemetry_directory: str = "build/telemetry"
    otlp_endpoint: str = "http://localhost:4318"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    inbox_retention_days: int = Field(default=14, ge=8)
    """Longer than any broker redelivers (Pub/Sub keeps a message 7 days unless told otherwise)."""
