"""The tip of the day."""

from datetime import date, timedelta

from services.generator.offline.concepts import CONCEPTS
from services.generator.offline.tips import tip_of_the_day


def test_same_date_same_tip_and_no_repeat_within_a_round() -> None:
    start = date.fromordinal(len(CONCEPTS) * 13_000)
    tips = [tip_of_the_day(start + timedelta(days=i)) for i in range(len(CONCEPTS))]
    assert tips[3] == tip_of_the_day(start + timedelta(days=3))
    assert len({tip.tag for tip in tips}) == len(CONCEPTS)
    assert [t.tag for t in tips] != [
        tip_of_the_day(start + timedelta(days=i + len(CONCEPTS))).tag for i in range(len(CONCEPTS))
    ]
    assert all(tip.content.ko and tip.content.en and tip.category for tip in tips)
