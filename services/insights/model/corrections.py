"""Item easiness between refits: every graded answer moves it, whatever the order of arrival.

A correction is two sums over an item's answers, of the residual and of the information, so that adding and
taking away answers commute. One Newton step from the fitted easiness turns them into a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.insights.model.state import Item


@dataclass(slots=True)
class Correction:
    gap: float = 0.0
    information: float = 0.0

    def add(self, residual: float) -> None:
        """``residual``: answer minus what the fitted easiness led to expect of this learner."""
        expected = 1 - residual if residual > 0 else -residual
        self.gap += residual
        self.information += expected * (1 - expected)


def corrected(item: Item, correction: Correction | None) -> Item:
    if correction is None or correction.information <= 0:
        return item
    variance = 1 / (1 / item.variance + correction.information)
    return replace(item, easiness=item.easiness + variance * correction.gap)
