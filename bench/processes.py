"""Starts and stops processes, and reads the CPU time and memory of whole process trees from `/proc`."""

import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Seconds for a process to end after SIGTERM; a Celery worker finishes its task first.
_GRACE_SECONDS = 15.0
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_MEBIBYTE_IN_KIB = 1024


@dataclass(frozen=True)
class Memory:
    """
    Memory of a process tree, in MiB.

    Attributes:
        total: the sum of the proportional set sizes: shared pages are counted once.
        largest: the resident set size of the largest process.
    """

    total: float
    largest: float


class Child:
    """A process in a session of its own, with its output in a file."""

    def __init__(self, command: str, environment: Mapping[str, str], directory: Path, name: str) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        with self.log.open("ab") as output:
            # The shell expands $PORT and other variables, as every Procfile runner does, and is then replaced.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The root of its process tree."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        return self._process.poll() is not None

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        """Send the signal, wait, then kill the remaining processes of its session."""
        if not self.has_ended():
            self._process.send_signal(signal_number)
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            _kill_session(self.pid)
            self._process.wait()
        _kill_session(self.pid)


def _kill_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def cpu_seconds(root: int) -> float:
    """Return the CPU time, user and system, of a process, all its descendants, and the ended ones it waited for."""
    stats = _read_stats()
    return sum(sum(stats[pid].ticks) for pid in _tree(root, stats)) / _TICKS_PER_SECOND


def busy_seconds() -> float:
    """Return the busy CPU time of all cores together, including time stolen by the hypervisor."""
    user, nice, system, _idle, _wait, *others = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(others)) / _TICKS_PER_SECOND


def memory(root: int) -> Memory:
    """Return the memory of a process and all its descendants."""
    rollups = [_rollup(pid) for pid in _tree(root, _read_stats())]
    return Memory(
        total=sum(rollup["Pss"] for rollup in rollups) / _MEBIBYTE_IN_KIB,
        largest=max(rollup["Rss"] for rollup in rollups) / _MEBIBYTE_IN_KIB,
    )


@dataclass(frozen=True)
class _Stat:
    parent: int
    ticks: tuple[int, int, int, int]


def _read_stats() -> dict[int, _Stat]:
    """Read `/proc/<pid>/stat` of every process."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The second field is the name in parentheses, which may itself contain spaces and parentheses.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # proc(5): ppid is field 4; utime, stime, cutime, cstime are fields 14 to 17; two were cut off.
        user, system, waited_user, waited_system = (int(field) for field in fields[11:15])
        stats[int(entry.name)] = _Stat(int(fields[1]), (user, system, waited_user, waited_system))
    return stats


def _tree(root: int, stats: Mapping[int, _Stat]) -> list[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for pid, stat in stats.items():
        children[stat.parent].append(pid)
    pids = [root] if root in stats else []
    for pid in pids:
        pids.extend(children[pid])
    return pids


def _rollup(pid: int) -> dict[str, int]:
    """Return Rss and Pss in KiB; zeros if the process has ended."""
    sizes = {"Rss": 0, "Pss": 0}
    try:
        lines = Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return sizes
    for line in lines:
        name, _, value = line.partition(":")
        if name in sizes:
            sizes[name] = int(value.split()[0])
    return sizes
