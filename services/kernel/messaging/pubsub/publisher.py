"""Publishing in batches, without ever blocking the event loop."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.api_core.retry import Retry, if_exception_type
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherClient as RawClient
from google.pubsub_v1.types import PubsubMessage

from services.kernel.messaging.envelope import Envelope
from services.kernel.messaging.limits import own_attributes
from services.kernel.messaging.pubsub.failures import OUTAGE, REFUSED, outcome

_BATCH = pubsub_v1.types.BatchSettings(max_messages=500, max_bytes=5_000_000, max_latency=0.005)
_FLOW = pubsub_v1.types.PublishFlowControl(
    message_limit=5_000,
    byte_limit=50_000_000,
    limit_exceeded_behavior=pubsub_v1.types.LimitExceededBehavior.BLOCK,
)
_FIRST_RETRY, _LONGEST_RETRY = 0.1, 5.0
_ATTEMPTS_PER_TIMEOUT = 3
"""One attempt may take a third of the whole, so that a hanging connection is tried again."""


class Publisher:
    """``timeout``: seconds within which every message has an outcome."""

    def __init__(self, project: str, timeout: float) -> None:
        self._project = project
        self._timeout = timeout
        self._retry = Retry(
            predicate=if_exception_type(*OUTAGE), initial=_FIRST_RETRY, maximum=_LONGEST_RETRY, timeout=timeout
        )
        # Flow control blocks the caller; one thread keeps that away from the loop and calls in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pubsub-publish")
        self._unordered = pubsub_v1.PublisherClient(
            batch_settings=_BATCH,
            publisher_options=pubsub_v1.types.PublisherOptions(
                flow_control=_FLOW, retry=self._retry, timeout=timeout / _ATTEMPTS_PER_TIMEOUT
            ),
        )
        # With ordering enabled the client retries for ever, messages without a key included; so this one
        # does not retry at all, and a failed key is resumed for the caller to try again.
        self._ordered = pubsub_v1.PublisherClient(
            batch_settings=_BATCH,
            publisher_options=pubsub_v1.types.PublisherOptions(
                enable_message_ordering=True, flow_control=_FLOW, retry=None, timeout=timeout
            ),
        )

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Exception | None]:
        """One outcome per envelope, in order."""
        loop = asyncio.get_running_loop()
        futures = await loop.run_in_executor(self._thread, self._submit, envelopes)
        await _all_done(futures)
        errors = [future.exception() for future in futures]
        await self._resume([envelope for envelope, error in zip(envelopes, errors, strict=True) if error is not None])
        outcomes = [outcome(error) for error in errors]
        refused = [position for position, error in enumerate(errors) if isinstance(error, REFUSED)]
        if len(envelopes) > 1:
            # The service refuses a batch as a whole: find out which of its messages it meant.
            for position in refused:
                outcomes[position] = await loop.run_in_executor(self._thread, self._alone, envelopes[position])
        return outcomes

    async def close(self) -> None:
        """Send what is waiting and end the threads."""
        loop = asyncio.get_running_loop()
        for client in (self._unordered, self._ordered):
            await loop.run_in_executor(self._thread, client.stop)
            client.transport.close()
        self._thread.shutdown(wait=False)

    def topic_path(self, topic: str) -> str:
        return f"projects/{self._project}/topics/{topic}"

    def _submit(self, envelopes: Sequence[Envelope]) -> list[Any]:
        return [
            self._client(envelope).publish(
                self.topic_path(envelope.topic),
                envelope.data,
                ordering_key=envelope.ordering_key,
                **own_attributes(envelope.attributes),
            )
            for envelope in envelopes
        ]

    def _alone(self, envelope: Envelope) -> Exception | None:
        message = PubsubMessage(
            data=envelope.data,
            attributes=own_attributes(envelope.attributes),
            ordering_key=envelope.ordering_key,
        )
        try:
            RawClient.publish(
                self._unordered,
                topic=self.topic_path(envelope.topic),
                messages=[message],
                retry=self._retry,
                timeout=self._timeout,
            )
        except Exception as error:
            return outcome(error)
        return None

    async def _resume(self, failed: Sequence[Envelope]) -> None:
        for topic, key in {(envelope.topic, envelope.ordering_key) for envelope in failed if envelope.ordering_key}:
            self._ordered.resume_publish(self.topic_path(topic), key)

    def _client(self, envelope: Envelope) -> Any:
        return self._ordered if envelope.ordering_key else self._unordered


async def _all_done(futures: Sequence[Any]) -> None:
    """Wait for all with one wake-up of the loop: there may be thousands, resolved on other threads."""
    if not futures:
        return
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()
    remaining = len(futures)
    lock = threading.Lock()

    def one_done(_future: Any) -> None:
        nonlocal remaining
        with lock:
            remaining -= 1
            last = remaining == 0
        if last:
            loop.call_soon_threadsafe(finished.set)

    for future in futures:
        future.add_done_callback(one_done)
    await finished.wait()
