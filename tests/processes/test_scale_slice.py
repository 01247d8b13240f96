"""A short slice of `make scale`: real processes fill a mirror, are killed, lose notifications, and end in the truth."""

from pathlib import Path

from tests.ports import free_port
from tests.scale.run import Options, run

# Another seed is another workspace.
SEED = 11

SLICE = Options(contacts=900, companies=150, links=30, latency_ms=80, error_rate=0.02, rate_limit=10_000, rate=5.0,
                loss=0.3, kills=1, seed=SEED, database="sqlite", patience=120.0)  # fmt: skip


def test_a_fill_through_kills_and_losses_ends_in_the_truth(tmp_path: Path) -> None:
    """Every row and every link is as in the workspace after one complete reconcile."""
    result = run(SLICE, tmp_path, free_port(), print)
    assert result.differences == []
    assert result.killed == SLICE.kills
