"""List, inspect, replay and discard dead letters of one service.

    python -m scripts.dead_letters list    --database-url URL [--subscription NAME] [--code CODE]
    python -m scripts.dead_letters show    --database-url URL ID
    python -m scripts.dead_letters replay  --database-url URL [--subscription NAME] [--code CODE] [ID ...]
    python -m scripts.dead_letters discard --database-url URL ID ...

The URL is the service's own (``QC_DATABASE_URL``). A replay is only asked for here: the service runs
it through the handler that failed, a few a second, and a message that already had its effect has no
second one however often it is replayed.
"""

import argparse
import asyncio
import json
import os
import sys

import asyncpg

from services.kernel.messaging import dead_letters
from services.kernel.messaging.dead_letters import DeadLetter

PAGE = 200


async def run(arguments: argparse.Namespace) -> int:
    pool = await asyncpg.create_pool(arguments.database_url, min_size=1, max_size=1)
    try:
        match arguments.action:
            case "list":
                return await _list(pool, arguments)
            case "show":
                return await _show(pool, arguments.ids)
            case "replay":
                return await _replay(pool, arguments)
            case _:
                return await _discard(pool, arguments.ids)
    finally:
        await pool.close()


async def _list(pool: asyncpg.Pool, arguments: argparse.Namespace) -> int:
    letters = await _matching(pool, arguments.subscription, arguments.code)
    for letter in letters:
        print(
            f"{letter.id:>8}  {letter.died_at:%Y-%m-%d %H:%M:%S}  {letter.subscription:<32} "
            f"{letter.error_code:<20} attempt {letter.attempt}  {letter.reason[:100]}"
        )
    print(f"{len(letters)} open dead letters", file=sys.stderr)
    return 0


async def _show(pool: asyncpg.Pool, ids: list[int]) -> int:
    found = {letter.id: letter for letter in await _matching(pool, "", "")}
    for number in ids:
        letter = found.get(number)
        if letter is None:
            print(f"no open dead letter {number}", file=sys.stderr)
            return 1
        print(json.dumps(_as_dict(letter), ensure_ascii=False, indent=2, default=str))
    return 0


async def _replay(pool: asyncpg.Pool, arguments: argparse.Namespace) -> int:
    ids = arguments.ids
    if not ids:
        if not (arguments.subscription or arguments.code):
            print("name ids, a --subscription or a --code: replaying everything is never meant", file=sys.stderr)
            return 2
        ids = [letter.id for letter in await _matching(pool, arguments.subscription, arguments.code)]
    asked = await dead_letters.request_replay(pool, ids)
    print(f"asked for {len(asked)} replays; {len(ids) - len(asked)} were closed or already asked for")
    return 0


async def _discard(pool: asyncpg.Pool, ids: list[int]) -> int:
    if not ids:
        print("name the ids to discard", file=sys.stderr)
        return 2
    await dead_letters.resolve(pool, ids)
    print(f"discarded {len(ids)}")
    return 0


async def _matching(pool: asyncpg.Pool, subscription: str, code: str) -> list[DeadLetter]:
    letters: list[DeadLetter] = []
    while True:
        after = letters[-1].id if letters else 0
        page = await dead_letters.listing(pool, subscription=subscription, code=code, after=after, limit=PAGE)
        letters.extend(page)
        if len(page) < PAGE:
            return letters


def _as_dict(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "subscription": letter.subscription,
        "handler": letter.handler,
        "error_code": letter.error_code,
        "reason": letter.reason,
        "attempt": letter.attempt,
        "died_at": letter.died_at,
        "replays": letter.replays,
        "attributes": dict(letter.envelope.attributes),
        "data": letter.envelope.data.decode("utf-8", "backslashreplace"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="List, inspect, replay and discard a service's dead letters.")
    parser.add_argument("action", choices=("list", "show", "replay", "discard"))
    parser.add_argument("ids", nargs="*", type=int)
    parser.add_argument("--database-url", default=os.environ.get("QC_DATABASE_URL"))
    parser.add_argument("--subscription", default="")
    parser.add_argument("--code", default="")
    arguments = parser.parse_args()
    if not arguments.database_url:
        parser.error("--database-url or QC_DATABASE_URL must name the service's database")
    return asyncio.run(run(arguments))


if __name__ == "__main__":
    sys.exit(main())
