"""One thing that is wrong, for the person who must put it right."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """``what`` is wrong, ``where`` (a path from the root, or a declaration), and the ``remedy``."""

    what: str
    where: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n    -> {self.remedy}"
