"""Publishes ``schedule-due`` when a line of the cron table comes due: once per due time, by
whichever replica locks the line first."""

import logging

from contracts.jobs import ScheduleDue
from services.intake.adapters import schedules
from services.intake.domain.schedules import latest_due, next_due
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.loops import every

_logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0


class Clock:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Watch the table until cancelled."""
        await every(TICK_SECONDS, "clock", self.tick)

    async def tick(self) -> int:
        """Publish what has come due; how many.

        Raises:
            asyncpg.PostgresError, OSError: as the database says; nothing was published.
        """
        published = 0
        async with self._database.transaction() as unit:
            for due in await schedules.lock_due(unit.connection):
                published += await self._advance(unit, due)
        return published

    async def _advance(self, unit: UnitOfWork, due: schedules.Due) -> bool:
        schedule = due.schedule
        try:
            following = next_due(schedule.cron, schedule.timezone, due.now)
            due_at = None if schedule.next_due_at is None else latest_due(schedule, due.now)
        except ValueError:
            # Written past the API's checks: one broken line must not stop the others.
            _logger.exception("schedule cannot run", extra={"action": "clock.broken", "schedule": schedule.name})
            return False
        await schedules.advance(unit.connection, schedule.name, following)
        if due_at is None:
            return False
        unit.emit(
            ScheduleDue(schedule_name=schedule.name, due_at=due_at), message_id=f"{schedule.name}:{due_at.isoformat()}"
        )
        _logger.info(
            "schedule is due", extra={"action": "clock.due", "schedule": schedule.name, "due_at": due_at.isoformat()}
        )
        return True
