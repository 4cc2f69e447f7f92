"""How long to wait before trying again."""

import random


def delay(attempt: int, shortest: float, longest: float) -> float:
    """Seconds to wait after the ``attempt``-th failure (from 1): exponential, with jitter over its upper half.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (equal jitter).
    """
    ceiling = min(longest, shortest * 2.0 ** min(attempt - 1, 32))
    return ceiling / 2 + random.uniform(0, ceiling / 2)
