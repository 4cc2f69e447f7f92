"""What an operator may set for the notifier."""

from pydantic import Field

from services.kernel.identity import IdentitySettings


class NotifierSettings(IdentitySettings):
    cors_origins: tuple[str, ...] = ()
    max_streams: int = Field(default=5_000, ge=1)
    """SSE and WebSocket clients of one replica; the next one is told to try again."""
    stream_seconds: float = Field(default=1_800.0, gt=0)
    """After this long a stream ends and its client comes back with a fresh token."""
    notification_retention_days: int = Field(default=90, ge=1)
    webhook_allow_loopback: bool = False
    """Tests only: webhooks may then go to this machine, over plain HTTP. Everywhere else that is a hole."""
