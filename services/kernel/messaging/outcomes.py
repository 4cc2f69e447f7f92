"""What became of a delivery: the one place where failures are turned into ack, nack or dead letter."""

from dataclasses import dataclass

from contracts.manifest import Subscription
from services.kernel.database.pool import OUTAGE
from services.kernel.errors import PermanentError, TransientError
from services.kernel.messaging.backoff import delay
from services.kernel.messaging.broker import Delivery


@dataclass(frozen=True, slots=True)
class Done:
    """The effects are committed, now or by an earlier delivery of the same message."""


@dataclass(frozen=True, slots=True)
class Retry:
    """``outage``: the database is out of reach, so the consumer pauses instead of burning attempts."""

    delay: float
    reason: str
    outage: bool = False


@dataclass(frozen=True, slots=True)
class Dead:
    code: str
    reason: str


Outcome = Done | Retry | Dead


def classify(error: Exception, subscription: Subscription, delivery: Delivery) -> Retry | Dead:
    """Permanent errors die at once; everything else is tried again until the attempts run out."""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, OUTAGE):
        return Retry(delay(1, subscription.min_backoff, subscription.max_backoff), reason, outage=True)
    if isinstance(error, PermanentError):
        return Dead(error.code, reason)
    if delivery.attempt >= subscription.max_attempts:
        return Dead("attempts_exhausted", f"after {delivery.attempt} attempts: {reason}")
    wait = delay(delivery.attempt, subscription.min_backoff, subscription.max_backoff)
    if isinstance(error, TransientError) and error.retry_after is not None:
        wait = max(wait, error.retry_after)
    return Retry(wait, reason)


def overrun(subscription: Subscription, delivery: Delivery) -> Dead | None:
    """A message delivered more often than allowed never came back with an outcome: it kills its consumer."""
    if delivery.attempt <= subscription.max_attempts:
        return None
    return Dead(
        "attempts_exhausted",
        f"delivered {delivery.attempt} times without an outcome; the consumer died or hung while handling it",
    )
