"""The children of an `up` that was killed: they keep running and hold the ports, so the next `up` stops them first."""

import contextlib
import fcntl
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import psutil

from cli.supervisor import kill_group

# Seconds that all leftover processes together get to finish their work.
_GRACE_SECONDS = 15.0
# Seconds. A process is the recorded one if it was created at the same time; /proc counts in hundredths of a second.
_CREATION_TOLERANCE_SECONDS = 0.5


@contextlib.contextmanager
def lock_directory(var_dir: Path) -> Iterator[None]:
    """
    Hold a lock for the duration of the block, so that only one `up` runs in a directory.

    Raises:
        click.ClickException: another one is running.
    """
    # The directory contains notification bodies and tables with personal data, so only its owner may read it.
    var_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (var_dir / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException("`intercom-mirror up` is already running in this directory.") from None
        yield


def record(var_dir: Path, pids: Iterable[int]) -> None:
    """Record the processes that must not outlive this one."""
    created = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            created[pid] = psutil.Process(pid).create_time()
    _file(var_dir).write_text(json.dumps(created))


def stop_leftovers(var_dir: Path) -> int:
    """Stop the processes that an earlier run recorded and left running; returns how many there were."""
    leftovers = [process for pid, created in _recorded(var_dir).items() if (process := _find(int(pid), created))]
    for process in leftovers:
        process.terminate()
    psutil.wait_procs(leftovers, timeout=_GRACE_SECONDS)
    for process in leftovers:
        kill_group(process.pid)
    forget(var_dir)
    return len(leftovers)


def forget(var_dir: Path) -> None:
    """Delete the record, because all processes have ended."""
    _file(var_dir).unlink(missing_ok=True)


def _recorded(var_dir: Path) -> dict[str, float]:
    try:
        created: dict[str, float] = json.loads(_file(var_dir).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return created


def _find(pid: int, created: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - created) < _CREATION_TOLERANCE_SECONDS else None
    except psutil.NoSuchProcess:
        return None


def _file(var_dir: Path) -> Path:
    return var_dir / "up.json"
