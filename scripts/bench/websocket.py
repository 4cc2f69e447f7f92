"""A WebSocket client reduced to reading: a full one, a thousand times, would measure itself."""

import asyncio
import base64
import json
import os
from collections.abc import Callable
from typing import Any

OPEN_SECONDS = 30.0

OnText = Callable[[dict[str, Any]], None]


class Socket(asyncio.Protocol):
    """Calls ``on_text`` with each JSON message but the first, which makes it ``ready``."""

    def __init__(self, request: bytes, on_text: OnText) -> None:
        self._request = request
        self._on_text = on_text
        self._buffer = bytearray()
        self._open = False
        self.transport: asyncio.Transport | None = None
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection makes no other
        self.transport = transport
        transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(error or ConnectionError("the notifier closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.ready.set_exception(ConnectionError(head.decode()))
                return
            self._open = True
            self._buffer = bytearray(rest)
        while (frame := self._take()) is not None:
            self._hear(*frame)

    def _take(self) -> tuple[int, bytes] | None:
        """One whole unmasked frame (RFC 6455, section 5.2): its opcode and payload."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        start, size = 2, buffer[1] & 0x7F
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None
        payload = bytes(buffer[start : start + size])
        opcode = buffer[0] & 0x0F
        del buffer[: start + size]
        return opcode, payload

    def _hear(self, opcode: int, payload: bytes) -> None:
        if opcode == 0x9 and self.transport is not None:  # a ping wants its pong, masked with zeros
            self.transport.write(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        if opcode != 0x1:
            return
        message = json.loads(payload)
        if message["event"] == "ready":
            self.ready.set_result(None)
        else:
            self._on_text(message)


async def connect(port: int, path: str, token: str, on_text: OnText) -> Socket:
    """An open and ready socket. Raises ConnectionError, TimeoutError: the server would not have it."""
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()
    _, socket = await asyncio.get_running_loop().create_connection(lambda: Socket(request, on_text), "127.0.0.1", port)
    await asyncio.wait_for(socket.ready, OPEN_SECONDS)
    return socket
