"""The platform's exceptions, typed by remedy.

QueryCraftError
├── TransientError        try again later: the same input may succeed
│   └── BusyError         a bounded resource is full; carries when to come back
├── PermanentError        trying again cannot help: the input or the state is wrong
└── ConfigurationError    a person must change a setting or create something
"""


class QueryCraftError(Exception):
    """Root of every error raised on purpose. ``code`` is stable and machine-readable."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class TransientError(QueryCraftError):
    """The same work may succeed later. ``retry_after``: seconds to wait, or None for the default backoff."""

    code = "transient"

    def __init__(self, message: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class BusyError(TransientError):
    code = "busy"


class PermanentError(QueryCraftError):
    code = "permanent"


class ConfigurationError(QueryCraftError):
    code = "configuration"
