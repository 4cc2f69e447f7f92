"""Who may know what of whom: learners their own data, staff and administrators everybody's. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.kernel.errors import PermanentError
from services.kernel.identity import ADMIN


class NotAllowed(PermanentError):
    """The caller may not know or do this; the message says who may."""

    code = "not_allowed"


@dataclass(frozen=True, slots=True)
class Reader:
    """``user_id`` None is anonymous. ``sees_all``: everybody's data; ``manages``: imports and refits."""

    user_id: str | None
    sees_all: bool
    manages: bool

    def must_see(self, students: Iterable[str]) -> None:
        """Raises NotAllowed: one of them is somebody else. A refusal does not tell whether they exist."""
        if not self.sees_all and any(student != self.user_id for student in students):
            raise NotAllowed("you may ask about yourself; only staff and administrators may ask about others")

    def must_manage(self) -> None:
        """Raises NotAllowed: no administrator."""
        if not self.manages:
            raise NotAllowed("only administrators may import history or refit the model")


@dataclass(frozen=True, slots=True)
class Policy:
    """``staff_roles``: see everybody's data. ``open_to_anonymous``: so does whoever has not signed in, for platforms
    on one's own machine."""

    staff_roles: frozenset[str]
    open_to_anonymous: bool

    def reader(self, user_id: str | None, roles: Iterable[str]) -> Reader:
        held = frozenset(roles)
        if user_id is None:
            return Reader(None, self.open_to_anonymous, manages=False)
        return Reader(user_id, ADMIN in held or bool(held & self.staff_roles), ADMIN in held)
