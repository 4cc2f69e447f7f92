"""Webhooks as clients write and read them."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from services.notifier.api.receivers import ReceiverRequest, ReceiverView
from services.notifier.webhooks.addresses import MAX_URL


class WebhookRequest(ReceiverRequest):
    """A digest's body has the type ``digest`` and ``data: {total, notifications}``; the list holds the first 20."""

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL, description="https:// and a public address.")]


class WebhookView(ReceiverView):
    url: str
    previous_secret_until: AwareDatetime | None = Field(description="Until then a rotated secret signs along.")


class WebhookSecret(WebhookView):
    secret: str = Field(description="Standard Webhooks secret, whsec_...; shown only now.")
