"""Takes secrets out of text that people and other systems will read.

Errs towards hiding too much: a hidden host name costs a look into the logs, a shown password
costs the password. Every pattern is bounded, so that hostile text takes linear time.
"""

import re

MASK = "[secret removed]"
MAX_SCANNED = 200_000
"""Characters looked at, counted from the end, where a stack trace says what went wrong."""

_NAMES = (
    r"pass(?:word|wd|phrase)?|pwd|secrets?|tokens?|api[_-]?key|access[_-]?key|private[_-]?key|encryption[_-]?key"
    r"|signing[_-]?key|account[_-]?key|credentials?|authorization|cookies?|session[_-]?id|signature|otp|dsn"
)
_VALUE = (
    r'(?:[bru]{0,2}"(?:[^"\\\n]|\\.)*(?:"|$)|[bru]{0,2}\'(?:[^\'\\\n]|\\.)*(?:\'|$)'
    r"|(?:bearer|basic|digest|token)\s+[^\s,;]+|[^\s,;&)}\]]+)"
)

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Private keys in PEM, also one that was cut off before its end.
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.S), MASK),
    # A key's body whose first line was cut off.
    (re.compile(r"^[A-Za-z0-9+/]{60,}={0,2}$", re.M), MASK),
    # User and password in a connection URL, also when the password itself contains '@', '/' or ':'.
    (re.compile(r"(?<=://)(?:[^\s/?#@:'\"<>]{0,256}:[^\s'\"<>]{0,1000}|[^\s/?#'\"<>]{0,1000})@"), f"{MASK}@"),
    # name=value, name: value, "name": "value", also inside a longer name such as GEMINI_API_KEY.
    (
        re.compile(rf"((?:{_NAMES})[\w.-]{{0,40}}[\"']?\s{{0,8}}(?:=>|:=|==|[:=])\s{{0,8}}){_VALUE}", re.I | re.M),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer|basic)\s{1,8}[\w.~+/=-]{8,}", re.I), rf"\1 {MASK}"),
    # Tokens that say by their shape what they are: JWT, Google, AWS, GitHub, GitLab, Slack, Stripe, webhooks, npm.
    (
        re.compile(
            r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]{0,2000})?|\bAIza[\w-]{30,}|\bya29\.[\w.-]{10,}|\bGOCSPX-[\w-]{10,}"
            r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
            r"|\bxox[abeoprs]-[\w-]{10,}|\b[spr]k_(?:live|test)_\w{10,}|\bsk-[\w-]{20,}|\bwhsec_[\w+/=]{16,}"
            r"|\bnpm_\w{30,}"
        ),
        MASK,
    ),
)


def scrub(text: str, limit: int) -> str:
    """``text`` without secrets and control characters, at most ``limit`` characters from its end.

    Scrubbing comes before cutting: half a secret no longer looks like one.
    """
    cleaned = _printable(_tail(text, MAX_SCANNED))
    for pattern, replacement in _PATTERNS:
        cleaned = pattern.sub(replacement, cleaned)
    return _tail(cleaned, limit)


def _printable(text: str) -> str:
    """Without NUL, which Postgres refuses, and without escapes that rewrite a reader's terminal."""
    return "".join(character for character in text if character in "\n\t" or character.isprintable())


def _tail(text: str, limit: int) -> str:
    """The last whole lines that fit; within one overlong line, its end."""
    if len(text) <= limit:
        return text
    kept = text[-limit:]
    _, newline, lines = kept.partition("\n")
    return lines if newline and lines else kept
