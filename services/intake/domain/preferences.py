"""The ``Prefer`` header: how long a client would wait for the answer.

Source: RFC 7240; unknown and malformed preferences are ignored, as it says.
"""

import re
from dataclasses import dataclass

MAX_WAIT = 30

_WAIT = re.compile(r"^wait\s*=\s*\"?(\d{1,9})\"?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Preference:
    """``wait``: seconds, capped at ``MAX_WAIT``; None when not asked for."""

    wait: int | None = None
    respond_async: bool = False

    @property
    def applied(self) -> str:
        """The value of ``Preference-Applied``; empty when nothing was asked for."""
        parts = ["respond-async"] if self.respond_async else []
        if self.wait is not None:
            parts.append(f"wait={self.wait}")
        return ", ".join(parts)


NO_PREFERENCE = Preference()


def preference_in(header: str | None) -> Preference:
    """The first of each preference counts (RFC 7240, section 2)."""
    if not header:
        return NO_PREFERENCE
    wait: int | None = None
    respond_async = False
    for part in header.split(","):
        token = part.split(";")[0].strip()
        if token.lower() == "respond-async":
            respond_async = True
        elif wait is None and (match := _WAIT.match(token)):
            wait = min(int(match[1]), MAX_WAIT)
    return Preference(wait, respond_async)
