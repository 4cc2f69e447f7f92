"""Runs the metadata service: python -m services.metadata.main [run-job JOB_ID]"""

import argparse
from collections.abc import Sequence

import uvloop

from services.kernel.jobs.launcher import RUN_JOB, run_one_job
from services.metadata.bootstrap import build
from services.metadata.settings import MetadataSettings


async def _serve() -> None:
    await (await build(MetadataSettings())).run()


async def _run_job(job_id: str) -> None:
    await run_one_job(await build(MetadataSettings(), launched=True), job_id)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Run the metadata service, or one long job of it.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser(RUN_JOB, help="run one job to its end").add_argument("job_id")
    options = parser.parse_args(arguments)
    uvloop.run(_run_job(options.job_id) if options.command == RUN_JOB else _serve())


if __name__ == "__main__":
    main()
