"""Runs the assistant: python -m services.assistant.main"""

import uvloop

from services.assistant.bootstrap import build
from services.assistant.settings import AssistantSettings


async def _run() -> None:
    service = await build(AssistantSettings())
    await service.run()


if __name__ == "__main__":
    uvloop.run(_run())
