"""Runs intake: python -m services.intake.main"""

import uvloop

from services.intake.bootstrap import build
from services.intake.settings import IntakeSettings


async def _run() -> None:
    service = await build(IntakeSettings())
    await service.run()


if __name__ == "__main__":
    uvloop.run(_run())
