"""What an SMTP server's refusal means. Pure."""

import re

from services.notifier.schedule import Failed, Outcome, postpone

_ENHANCED = re.compile(r"\s*[245]\.(\d{1,3})\.(\d{1,3})\b")
_NO_SUCH_MAILBOX = (550, 551, 553, 556)
"""RFC 5321, section 4.2.3, and RFC 7504: what a server without enhanced codes says of an address."""
_SAID = 300


def recipient_refused(code: int, text: str, attempt: int) -> Outcome:
    """The answer to RCPT. An address that does not exist gets nothing any more; other refusals may be about us.

    Enhanced status codes (RFC 3463): x.1.y is the address, x.2.1 a closed mailbox.
    """
    reason = f"the mail server refused the address: {code} {text[:_SAID]}"
    if code < 500:
        return postpone(attempt, reason, status=code)
    enhanced = _ENHANCED.match(text)
    if enhanced is None:
        return Failed(code, reason, disable=code in _NO_SUCH_MAILBOX)
    subject, detail = enhanced.groups()
    return Failed(code, reason, disable=subject == "1" or (subject, detail) == ("2", "1"))


def content_refused(code: int, text: str, attempt: int) -> Outcome:
    """The answer to DATA."""
    reason = f"the mail server refused the message: {code} {text[:_SAID]}"
    return postpone(attempt, reason, status=code) if code < 500 else Failed(code, reason)


def we_refused(code: int, text: str, attempt: int) -> Outcome:
    """The answer to connecting, EHLO, AUTH or MAIL: the operator's to mend, so it is tried again whatever the code."""
    return postpone(attempt, f"the mail server refused this sender: {code} {text[:_SAID]}", status=code)
