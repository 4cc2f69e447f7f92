"""How a benchmark sums up many measurements."""

import statistics
from collections.abc import Sequence


def percentiles(values: Sequence[float], shares: Sequence[int] = (50, 95, 99), unit: str = "") -> dict[str, float]:
    """``{"p50": ..., ...}`` with ``unit`` behind each name, to a tenth; interpolated between the values themselves.

    Raises:
        statistics.StatisticsError: there are fewer than two values.
    """
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {f"p{share}{unit}": round(cuts[share - 1], 1) for share in shares}
