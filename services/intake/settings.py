"""What an operator may set for intake; names from the requirements are kept."""

from pydantic import AliasChoices, Field

from services.kernel.identity import IdentitySettings


class IntakeSettings(IdentitySettings):
    enable_job_queue: bool = Field(default=True, validation_alias=AliasChoices("enable_job_queue", "ENABLE_JOB_QUEUE"))
    """Off: nothing is queued; simple queries are answered in the request and complex ones refused."""
    enable_complexity_routing: bool = Field(
        default=True, validation_alias=AliasChoices("enable_complexity_routing", "ENABLE_COMPLEXITY_ROUTING")
    )
    """On: a simple query is answered in its request when it is done in time."""

    cors_origins: tuple[str, ...] = ()

    rate_limit_per_second: float = Field(default=100.0, gt=0)
    """Sustained creations of one user, or of one address when anonymous."""
    rate_limit_burst: int = Field(default=2_000, ge=1)

    window_capacity: int = Field(default=8, ge=1)
    """Jobs released to one worker service and not ended, besides what its recent speed allows."""
    window_seconds: float = Field(default=0.1, ge=0)
    """Seconds' worth of the recent completions that may be released ahead."""

    silence_timeout: float = Field(default=30.0, gt=0)
    """Seconds without a report after which a started job is taken from its worker."""
    start_timeout: float = Field(default=900.0, gt=0)
    """Seconds a released job may wait in the broker for a worker: longer than one run may take."""
    max_releases: int = Field(default=3, ge=1)
    """Releases of one job, the first included, before it fails as lost."""

    job_retention_days: int = Field(default=365, ge=0)
    """Days after which an ended job and its log are deleted; 0 keeps them for ever."""

    run_clock: bool = True
    """Off where Cloud Scheduler publishes ``schedule-due`` instead."""
