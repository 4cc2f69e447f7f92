"""Judge every stored submission of a problem again, and say which verdicts changed.

    python -m scripts.rejudge PROBLEM_ID

Run it after a problem's data sets were improved. It reads the grader's own settings (QC_DATABASE_URL and
the rest). Old verdicts stay as history; stopping it half way loses nothing. Exit code 0 also when verdicts
changed, 1 when an answer could not be judged or the problem is unknown.
"""

import argparse
import asyncio
import sys
from uuid import UUID

from services.grader.bootstrap import rejudging
from services.grader.domain import Judgement
from services.grader.rejudging import Rejudged, rejudge
from services.grader.settings import GraderSettings
from services.kernel.errors import QueryCraftError

_SHOWN = 70


async def _rejudge(problem_id: UUID) -> int:
    judged = changed = failed = 0
    async with rejudging(GraderSettings()) as grader:
        async for answer in rejudge(problem_id, grader.problems, grader.submissions, grader.judge):
            judged += answer.submissions
            failed += bool(answer.failure)
            if answer.changed:
                changed += answer.submissions
            if answer.changed or answer.failure:
                print(_line(answer))
    print(f"{judged} submissions judged again, {changed} have another verdict, {failed} answers could not be judged")
    return 1 if failed else 0


def _line(answer: Rejudged) -> str:
    sql = " ".join(answer.sql.split())
    shown = sql if len(sql) <= _SHOWN else sql[: _SHOWN - 3] + "..."
    if answer.failure:
        return f"not judged ({answer.failure}): {shown}"
    return f"{_word(answer.before)} -> {_word(answer.after)}, {answer.submissions} submissions: {shown}"


def _word(judgement: Judgement | None) -> str:
    if judgement is None:
        return "no verdict"
    kind = f" ({judgement.mistake_kind})" if judgement.mistake_kind else ""
    return f"{judgement.verdict}{kind}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Judge every stored submission of a problem again.")
    parser.add_argument("problem_id", type=UUID)
    options = parser.parse_args()
    try:
        return asyncio.run(_rejudge(options.problem_id))
    except QueryCraftError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
