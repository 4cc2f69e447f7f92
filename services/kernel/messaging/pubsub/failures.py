"""Which of the client library's failures are worth another try."""

from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core import exceptions
from google.auth.exceptions import TransportError

from services.kernel.errors import PermanentError, TransientError

OUTAGE = (
    exceptions.Aborted,
    exceptions.BadGateway,
    exceptions.Cancelled,
    exceptions.DeadlineExceeded,
    exceptions.GatewayTimeout,
    exceptions.InternalServerError,
    exceptions.ResourceExhausted,
    exceptions.RetryError,
    exceptions.ServiceUnavailable,
    exceptions.TooManyRequests,
    exceptions.Unknown,
    TransportError,
    ConnectionError,
    TimeoutError,
)
"""The service, or the way to it, is not well. The publisher and the streams wait and try again."""

REFUSED = (exceptions.InvalidArgument,)
"""The service looked at the message and will never take it: not its schema, too large, a bad attribute."""


def outcome(error: BaseException | None) -> Exception | None:
    """The outcome of publishing that a future's exception stands for."""
    if error is None:
        return None
    if isinstance(error, REFUSED):
        return PermanentError(f"Pub/Sub refused the message: {error}", code="unpublishable")
    # What is left (no such topic, no permission) is for a person to mend while the message waits.
    return TransientError(f"cannot publish: {error!r}")


@contextmanager
def typed(action: str) -> Iterator[None]:
    """Raises TransientError for everything the service may answer."""
    try:
        yield
    except (*OUTAGE, exceptions.GoogleAPICallError) as error:
        raise TransientError(f"cannot {action}: {error!r}") from error
