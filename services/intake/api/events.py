"""Watching jobs: server-sent events for one, WebSockets for one or several."""

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Header, WebSocket, WebSocketDisconnect
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.message import json_text
from services.intake.adapters import log
from services.intake.adapters.log import Event
from services.intake.api.bodies import wrong_field
from services.intake.api.jobs import existing
from services.intake.api.views import event_view
from services.intake.domain.jobs import Job
from services.intake.door import Door
from services.kernel.problems import problems

MAX_SUBSCRIPTIONS = 100
NO_SUCH_JOB = 4404
"""WebSocket close code of our own, after HTTP's 404."""
_EVENT_ID = re.compile(r"^\d{1,9}$")


class WatchCommand(BaseModel):
    """What a client says on ``/api/ai/ws``. ``after``: the number of the last event it has seen."""

    model_config = ConfigDict(extra="forbid")

    subscribe: list[uuid.UUID] = Field(default_factory=list, max_length=MAX_SUBSCRIPTIONS)
    unsubscribe: list[uuid.UUID] = Field(default_factory=list, max_length=MAX_SUBSCRIPTIONS)
    after: int = Field(default=0, ge=0, le=999_999_999)


def router(door: Door) -> APIRouter:
    router = APIRouter(prefix="/api/ai", tags=["watching"])

    async def watched(job_id: uuid.UUID) -> Job:
        door.watch.require_room()
        return await existing(door, job_id)

    async def resume_after(last_event_id: Annotated[str | None, Header(max_length=20)] = None) -> int:
        if last_event_id is None or last_event_id == "":
            return 0
        if not _EVENT_ID.match(last_event_id):
            raise wrong_field("Last-Event-ID", "must be the id of an event of this job")
        return int(last_event_id)

    @router.get("/jobs/{job_id}/events", response_class=EventSourceResponse, responses=problems(404, 422, 503))
    async def job_events(
        job: Annotated[Job, Depends(watched)], after: Annotated[int, Depends(resume_after)]
    ) -> AsyncIterator[ServerSentEvent]:
        """The job's log from its beginning, or past `Last-Event-ID`, and then as it grows; ends with the job."""
        async with aclosing(_events_of(door, job.id, after)) as events:
            async for event in events:
                yield ServerSentEvent(raw_data=event_view(event), event=event.status, id=str(event.seq))

    @router.websocket("/jobs/{job_id}/ws")
    async def job_socket(socket: WebSocket, job_id: uuid.UUID, after: int = 0) -> None:
        """One JSON text per event; closes after the last one (1000), or with 4404 when there is no such job."""
        await socket.accept()
        if await door.read(job_id) is None:
            await socket.close(NO_SUCH_JOB, "there is no such job")
            return
        sending = asyncio.ensure_future(_forward(socket.send_text, door, job_id, after))
        listening = asyncio.ensure_future(_ignore(socket))
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
                await socket.close()
        except WebSocketDisconnect:
            return  # the client left while it was being told
        finally:
            sending.cancel()
            listening.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)

    @router.websocket("/ws")
    async def jobs_socket(socket: WebSocket) -> None:
        """Several jobs over one socket: send `{"subscribe": [ids], "after": 0}` or `{"unsubscribe": [ids]}`."""
        await socket.accept()
        await Switchboard(socket, door).run()

    return router


async def _events_of(door: Door, job_id: uuid.UUID, after: int) -> AsyncGenerator[Event, None]:
    pool = door.database.pool
    # A number from the future would wait for an event that never comes.
    after = min(max(0, after), await log.last_seq(pool, job_id))
    with door.watch.follow(job_id, after) as follower:
        job = await door.read(job_id)
        if job is not None and job.is_terminal:
            for event in await log.since(pool, {job_id: after}):
                yield event
            return
        async for event in follower:
            yield event


async def _forward(send: Callable[[str], Awaitable[None]], door: Door, job_id: uuid.UUID, after: int) -> None:
    async with aclosing(_events_of(door, job_id, after)) as events:
        async for event in events:
            await send(event_view(event))


async def _ignore(socket: WebSocket) -> None:
    """Until the client leaves; what it says means nothing here."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


class Switchboard:
    """One socket, many jobs: a task per subscription, one sender at a time."""

    def __init__(self, socket: WebSocket, door: Door) -> None:
        self._socket = socket
        self._door = door
        self._sending = asyncio.Lock()
        self._tasks: dict[uuid.UUID, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Serve until the client leaves."""
        try:
            while (message := await self._socket.receive())["type"] != "websocket.disconnect":
                await self._obey(message.get("text") or "")
        except WebSocketDisconnect:
            return
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _obey(self, text: str) -> None:
        try:
            command = WatchCommand.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            await self._refuse(".".join(map(str, first["loc"])) or "message", first["msg"])
            return
        for job_id in command.unsubscribe:
            if (task := self._tasks.pop(job_id, None)) is not None:
                task.cancel()
        for job_id in command.subscribe:
            await self._subscribe(job_id, command.after)

    async def _subscribe(self, job_id: uuid.UUID, after: int) -> None:
        self._tasks = {known: task for known, task in self._tasks.items() if not task.done()}
        if job_id in self._tasks:
            return
        if len(self._tasks) >= MAX_SUBSCRIPTIONS:
            await self._refuse("subscribe", f"one socket may watch at most {MAX_SUBSCRIPTIONS} jobs")
        elif await self._door.read(job_id) is None:
            await self._refuse("subscribe", f"no job has the id {job_id}")
        else:
            self._tasks[job_id] = asyncio.create_task(_forward(self._send, self._door, job_id, after))

    async def _refuse(self, field: str, message: str) -> None:
        await self._send(json_text({"error": {"field": field, "message": message}}))

    async def _send(self, text: str) -> None:
        async with self._sending:
            await self._socket.send_text(text)
