"""The script a person uses on dead letters, against a real database."""

import subprocess
import sys

import pytest

from contracts.alerts import AlertRaised
from services.kernel.database.unit_of_work import Database
from services.kernel.messaging import dead_letters
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.envelope import Envelope


async def bury(database: Database, message_id: str, code: str = "permanent") -> int:
    envelope = Envelope(AlertRaised.topic(), {"ce-id": message_id, "ce-source": "/querycraft/x"}, "사유".encode())
    async with database.transaction() as unit:
        return await dead_letters.bury(
            unit.connection, "probe.alert-raised.v1", Delivery(envelope, 3), code=code, reason="a bug", handler="handle"
        )


def script(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.dead_letters", *arguments, "--database-url", url]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


async def test_list_show_replay_and_discard(database: Database, database_url: str) -> None:
    first, second = await bury(database, "a"), await bury(database, "b", "malformed_message")

    listed = script(database_url, "list").stdout
    assert "probe.alert-raised.v1" in listed
    assert len(listed.splitlines()) == 2
    assert len(script(database_url, "list", "--code", "malformed_message").stdout.splitlines()) == 1

    shown = script(database_url, "show", str(first)).stdout
    assert "사유" in shown
    assert '"attempt": 3' in shown

    assert "asked for 1 replays" in script(database_url, "replay", "--code", "permanent").stdout
    assert "asked for 0 replays" in script(database_url, "replay", str(first)).stdout
    assert "discarded 1" in script(database_url, "discard", str(second)).stdout
    assert [letter.id for letter in await dead_letters.listing(database.pool)] == [first]


@pytest.mark.parametrize(("arguments", "code"), [(("replay",), 2), (("discard",), 2), (("show", "999"), 1)])
async def test_what_is_not_meant_is_refused(database_url: str, arguments: tuple[str, ...], code: int) -> None:
    refused = script(database_url, *arguments)
    assert refused.returncode == code
    assert refused.stderr
