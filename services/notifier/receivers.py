"""Receivers: the webhooks and e-mail subscriptions that notifications are delivered to, and what each asks for."""

from collections.abc import Mapping
from datetime import time
from functools import cache
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from services.notifier.domain import MAX_NAME, PLAIN, Kind, Severity
from services.notifier.mail.address import ADDRESS, MAX_ADDRESS
from services.notifier.webhooks.addresses import MAX_URL

MAX_FILTER = 50
MAX_DIGEST_SECONDS = 86_400

GROUPING: Final = frozenset({"digest_seconds", "time_zone", "quiet_hours"})
"""The preferences that say when notifications leave, and with which others; the rest say which ones do."""
_FIXED: Final = ("url", "address", "locale", "everything")


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


class Preferences(BaseModel):
    """Which notifications, and when. Empty ``kinds`` and ``types`` accept everything."""

    model_config = ConfigDict(extra="forbid")

    kinds: list[Kind] = Field(default=[], max_length=MAX_FILTER)
    types: list[Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=PLAIN)]] = Field(
        default=[], max_length=MAX_FILTER
    )
    min_severity: Severity = Severity.INFO
    digest_seconds: DigestSeconds = 0
    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = "Asia/Seoul"
    quiet_hours: QuietRequest | None = None


def _partial(schema: dict[str, Any]) -> None:
    """What a change does not name stays as it is, so that no default applies."""
    for field in schema["properties"].values():
        field.pop("default", None)
    schema["minProperties"] = 1


class PreferencesChange(Preferences):
    """What is not named stays; ``quiet_hours: null`` ends quiet hours."""

    model_config = ConfigDict(json_schema_extra=_partial)

    @model_validator(mode="before")
    @classmethod
    def _names_what_may_change(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        fixed = [name for name in _FIXED if name in value]
        if fixed:
            raise ValueError(f"{', '.join(fixed)} cannot be changed: create another, then remove this one")
        if not value:
            raise ValueError(f"name what is to change, one or more of: {', '.join(cls.model_fields)}")
        return value


class ReceiverRequest(Preferences):
    everything: bool = Field(default=False, description="Every notification of the platform; administrators only.")


class WebhookRequest(ReceiverRequest):
    """A digest's body has the type ``digest`` and ``data: {total, notifications}``; the list holds the first 20."""

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL, description="https:// and a public address.")]


class SubscriptionRequest(ReceiverRequest):
    address: Annotated[str, Field(max_length=MAX_ADDRESS, pattern=ADDRESS)]
    locale: Literal["ko", "en"] = "ko"
    min_severity: Severity = Severity.WARNING
    digest_seconds: DigestSeconds = 300


class Receiver(BaseModel):
    """As it is kept, and as its owner reads it."""

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


class Webhook(Receiver):
    url: str
    previous_secret_until: AwareDatetime | None = Field(description="Until then a rotated secret signs along.")


class WebhookSecret(Webhook):
    secret: str = Field(description="Standard Webhooks secret, whsec_...; shown only now.")


class Subscription(Receiver):
    address: str
    locale: str
    confirmed_at: AwareDatetime | None = Field(description="Nothing is mailed before its owner has confirmed it.")
