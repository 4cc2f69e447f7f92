"""Frames between the service and a worker: an 8-byte big-endian length, then that many bytes of JSON.

JSON and not pickle: a worker that hostile SQL took over must not be able to run code in the service by answering.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Final

HEADER_BYTES: Final = 8


class FrameTooLong(Exception):
    """The other side announced more bytes than the reader accepts."""


def encode(value: object) -> bytes:
    """``value`` as one frame. Raises TypeError or ValueError when it is not JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def decode(body: bytes) -> object:
    """The value of a frame's body. Raises ValueError for anything that is not JSON of sane depth."""
    try:
        decoded: object = json.loads(body.decode("utf-8", "surrogatepass"))
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    return decoded


async def read_frame(reader: asyncio.StreamReader, limit: int) -> bytes:
    """The body of the next frame. Raises FrameTooLong past ``limit`` bytes, IncompleteReadError at the end."""
    length = int.from_bytes(await reader.readexactly(HEADER_BYTES), "big")
    if length > limit:
        raise FrameTooLong(f"{length:,} bytes of {limit:,}")
    return await reader.readexactly(length)


def receive_frame(connection: socket.socket) -> bytes | None:
    """Blocking form for the worker's side; None when the service closed the connection."""
    header = _receive(connection, HEADER_BYTES)
    return None if header is None else _receive(connection, int.from_bytes(header, "big"))


def _receive(connection: socket.socket, length: int) -> bytes | None:
    buffer = bytearray(length)
    view = memoryview(buffer)
    received = 0
    while received < length:
        count = connection.recv_into(view[received:])
        if count == 0:
            return None
        received += count
    return bytes(buffer)
