"""Hands one message to the operator's SMTP server."""

import asyncio
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal

from pydantic import SecretStr

from services.notifier.mail.answers import content_refused, recipient_refused, we_refused
from services.notifier.schedule import Delivered, Outcome, postpone

TIMEOUT_SECONDS = 20.0
"""For everything together: connecting, TLS, signing in and sending."""
_ACCEPTED = 250

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True)
class SmtpServer:
    host: str
    port: int
    security: Security
    user: str = ""
    password: SecretStr | None = None


class Mailer:
    """``tls``: whom to trust; by default the public authorities."""

    def __init__(
        self, server: SmtpServer, *, timeout: float = TIMEOUT_SECONDS, tls: ssl.SSLContext | None = None
    ) -> None:
        self._server = server
        self._timeout = timeout
        self._tls = tls

    async def send(self, message: EmailMessage, attempt: int) -> Outcome:
        """What became of it; never raises for anything the server does. One connection a message: mails are few."""
        import aiosmtplib as smtp

        try:
            async with asyncio.timeout(self._timeout):
                return await self._send(message)
        except smtp.SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            return recipient_refused(refused.code, refused.message, attempt)
        except smtp.SMTPDataError as error:
            return content_refused(error.code, error.message, attempt)
        except smtp.SMTPResponseException as error:
            return we_refused(error.code, error.message, attempt)
        except TimeoutError:
            return postpone(attempt, f"no answer of the mail server within {self._timeout:.0f} s")
        except (smtp.SMTPException, OSError) as error:
            return postpone(attempt, f"cannot reach the mail server: {type(error).__name__}: {error}"[:500])

    async def _send(self, message: EmailMessage) -> Outcome:
        import aiosmtplib as smtp

        server = self._server
        client = smtp.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password.get_secret_value() if server.password else None,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",  # True insists: a server without it gets nothing
            timeout=self._timeout,
            tls_context=self._tls,
        )
        async with client:
            await client.send_message(message)
        return Delivered(_ACCEPTED)
