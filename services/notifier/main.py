"""Runs the notifier: python -m services.notifier.main"""

import uvloop

from services.notifier.bootstrap import build
from services.notifier.settings import NotifierSettings


async def _run() -> None:
    service = await build(NotifierSettings())
    await service.run()


if __name__ == "__main__":
    uvloop.run(_run())
