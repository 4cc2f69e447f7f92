"""HTTP as every service speaks it: problem+json errors, a body limit, health, one span a request.

Source: RFC 9457 (problem details). ``type`` is stable: ``urn:querycraft:problem:<code>``.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from opentelemetry.trace import SpanKind
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kernel import telemetry
from services.kernel.errors import PermanentError, QueryCraftError, TransientError
from services.kernel.problems import problems

_logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1_000_000


class Problem(Exception):
    """An answer other than success. ``errors``: one {field, message} per wrong field."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str = "",
        *,
        errors: list[dict[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {title}")
        self.status = status
        self.body: dict[str, Any] = {"type": f"urn:querycraft:problem:{code}", "title": title, "status": status}
        if detail:
            self.body["detail"] = detail
        if errors:
            self.body["errors"] = errors
        self.body.update(extra or {})
        self.headers = dict(headers or {})

    def response(self) -> Response:
        content = json.dumps(self.body, ensure_ascii=False).encode("utf-8", "backslashreplace")
        return Response(content, self.status, self.headers, media_type="application/problem+json")


def create_app(title: str, description: str, *, max_body: int = MAX_BODY_BYTES, version: str = "1") -> FastAPI:
    """An app with the platform's error answers and limits; routes are the service's own."""
    app = FastAPI(
        title=title,
        description=description,
        version=version,
        separate_input_output_schemas=False,
        # ``RequestSpan`` makes the span, with or without an exporter; FastAPI's own would double it.
        telemetry={"tracing": False, "logs": False},
    )
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(QueryCraftError, _on_domain_error)
    app.add_exception_handler(Exception, _on_crash)
    app.add_middleware(BodyLimit, max_body=max_body)
    app.add_middleware(RequestSpan)
    return app


def add_health(app: FastAPI, ready: Callable[[], Awaitable[None]]) -> None:
    """``/healthz``: the process lives. ``/readyz``: 200 when ``ready`` returns, 503 with the reason when it raises."""

    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"], responses=problems(_503="Not ready"))
    async def readyz() -> dict[str, str]:
        try:
            await ready()
        except Exception as error:
            raise Problem(503, "not-ready", "The service is not ready", str(error)) from error
        return {"status": "ready"}


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - the framework routes by type
    return error.response()


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [
        {"field": ".".join(str(part) for part in entry["loc"][1:]) or str(entry["loc"][0]), "message": entry["msg"]}
        for entry in error.errors()
    ]
    return Problem(422, "invalid-request", "The request is not valid", errors=errors).response()


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}.get(error.status_code, "http-error")
    return Problem(error.status_code, code, str(error.detail), headers=error.headers).response()


async def _on_domain_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, QueryCraftError)  # noqa: S101
    code = error.code.replace("_", "-")
    if isinstance(error, PermanentError):
        return Problem(422, code, "The request cannot be carried out", str(error)).response()
    retry_after = error.retry_after if isinstance(error, TransientError) else None
    headers = {"Retry-After": str(max(1, round(retry_after or 1)))}
    return Problem(503, code, "Try again later", str(error), headers=headers).response()


async def _on_crash(_: Request, error: Exception) -> Response:
    _logger.error("unhandled error", exc_info=error, extra={"action": "http.crash"})
    return Problem(500, "internal", "Something went wrong on our side").response()


class BodyLimit:
    """Refuses a request body over the limit with 413, by its declared length or as it streams in."""

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared) > self._max_body:
            await self._refuse(scope, receive, send)
            return
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_body:
                raise HTTPException(413, self._title)  # the one exception that body parsing lets through
            return message

        await self._app(scope, limited, send)

    @property
    def _title(self) -> str:
        return f"The request body may have at most {self._max_body:,} bytes"

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Problem(413, "body-too-large", self._title).response()(scope, receive, send)


class RequestSpan:
    """One server span a request, joined to the caller's trace; its id is answered as ``trace-id``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), "")
        with telemetry.span(f"{scope['method']} {scope['path']}", parent=parent, kind=SpanKind.SERVER):
            trace_id = telemetry.current_trace_id().encode()

            async def traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", ()), (b"trace-id", trace_id)]
                await send(message)

            await self._app(scope, receive, traced)
