"""The sandbox as the assistant's jobs use it: failures become messages that the job's client can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.kernel.errors import TransientError
from services.kernel.jobs.context import JobFailedError
from services.kernel.sql.diagnose import explain
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed, WorkerDied
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.pool import SandboxPool

TASKS: Final[Mapping[str, str]] = {
    "query": "services.kernel.sql.sandbox.query:run_query",
    "optimize": "services.assistant.optimization.sandbox_task:optimize",
}
_QUERYS_FAULT: Final = frozenset({"refused", "database"})


class Sandboxed:
    def __init__(self, pool: SandboxPool) -> None:
        self._pool = pool

    async def run(
        self, task: str, payload: dict[str, Any], limits: Limits, sql: str, ddl: Sequence[str]
    ) -> dict[str, Any]:
        """The task's result.

        Raises:
            JobFailedError: the query is at fault; the message says where and what to do, in both languages.
            TransientError: the sandbox is full, or the machine too busy.
        """
        try:
            result: dict[str, Any] = await self._pool.call(task, payload, limits)
        except LimitExceeded as error:
            if error.kind == "wall":
                raise TransientError("the sandbox is overloaded; the job is tried again", code="busy") from None
            raise _told(error, sql, ddl) from None
        except WorkerDied as error:
            raise _told(error, sql, ddl) from None
        except TaskFailed as error:
            if error.code in _QUERYS_FAULT:
                raise _told(error, sql, ddl) from None
            if error.code == "unknown_dataset":
                raise TransientError(str(error), code=error.code) from None
            raise JobFailedError(str(error), code=error.code) from None
        return result


def _told(error: LimitExceeded | WorkerDied | TaskFailed, sql: str, ddl: Sequence[str]) -> JobFailedError:
    from services.kernel.sql.schema import Schema

    explanation = explain(error, sql, Schema.from_ddl(list(ddl)))
    place = explanation.marked(sql)
    said = f"sql: {explanation.message_en} {explanation.hint_en} / {explanation.message_ko} {explanation.hint_ko}"
    return JobFailedError(f"{said}\n{place}" if place else said, code=error.code)
