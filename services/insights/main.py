"""Runs the insights service: python -m services.insights.main [rebuild]"""

import argparse
from collections.abc import Sequence

# The processes that compute jobs import this module too (as multiprocessing's spawn does),
# so what only the service needs is imported inside its functions.


async def _serve() -> None:
    from services.insights.bootstrap import build
    from services.insights.settings import InsightsSettings

    service = await build(InsightsSettings())
    await service.run()


async def _rebuild() -> None:
    from services.insights.bootstrap import rebuild
    from services.insights.settings import InsightsSettings

    print(f"{await rebuild(InsightsSettings())} learners rebuilt")


def main(arguments: Sequence[str] | None = None) -> None:
    import uvloop

    parser = argparse.ArgumentParser(description="Run the insights service, or rebuild its projection.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("rebuild", help="compute every learner and item anew from the graded answers")
    options = parser.parse_args(arguments)
    uvloop.run(_rebuild() if options.command == "rebuild" else _serve())


if __name__ == "__main__":
    main()
