"""Where a request is answered: in its own response, later by a job, or not at all."""

from dataclasses import dataclass

from services.intake.domain.complexity import Complexity
from services.intake.domain.preferences import Preference

SIMPLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Route:
    """``wait``: seconds the request waits for its job's end. ``may_queue``: what is not done by then
    goes on as a job; otherwise it is cancelled. ``refused``: there is no way to answer it now."""

    wait: float = 0.0
    may_queue: bool = True
    refused: bool = False


def route(complexity: Complexity, preference: Preference, *, queue: bool, by_complexity: bool) -> Route:
    """``queue`` and ``by_complexity`` are the operator's two flags; a client's own wish comes before the second."""
    if not queue:
        if not complexity.is_simple:
            return Route(refused=True)
        return Route(wait=float(preference.wait or SIMPLE_SECONDS), may_queue=False)
    if preference.wait is not None:
        return Route(wait=float(preference.wait))
    if by_complexity and complexity.is_simple and not preference.respond_async:
        return Route(wait=SIMPLE_SECONDS)
    return Route()
