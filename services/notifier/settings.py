"""What an operator may set for the notifier."""

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from services.kernel.identity import IdentitySettings
from services.notifier.mail.address import ADDRESS, MAX_ADDRESS
from services.notifier.mail.mailer import Security


class NotifierSettings(IdentitySettings):
    cors_origins: tuple[str, ...] = ()
    max_streams: int = Field(default=5_000, ge=1)
    """SSE and WebSocket clients of one replica; the next one is told to try again."""
    stream_seconds: float = Field(default=1_800.0, gt=0)
    """After this long a stream ends and its client comes back with a fresh token."""
    notification_retention_days: int = Field(default=90, ge=1)
    webhook_allow_loopback: bool = False
    """Tests only: webhooks may then go to this machine, over plain HTTP. Everywhere else that is a hole."""

    smtp_host: str = ""
    """The server that takes mails; without one there is no e-mail, and the API says so."""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Security = "starttls"
    """``none`` only for a relay on the same machine or network; it never carries a password."""
    smtp_user: str = ""
    smtp_password: SecretStr | None = None
    smtp_from: str = Field(default="", max_length=MAX_ADDRESS, pattern=rf"^$|{ADDRESS}")

    @field_validator("smtp_password", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """As a compose file passes on what nobody has set."""
        return value or None

    @model_validator(mode="after")
    def _mail_is_set_as_a_whole(self) -> Self:
        if self.smtp_host and not self.smtp_from:
            raise ValueError("QC_SMTP_HOST needs QC_SMTP_FROM, the address that mails come from")
        if bool(self.smtp_user) != (self.smtp_password is not None):
            raise ValueError("QC_SMTP_USER and QC_SMTP_PASSWORD come together")
        if self.smtp_user and self.smtp_security == "none":
            raise ValueError("a password needs QC_SMTP_SECURITY=starttls or tls")
        return self
