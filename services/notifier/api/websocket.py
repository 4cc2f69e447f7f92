"""Notifications over a WebSocket, one JSON document a message.

    {"event": "ready", "position": 41}
    {"event": "notification", "id": 42, "data": {...}}

The platform ends a stream with close code 1013 (try again later: lagging, unavailable), 1012 (service
restart: closing) or 4000 (renew: come back with a fresh token); the reason is in the close frame.
``?after=<last id>`` then replays what was missed. What a client sends is not read.
"""

import asyncio
import logging

from fastapi import APIRouter, WebSocket
from fastapi.exceptions import WebSocketRequestValidationError
from fastapi.responses import Response
from starlette.websockets import WebSocketDisconnect

from services.kernel.access import identity_of
from services.kernel.database.pool import OUTAGE
from services.kernel.errors import BusyError
from services.kernel.http import Problem
from services.kernel.identity import TokenVerifier
from services.notifier.api.access import About, AccessToken, Position, viewer
from services.notifier.api.delivery import Gone, feed
from services.notifier.domain import Viewer
from services.notifier.hub import End, Hub
from services.notifier.views import Event

_logger = logging.getLogger(__name__)

CLOSE_CODES = {End.LAGGING: 1013, End.UNAVAILABLE: 1013, End.CLOSING: 1012, End.RENEW: 4000}
"""RFC 6455 and the IANA registry of WebSocket close codes; 4000 is private use."""
FAREWELL_SECONDS = 1.0


def web_socket(hub: Hub, verifier: TokenVerifier, stream_seconds: float) -> APIRouter:
    routes = APIRouter()

    @routes.websocket("/notifications/ws")
    async def notifications(
        socket: WebSocket,
        about: About = [],  # noqa: B006
        after: Position = None,
        access_token: AccessToken = None,
    ) -> None:
        try:
            reader = viewer(await identity_of(socket, verifier, access_token), about)
            async with hub.join(reader) as client:
                await socket.accept()
                reason = await feed(
                    hub, client, after, _SocketWire(socket, reader), lambda: _watch(socket), stream_seconds
                )
                await _farewell(socket, reason)
        except Problem as problem:
            await socket.send_denial_response(problem.response())
        except BusyError as busy:
            await _deny(socket, "streams-taken", str(busy), busy.retry_after or 1)
        except OUTAGE as outage:
            _logger.warning("a socket is refused: %s", outage, extra={"action": "stream.unavailable"})
            await _deny(socket, "unavailable", "the database is out of reach", 1)

    return routes


async def refuse_socket(socket: WebSocket, error: Exception) -> Response | None:
    """Exception handler: parameters that are not valid, told as problem+json before the handshake."""
    assert isinstance(error, WebSocketRequestValidationError)  # noqa: S101 - the framework routes by type
    errors = [{"field": ".".join(str(part) for part in e["loc"][1:]), "message": e["msg"]} for e in error.errors()]
    await socket.send_denial_response(
        Problem(422, "invalid-request", "The request is not valid", errors=errors).response()
    )
    return None


async def _deny(socket: WebSocket, code: str, detail: str, retry_after: float) -> None:
    problem = Problem(503, code, "Try again later", detail, headers={"Retry-After": str(round(retry_after))})
    await socket.send_denial_response(problem.response())


async def _watch(socket: WebSocket) -> None:
    """Returns when the client has gone."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _farewell(socket: WebSocket, reason: End | None) -> None:
    if reason is None:
        return
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            await socket.close(CLOSE_CODES[reason], reason)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        return  # it has left, or reads nothing any more


class _SocketWire:
    def __init__(self, socket: WebSocket, viewer: Viewer) -> None:
        self._socket = socket
        self._viewer = viewer

    async def ready(self, position: int) -> None:
        await self._write(f'{{"event":"ready","position":{position}}}')

    async def notify(self, event: Event) -> None:
        await self._write(f'{{"event":"notification","id":{event.sequence},"data":{event.json(self._viewer)}}}')

    async def _write(self, text: str) -> None:
        try:
            await self._socket.send_text(text)
        except WebSocketDisconnect as error:
            raise Gone from error
