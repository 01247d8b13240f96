"""A short slice of `make torture`: the same checks, a few seconds of every sort of fault."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.long.torture.checks import failures_in, report
from tests.long.torture.run import TorturePlan, outage_plan, run

# Another seed is another order of the same faults; `python -m tests.long.torture` draws one for each run.
SEED = 20

# One of each sort, and none that takes much longer than the others.
KINDS = (
    "kill worker",
    "kill pool child",
    "kill web's child",
    "kill Valkey",
    "crash PostgreSQL",
    "destroy group",
    "lose doorbell",
    "reset worker-valkey",
    "reset worker-sql",
    "silence web-valkey",
)


FAULTS = TorturePlan(
    notifications=320, faults=len(KINDS), seed=SEED, database="postgres", rate=40, contacts=30, only=KINDS
)
OUTAGE = outage_plan(2, replace(FAULTS, database="sqlite"))


@pytest.mark.parametrize("plan", [pytest.param(FAULTS, id="faults"), pytest.param(OUTAGE, id="outage")])
def test_nothing_acknowledged_is_lost_and_the_tables_equal_the_workspace(plan: TorturePlan, tmp_path: Path) -> None:
    """Processes are killed, connections are cut, and servers become unavailable; all checks pass at the end."""
    result = run(plan, tmp_path, print)
    print(report(result))  # noqa: T201 -- pytest shows it when the test fails
    assert failures_in(result) == []
