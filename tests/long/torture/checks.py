"""What a run must show, and a report of what it showed."""

from collections.abc import Iterator
from statistics import median

from tests.long.torture.processes import STOP_SECONDS
from tests.long.torture.run import RECOVERY_SECONDS, TortureResult

# Seconds without an answer of /healthz, or without progress of an inbox that is not empty.
LONGEST_HANG = 30.0
# MiB of resident memory that a worker's process may have.
LARGEST_WORKER = 150.0
# MiB that the median of the last third of a run may lie above that of the second third; in a short run, where a process
# was just started, that says nothing.
LARGEST_GROWTH = 15.0
SHORTEST_SECONDS = 120.0
# What may be answered; 0 stands for no answer, which is what a killed process gives.
ANSWERS = {200, 503, 0}
# While only the database is away nobody who sends should notice.
ANSWERS_IN_OUTAGE = {200}
# Differences that are shown; more of them say no more.
_SHOWN = 20


def failures_in(result: TortureResult) -> list[str]:
    """Return what is wrong, a sentence each."""
    return list(_wrong(result))


def _wrong(result: TortureResult) -> Iterator[str]:
    books = result.books
    assert books is not None
    if missing := result.acknowledged - books.applied - books.parked.keys():
        yield f"{len(missing)} acknowledged notifications are neither applied nor parked: {sorted(missing)[:5]}"
    if books.parked:
        yield f"{len(books.parked)} notifications were parked: {sorted(set(books.parked.values()))}"
    if books.repeated_changes:
        yield f"{books.repeated_changes} lines of the feed say twice what happened once"
    if result.recovery is None:
        yield f"the inbox was not emptied; entries and entries in hand: {result.left}"
    elif result.recovery > RECOVERY_SECONDS:
        yield f"the inbox was emptied only after {result.recovery:.1f} s"
    if strange := result.answers.keys() - (ANSWERS_IN_OUTAGE if "outage" in result.struck else ANSWERS):
        yield f"the webhook address answered {sorted(strange)}"
    yield from _wrong_tables(result)
    yield from _wrong_afterwards(result)
    yield from _wrong_processes(result)


def _wrong_tables(result: TortureResult) -> Iterator[str]:
    if result.doubtful:
        yield f"{result.doubtful} objects are in doubt for good"
    for what, found in (("", result.differences), (" after a reconcile", result.differences_reconciled)):
        if found:
            yield f"{len(found)} differences between tables and truth{what}: {found[:_SHOWN]}"


def _wrong_afterwards(result: TortureResult) -> Iterator[str]:
    if not result.beat_rings:
        yield "the beat does not ring any more"
    if result.deaf:
        yield f"nobody takes from the queues {result.deaf}"
    if result.not_stopped:
        yield f"told to stop, these did not within {STOP_SECONDS:.0f} s: {result.not_stopped}"
    if result.unfinished:
        yield f"fills and reconciles are not done: {result.unfinished}"


def _wrong_processes(result: TortureResult) -> Iterator[str]:
    if result.struck.total() != result.planned:
        yield f"only {result.struck.total()} of {result.planned} faults struck"
    if result.silence > LONGEST_HANG:
        yield f"/healthz did not answer for {result.silence:.1f} s"
    if result.standstill > LONGEST_HANG and "outage" not in result.struck:
        yield f"the inbox stood still for {result.standstill:.1f} s"
    if result.orphans:
        yield f"processes outlived their main process: {result.orphans}"
    for name, sizes in result.memory.items():
        if name.startswith("worker") and max(sizes) > LARGEST_WORKER:
            yield f"{name} took {max(sizes):.0f} MiB"
        if result.seconds > SHORTEST_SECONDS and growth_of(sizes) > LARGEST_GROWTH:
            yield f"{name} grew by {growth_of(sizes):.0f} MiB"
    yield from result.secrets


def growth_of(sizes: list[float]) -> float:
    """Return by how much the last third lies above the second, in MiB."""
    third = len(sizes) // 3
    return median(sizes[-third:]) - median(sizes[third : 2 * third]) if third else 0.0


def report(result: TortureResult) -> str:
    """Write what was seen, a line each."""
    books = result.books
    assert books is not None
    lost = result.acknowledged - books.applied - books.parked.keys()
    lines = {
        "notifications told": result.told,
        "acknowledged": len(result.acknowledged),
        "acknowledged and lost": len(lost),
        "parked": len(books.parked),
        "never acknowledged": len(result.dropped),
        "posts by answer": _counted(result.answers),
        "slowest post": f"{result.slowest:.2f} s, {result.late} without an answer in five seconds",
        "ledger": _counted(books.outcomes),
        "applied twice, to no effect": result.duplicates,
        "faults": f"{result.struck.total()}: {_counted(result.struck)}",
        "fills and reconciles": _counted(result.synced),
        "restarts by the supervisor": _counted(result.restarts),
        "deepest inbox": result.deepest,
        "inbox empty after": "never" if result.recovery is None else f"{result.recovery:.1f} s",
        "longest silence of /healthz": f"{result.silence:.1f} s",
        "longest standstill of the inbox": f"{result.standstill:.1f} s",
        "longest wait of an entry": f"{result.oldest:.1f} s",
        "in doubt when the worker had had its time": result.doubtful_after_wait,
        "memory (largest, growth, MiB)": _memory(result.memory),
        "took": f"{result.seconds:.0f} s",
    }
    return "\n".join(f"{name + ':':45}{value}" for name, value in lines.items())


def _counted(counter: object) -> str:
    assert isinstance(counter, dict)
    return ", ".join(f"{name} {amount}" for name, amount in sorted(counter.items(), key=str)) or "none"


def _memory(memory: dict[str, list[float]]) -> str:
    return ", ".join(f"{name} {max(sizes):.0f} {growth_of(sizes):+.0f}" for name, sizes in sorted(memory.items()))
