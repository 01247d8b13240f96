"""`intercom-mirror verify` with all processes of `up`, while objects change in the emulated Intercom."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.processes.test_up import Place, wait_until


class RunningInstallation(Place):
    """An installation in which `up` runs."""

    def verify(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Run the command with --json; returns its exit code and what it printed."""
        done = self.run("verify", "--json", "--patience", "1", *options)
        return done.returncode, json.loads(done.stdout) if done.stdout else {"said": done.stderr}

    def control(self, **wanted: float) -> None:
        """Change the settings of the emulated Intercom."""
        requests.post(f"http://127.0.0.1:{self.emulator_port}/control", json=wanted, timeout=10).raise_for_status()

    def sql(self, statement: str) -> list[Any]:
        """Run an SQL statement in the mirror's database."""
        with closing(sqlite3.connect(self.directory / "var/mirror.db", timeout=20)) as connection, connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunningInstallation]:
    """All processes run, and the backfill is done."""
    made = RunningInstallation(tmp_path)
    process = made.up()
    try:
        wait_until(lambda: '"state": "done"' in made.said(), "the backfill is done")
        yield made
    finally:
        process.terminate()
        process.wait(60)


def test_a_running_mirror_is_equal_and_damage_is_found_and_repaired(place: RunningInstallation) -> None:
    """Exit codes 0, 3 and 4; changes during a verification are not differences."""
    # A busy machine may take some seconds for what just changed.
    code, output = place.verify("--patience", "20")
    assert (code, output["result"], output["differences"]) == (0, "equal", [])
    [(chosen,), (gone,)] = place.sql("SELECT id FROM contacts WHERE NOT archived ORDER BY id LIMIT 2")
    place.control(rate=0)
    place.sql(f"UPDATE contacts SET name = 'wrong' WHERE id = '{chosen}'")  # noqa: S608 -- ours
    place.sql(f"DELETE FROM contacts WHERE id = '{gone}'")  # noqa: S608 -- ours
    code, output = place.verify()
    assert code == 3
    assert [(each["object_id"], each["kind"], each["fields"]) for each in output["differences"]] == [
        (chosen, "differing", ["name"]),
        (gone, "missing", []),
    ]
    assert place.verify("--repair")[0] == 0
    assert place.verify("--quick")[0] == 0
    assert place.sql("SELECT last_verify_result FROM sync_status WHERE object_type = 'tag'") != [(None,)]
    code, output = place.verify("--workspace", "nowhere1")
    assert code == 4
    assert "connect it again" in output["said"]
    said = place.run("verify", "--quick")
    assert "Sample only" in said.stdout
