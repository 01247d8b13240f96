"""The conditions that a torture run must meet, and a report of its measurements."""

from collections.abc import Iterator
from statistics import median

from tests.long.torture.processes import STOP_SECONDS
from tests.long.torture.run import RECOVERY_SECONDS, TortureResult

# Seconds without a response of /healthz, or without progress of an inbox that is not empty.
MAX_STALL_SECONDS = 30.0
# MiB of resident memory of a worker process.
MAX_WORKER_MIB = 150.0
# MiB by which the median of the last third of a run may exceed that of the second third. In a run shorter than
# MIN_GROWTH_SECONDS, in which a process was just started, the comparison means nothing.
MAX_GROWTH_MIB = 15.0
MIN_GROWTH_SECONDS = 120.0
# Permitted responses; 0 stands for no response, which is the result of a killed process.
PERMITTED_RESPONSES = {200, 503, 0}
# While only the database is unavailable, senders must not notice.
PERMITTED_IN_OUTAGE = {200}
# Differences that a message lists; more of them explain no more.
_MAX_LISTED = 20


def failures_in(result: TortureResult) -> list[str]:
    """Return the conditions that a run did not meet, a sentence each."""
    return [
        *_failures_of_notifications(result),
        *_failures_of_tables(result),
        *_failures_of_recovery(result),
        *_failures_of_processes(result),
        *result.leaks,
    ]


def _failures_of_notifications(result: TortureResult) -> Iterator[str]:
    stored = result.stored
    assert stored is not None
    if missing := result.acknowledged - stored.applied - stored.parked.keys():
        yield f"{len(missing)} acknowledged notifications are neither applied nor parked: {sorted(missing)[:5]}"
    if stored.parked:
        yield f"{len(stored.parked)} notifications were parked: {sorted(set(stored.parked.values()))}"
    if stored.repeated_changes:
        yield f"{stored.repeated_changes} change rows report the same change twice"
    permitted = PERMITTED_IN_OUTAGE if "outage" in result.injected else PERMITTED_RESPONSES
    if unexpected := result.responses.keys() - permitted:
        yield f"the webhook address responded with {sorted(unexpected)}"


def _failures_of_tables(result: TortureResult) -> Iterator[str]:
    if result.dirty:
        yield f"{result.dirty} objects stay dirty"
    for when, differences in (("", result.differences), (" after a reconcile", result.differences_reconciled)):
        if differences:
            listed = differences[:_MAX_LISTED]
            yield f"{len(differences)} differences between tables and workspace{when}: {listed}"


def _failures_of_recovery(result: TortureResult) -> Iterator[str]:
    if result.recovery is None:
        yield f"the inbox did not become empty; entries and pending entries: {result.inbox_left}"
    elif result.recovery > RECOVERY_SECONDS:
        yield f"the inbox became empty only after {result.recovery:.1f} s"
    if not result.beat_works:
        yield "beat does not send the doorbell any more"
    if result.unconsumed_queues:
        yield f"no worker consumes the queues {result.unconsumed_queues}"
    if result.unfinished_runs:
        yield f"backfills and reconciles are not done: {result.unfinished_runs}"


def _failures_of_processes(result: TortureResult) -> Iterator[str]:
    if result.injected.total() != result.planned_faults:
        yield f"only {result.injected.total()} of {result.planned_faults} faults were injected"
    if result.not_stopped:
        yield f"these processes did not stop within {STOP_SECONDS:.0f} s of SIGTERM: {result.not_stopped}"
    if result.web_outage > MAX_STALL_SECONDS:
        yield f"/healthz did not respond for {result.web_outage:.1f} s"
    if result.inbox_stall > MAX_STALL_SECONDS and "outage" not in result.injected:
        yield f"the inbox stalled for {result.inbox_stall:.1f} s"
    if result.orphans:
        yield f"processes outlived their main process: {result.orphans}"
    for name, sizes in result.memory.items():
        if name.startswith("worker") and max(sizes) > MAX_WORKER_MIB:
            yield f"{name} used {max(sizes):.0f} MiB"
        if result.seconds > MIN_GROWTH_SECONDS and growth_of(sizes) > MAX_GROWTH_MIB:
            yield f"{name} grew by {growth_of(sizes):.0f} MiB"


def growth_of(sizes: list[float]) -> float:
    """Return by how much the median of the last third exceeds that of the second, in MiB."""
    third = len(sizes) // 3
    return median(sizes[-third:]) - median(sizes[third : 2 * third]) if third else 0.0


def report(result: TortureResult) -> str:
    """Return the measurements, a line each."""
    stored = result.stored
    assert stored is not None
    lost = result.acknowledged - stored.applied - stored.parked.keys()
    lines = {
        "notifications sent": result.sent,
        "acknowledged": len(result.acknowledged),
        "acknowledged and lost": len(lost),
        "parked": len(stored.parked),
        "never acknowledged": len(result.dropped),
        "posts by response": _counts(result.responses),
        "slowest post": f"{result.slowest:.2f} s, {result.late} without a response in five seconds",
        "ledger": _counts(stored.outcomes),
        "duplicates, without effect": result.duplicates,
        "faults": f"{result.injected.total()}: {_counts(result.injected)}",
        "backfills and reconciles": _counts(result.finished_runs),
        "restarts by the supervisor": _counts(result.restarts),
        "deepest inbox": result.deepest,
        "inbox empty after": "never" if result.recovery is None else f"{result.recovery:.1f} s",
        "longest outage of /healthz": f"{result.web_outage:.1f} s",
        "longest stall of the inbox": f"{result.inbox_stall:.1f} s",
        "longest wait of an entry": f"{result.oldest:.1f} s",
        "dirty after the worker's own refetches": result.dirty_after_wait,
        "memory (largest, growth, MiB)": _memory(result.memory),
        "duration": f"{result.seconds:.0f} s",
    }
    return "\n".join(f"{name + ':':45}{value}" for name, value in lines.items())


def _counts(counter: object) -> str:
    assert isinstance(counter, dict)
    return ", ".join(f"{name} {amount}" for name, amount in sorted(counter.items(), key=str)) or "none"


def _memory(memory: dict[str, list[float]]) -> str:
    return ", ".join(f"{name} {max(sizes):.0f} {growth_of(sizes):+.0f}" for name, sizes in sorted(memory.items()))
