"""Runs the grader: python -m services.grader.main"""

import uvloop

from services.grader.bootstrap import build
from services.grader.settings import GraderSettings


async def _run() -> None:
    service = await build(GraderSettings())
    await service.run()


if __name__ == "__main__":
    uvloop.run(_run())
