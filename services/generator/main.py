"""Runs the generator: python -m services.generator.main [run-job JOB_ID]"""

import argparse
from collections.abc import Sequence

# The process that composes problems imports this module too (as multiprocessing's spawn does),
# so what only the service needs is imported inside its functions.


async def _serve() -> None:
    from services.generator.bootstrap import build
    from services.generator.settings import GeneratorSettings

    service = await build(GeneratorSettings())
    await service.run()


async def _run_job(job_id: str) -> None:
    from services.generator.bootstrap import build
    from services.generator.settings import GeneratorSettings
    from services.kernel.jobs.launcher import run_one_job

    await run_one_job(await build(GeneratorSettings(), launched=True), job_id)


def main(arguments: Sequence[str] | None = None) -> None:
    import uvloop

    from services.kernel.jobs.launcher import RUN_JOB

    parser = argparse.ArgumentParser(description="Run the generator, or one long job of it.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser(RUN_JOB, help="run one job to its end").add_argument("job_id")
    options = parser.parse_args(arguments)
    uvloop.run(_run_job(options.job_id) if options.command == RUN_JOB else _serve())


if __name__ == "__main__":
    main()
