"""What webhooks and e-mail subscriptions have in common, as clients write and read it."""

from datetime import time
from functools import cache
from typing import Annotated, Self
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from services.notifier.api.access import PLAIN
from services.notifier.domain import MAX_NAME, Kind, Severity

MAX_FILTER = 50
MAX_DIGEST_SECONDS = 86_400


@cache
def _zones() -> frozenset[str]:
    """Read once: the database is hundreds of files."""
    return frozenset(available_timezones())


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("a time zone of the IANA database, such as Asia/Seoul")
    return name


class QuietRequest(BaseModel):
    """Every day from ``start`` to before ``end``, over midnight when ``end`` is earlier. Critical ones still come."""

    model_config = ConfigDict(extra="forbid")

    start: time = Field(description="HH:MM on the clocks of ``time_zone``.")
    end: time

    @model_validator(mode="after")
    def _some_time_is_left(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end must differ")
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            raise ValueError("times carry no zone: time_zone is theirs")
        return self


DigestSeconds = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_DIGEST_SECONDS,
        description="Notifications of one type leave at least so far apart, those in between together; critical ones "
        "are a group of their own. 0: nothing is grouped.",
    ),
]


class ReceiverRequest(BaseModel):
    """Empty ``kinds`` and ``types`` accept everything."""

    model_config = ConfigDict(extra="forbid")

    kinds: list[Kind] = Field(default=[], max_length=MAX_FILTER)
    types: list[Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=PLAIN)]] = Field(
        default=[], max_length=MAX_FILTER
    )
    min_severity: Severity = Severity.INFO
    digest_seconds: DigestSeconds = 0
    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = "Asia/Seoul"
    quiet_hours: QuietRequest | None = None
    everything: bool = Field(default=False, description="Every notification of the platform; administrators only.")


class ReceiverView(BaseModel):
    id: UUID
    kinds: list[str]
    types: list[str]
    min_severity: Severity
    digest_seconds: int
    time_zone: str
    quiet_from: time | None
    quiet_until: time | None
    everything: bool
    created_at: AwareDatetime
    disabled_at: AwareDatetime | None
    disabled_reason: str
