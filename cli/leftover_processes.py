"""What a killed `up` leaves behind: its children go on without it, hold the ports, and must end before the next run."""

import contextlib
import fcntl
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import psutil

from cli.supervisor import kill_group

# Seconds that left-over processes get together to finish what they have in hand.
_GRACE_SECONDS = 15.0
# A process is the one that was noted if it was made at the same time; the clock of /proc ticks in hundredths.
_SAME_SECONDS = 0.5


@contextlib.contextmanager
def only_one(var_dir: Path) -> Iterator[None]:
    """
    Hold the lock that makes `up` the only one of this directory.

    Raises:
        click.ClickException: another one runs.
    """
    # Bodies of notifications and the tables lie in it, and what they say of people is nobody else's.
    var_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (var_dir / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException("`intercom-mirror up` runs in this directory already.") from None
        yield


def note(var_dir: Path, pids: Iterable[int]) -> None:
    """Write down who must not outlive us."""
    born = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            born[pid] = psutil.Process(pid).create_time()
    _file(var_dir).write_text(json.dumps(born))


def end(var_dir: Path) -> int:
    """End what an earlier run noted and left running; returns how many there were."""
    found = [process for pid, born in _noted(var_dir).items() if (process := _same(int(pid), born))]
    for process in found:
        process.terminate()
    psutil.wait_procs(found, timeout=_GRACE_SECONDS)
    for process in found:
        kill_group(process.pid)
    forget(var_dir)
    return len(found)


def forget(var_dir: Path) -> None:
    """Nothing is left behind."""
    _file(var_dir).unlink(missing_ok=True)


def _noted(var_dir: Path) -> dict[str, float]:
    try:
        noted: dict[str, float] = json.loads(_file(var_dir).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return noted


def _same(pid: int, born: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - born) < _SAME_SECONDS else None
    except psutil.NoSuchProcess:
        return None


def _file(var_dir: Path) -> Path:
    return var_dir / "up.json"
