"""A composer with a script: tiny problems at once, and failures where a test wants them.

It runs in the same child process as the real one; what it sends obeys the same port.
"""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from contracts.problems import GradingDataSet, LocaleHints, LocaleText, Provenance
from services.generator.adapters.process import Send
from services.generator.domain import BaseSet, Chunk, NewProblem
from services.generator.ports import Composing, Start
from services.kernel.errors import PermanentError

DDL = ("CREATE TABLE members (id INTEGER PRIMARY KEY, country VARCHAR)",)
SECRET = "SELECT country, count(*) AS members FROM members GROUP BY country"


@dataclass(frozen=True)
class Script:
    """``die_before``, ``refuse_before``, ``hang_before``: chunk numbers. ``once``: a file; dying happens only until
    it exists. ``starts``: a file that gets one line per start: chunks, made, wanted."""

    chunk_size: int = 2
    die_before: int | None = None
    refuse_before: int | None = None
    hang_before: int | None = None
    drop: dict[str, int] = field(default_factory=dict)
    once: Path | None = None
    starts: Path | None = None
    pid: Path | None = None
    titles: str = "{seed}-{number}"


def compose(script: Script, start: Start, send: Send) -> None:
    if script.starts is not None:
        with script.starts.open("a") as file:
            file.write(f"{start.chunks} {start.made} {start.wanted}\n")
    if script.pid is not None:
        script.pid.write_text(str(os.getpid()))
    send(BaseSet("base", 2, {"members": b"PAR1 the same bytes every time PAR1"}))
    made, number = start.made, start.chunks
    while made < start.wanted:
        _misbehave(script, number)
        size = min(script.chunk_size, start.wanted - made)
        problems = tuple(_problem(start, script, made + offset) for offset in range(size))
        send(Chunk(number, tuple(p for p in problems if p.normalised_sql not in start.known), script.drop))
        made += size
        number += 1
        send(Composing("verifying", made / start.wanted))


def _misbehave(script: Script, number: int) -> None:
    if number == script.refuse_before:
        raise PermanentError("the model's quota of the day is spent", code="quota_spent")
    if number == script.hang_before:
        time.sleep(60)
    if number == script.die_before and (script.once is None or not script.once.exists()):
        if script.once is not None:
            script.once.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _problem(start: Start, script: Script, number: int) -> NewProblem:
    title = script.titles.format(seed=start.seed, number=number)
    sql = f"{SECRET} HAVING count(*) > {number} AND {start.seed} > 0"
    return NewProblem(
        difficulty="easy",
        title=LocaleText(ko=f"문제 {title}", en=f"Problem {title}"),
        description=LocaleText(ko="나라별 회원 수", en="Members per country"),
        initial_sql="SELECT\nFROM members",
        expected_answer={"columns": ["country", "members"], "rows": [["KR", 2]]},
        hints=LocaleHints(ko=["묶으세요"], en=["Group the rows"]),
        tags=("group-by",),
        ddl=DDL,
        reference_sql=sql,
        normalised_sql=f"{start.seed}:{number}",
        ordered=False,
        small_sets=(
            GradingDataSet(
                name="small-0", kind="small", row_count=1, inline='{"members": [{"id": 1, "country": null}]}'
            ),
        ),
        mutants={"made": 3, "killed": 3, "equivalent": 0},
        provenance=Provenance(source="offline", seed=start.seed),
    )
