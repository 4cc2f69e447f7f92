"""E-mail subscriptions as clients write and read them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.notifier.api.access import PLAIN
from services.notifier.api.receivers import DigestSeconds, ReceiverRequest, ReceiverView
from services.notifier.domain import Severity
from services.notifier.mail.address import ADDRESS, MAX_ADDRESS


class SubscriptionRequest(ReceiverRequest):
    address: Annotated[str, Field(max_length=MAX_ADDRESS, pattern=ADDRESS)]
    locale: Literal["ko", "en"] = "ko"
    min_severity: Severity = Severity.WARNING
    digest_seconds: DigestSeconds = 300


class SubscriptionView(ReceiverView):
    address: str
    locale: str
    confirmed_at: AwareDatetime | None = Field(description="Nothing is mailed before its owner has confirmed it.")


class ConfirmRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=100, pattern=PLAIN)]
