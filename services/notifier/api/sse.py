"""Notifications as server-sent events (WHATWG HTML, section 9.2).

    event: ready         id: the position the stream starts from
    event: notification  id: its sequence         data: the notification as JSON
    event: end           data: {"reason": "lagging" | "closing" | "unavailable" | "renew"}

A browser reconnects by itself and sends the last id it saw, so that it misses nothing.
"""

import asyncio
import json
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from starlette.types import Message, Receive, Scope, Send

from services.kernel.access import identity_of
from services.kernel.http import Problem
from services.kernel.identity import TokenVerifier
from services.kernel.problems import problems
from services.notifier.api.access import MAX_POSITION, About, AccessToken, Bearer, Position, viewer
from services.notifier.api.delivery import feed
from services.notifier.domain import Viewer
from services.notifier.hub import End, Hub
from services.notifier.views import Event

HEARTBEAT_SECONDS = 15.0
"""Often enough that proxies do not take a quiet stream for a dead one."""
RECONNECT_MILLISECONDS = 1_000
FAREWELL_SECONDS = 1.0


def server_sent_events(hub: Hub, verifier: TokenVerifier, stream_seconds: float) -> APIRouter:
    routes = APIRouter(tags=["streams"], dependencies=[Bearer])

    @routes.get(
        "/notifications/stream",
        response_class=Response,
        responses={
            200: {"description": "The stream", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            **problems(
                _400="Last-Event-ID is not an id of this stream",
                _401="The token is not valid",
                _422="A parameter is not valid",
                _503="Every stream is taken; Retry-After says when to come back",
            ),
        },
    )
    async def stream_notifications(
        request: Request,
        about: About = [],  # noqa: B006
        after: Position = None,
        access_token: AccessToken = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Live notifications as server-sent events; ``Last-Event-ID`` (or ``after``) replays what was missed first."""
        position = _position(last_event_id) if last_event_id else after
        reader = viewer(await identity_of(request, verifier, access_token), about)
        return EventStream(hub, reader, position, stream_seconds)

    return routes


def _position(last_event_id: str) -> int:
    if last_event_id.isascii() and last_event_id.isdigit() and int(last_event_id[:20]) <= MAX_POSITION:
        return int(last_event_id[:20])
    raise Problem(
        400,
        "invalid-last-event-id",
        "Last-Event-ID is not an id of this stream",
        errors=[{"field": "last-event-id", "message": "must be the id of an event of this stream: a whole number"}],
    )


class EventStream(Response):
    """Answers with a stream that its own queue, not the server's buffers, bounds."""

    def __init__(self, hub: Hub, viewer: Viewer, after: int | None, seconds: float) -> None:
        super().__init__(
            headers={"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}
        )
        del self.headers["content-length"]
        self._hub = hub
        self._viewer = viewer
        self._after = after
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._hub.join(self._viewer) as client:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            wire = _SseWire(send, self._viewer)
            reason = await feed(self._hub, client, self._after, wire, lambda: self._watch(receive, wire), self._seconds)
            if reason is not None:
                await self._farewell(wire, reason)

    async def _watch(self, receive: Receive, wire: "_SseWire") -> None:
        """Returns when the client has gone; beats while it has not."""
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):  # wait_for of Python 3.11 may swallow a cancellation
                    message: Message = await receive()
            except TimeoutError:
                await wire.write(": still here\n\n")
                continue
            if message["type"] == "http.disconnect":
                return

    async def _farewell(self, wire: "_SseWire", reason: End) -> None:
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await wire.write(f"event: end\ndata: {json.dumps({'reason': reason})}\n\n", more=False)
        except TimeoutError:
            return  # it reads nothing any more: leaving closes the connection


class _SseWire:
    def __init__(self, send: Send, viewer: Viewer) -> None:
        self._send = send
        self._viewer = viewer

    async def ready(self, position: int) -> None:
        await self.write(f"retry: {RECONNECT_MILLISECONDS}\nevent: ready\nid: {position}\ndata: {{}}\n\n")

    async def notify(self, event: Event) -> None:
        await self.write(f"event: notification\nid: {event.sequence}\ndata: {event.json(self._viewer)}\n\n")

    async def write(self, text: str, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": more})
