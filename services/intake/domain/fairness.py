"""How many jobs may be out at once, and whose turn is next.

Turns: start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM 1996)
with every job costing 1. Per (worker, priority) a job's virtual time is its finish tag: one more than
the later of the queue's virtual time (the start tag of the job last released, one less than its finish)
and its user's last finish; jobs leave by priority, then virtual time. A user with a thousand waiting jobs
is thus one user, and a newcomer is next after at most one round. The statement in ``adapters.creation``
does this arithmetic set-wise; ``next_virtual_time`` is its reference.
"""

import math

RATE_MEMORY_SECONDS = 1.0


def next_virtual_time(queue: int, user_last: int) -> int:
    return max(queue, user_last) + 1


def moving_rate(rate: float, ended: int, elapsed: float) -> float:
    """Completions per second after ``ended`` more within ``elapsed`` seconds: an exponentially
    weighted mean that forgets over ``RATE_MEMORY_SECONDS``."""
    elapsed = max(elapsed, 1e-3)
    kept = math.exp(-elapsed / RATE_MEMORY_SECONDS)
    return rate * kept + (max(ended, 0) / elapsed) * (1.0 - kept)


def window(capacity: int, rate: float, seconds_ahead: float) -> int:
    """Jobs that may be released and not ended: slow jobs never pile up in the broker, where no
    priority can overtake them, while fast ones stream (Little's law: rate times time in flight)."""
    return capacity + math.ceil(rate * seconds_ahead)
