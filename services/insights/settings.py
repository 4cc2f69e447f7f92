"""The insights service's settings; see ``IdentitySettings`` for those every service shares."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from services.insights.access import Policy
from services.kernel.identity import IdentitySettings


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no IANA time zone such as Asia/Seoul") from error
    return name


class InsightsSettings(IdentitySettings):
    dataset_bucket: str = "querycraft-datasets"
    """Holds models and reports under ``insights/``, and files to import under ``insights/imports/``."""
    cors_origins: tuple[str, ...] = ()
    staff_roles: tuple[str, ...] = ("staff",)
    """Roles of tokens that see every learner's data, besides administrators."""
    open_to_anonymous: bool = False
    """Whether callers without a token see every learner's data too: for a platform on one's own machine."""
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "Asia/Seoul"
    """In which hours of the day are counted; changing it calls for a rebuild."""
    worker_concurrency: int = Field(default=2, ge=1, le=16)
    """Jobs at once; each computes in a process of its own."""
    time_limit_seconds: float = Field(default=540.0, gt=0, le=3_600)
    """Nine minutes: a push must be answered within ten."""
    cached_answers: int = Field(default=10_000, ge=1)

    @property
    def policy(self) -> Policy:
        return Policy(frozenset(self.staff_roles), self.open_to_anonymous)
