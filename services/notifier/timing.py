"""When a mail or a grouped post leaves: storms become digests, nights stay quiet. Pure.

Those of one group (a receiver, a type, critical or not) leave at least ``window`` apart. The first one
leaves at once; whatever comes before the next may leave waits for it and shares it. In quiet hours nothing
leaves but what is critical; the rest leaves when they end.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``start`` to before ``end`` on the clocks of ``zone``, every day, over midnight when ``end`` is earlier.

    Raises:
        ValueError: both are the same moment, which would mean never or always.
    """

    start: time
    end: time
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise ValueError("quiet hours begin and end at the same time")

    def cover(self, moment: datetime) -> bool:
        clock = moment.astimezone(self.zone).time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end

    def defer(self, moment: datetime) -> datetime:
        """``moment``, or when the quiet hours around it end, in UTC."""
        if not self.cover(moment):
            return moment.astimezone(UTC)
        local = moment.astimezone(self.zone)
        day = local.date() if local.time() < self.end else local.date() + timedelta(days=1)
        ends = datetime.combine(day, self.end, self.zone).astimezone(UTC)
        # Clocks that are set back show quiet times again after the end, and an end they skip comes later.
        while ends <= moment or self.cover(ends):
            ends += timedelta(minutes=1)
        return ends


def leaves_at(
    now: datetime, planned: datetime | None, window: timedelta, quiet: QuietHours | None, *, critical: bool
) -> datetime:
    """When something that is to be told ``now`` leaves, in UTC.

    ``planned``: when the group's newest digest leaves or left, None before the first.
    """
    if planned is not None and planned >= now:
        moment = planned
    elif planned is not None and planned + window > now:
        moment = planned + window
    else:
        moment = now
    if quiet is None or critical:
        return moment.astimezone(UTC)
    return quiet.defer(moment)
