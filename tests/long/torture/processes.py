"""The processes of the Procfile, each in a session of its own, restarted when they exit."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).parents[3]

# Seconds between checks whether a process has exited; also the delay of a restart.
POLL_SECONDS = 0.2
# Seconds that a process may take to stop after SIGTERM.
STOP_SECONDS = 30.0
# Seconds. Creating the tables takes one or two; a busy machine may need several times that.
_RELEASE_SECONDS = 60.0


def procfile() -> dict[str, str]:
    """Return the commands of the Procfile, by name."""
    lines = [line.partition(":") for line in (ROOT / "Procfile").read_text().splitlines()]
    return {name.strip(): command.strip() for name, colon, command in lines if colon and not name.startswith("#")}


def run_release(directory: Path, variables: dict[str, str]) -> None:
    """Run the release command of the Procfile, which creates the tables."""
    command = ["/bin/sh", "-c", procfile()["release"]]
    subprocess.run(command, env=variables, cwd=directory, check=True, timeout=_RELEASE_SECONDS)


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which the commands find this checkout, and no settings but these."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(ROOT), **variables}


class ManagedProcess:
    """One command; its output is appended to a file in the directory in which it runs."""

    def __init__(self, name: str, command: str, variables: Mapping[str, str], directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._command = command
        self._variables = dict(variables)
        self._directory = directory
        self._popen: subprocess.Popen[bytes] | None = None
        self.groups: list[int] = []

    def start(self) -> None:
        """Start it; does not wait."""
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {self._command}"],
                env=self._variables,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.groups.append(self._popen.pid)

    @property
    def pid(self) -> int:
        assert self._popen is not None
        return self._popen.pid

    def has_exited(self) -> bool:
        return self._popen is None or self._popen.poll() is not None

    def children(self) -> list[psutil.Process]:
        """Return its direct child processes, oldest first."""
        try:
            return sorted(psutil.Process(self.pid).children(), key=lambda child: child.pid)
        except psutil.NoSuchProcess:
            return []

    def send(self, number: int) -> None:
        """Send a signal to the process alone."""
        if not self.has_exited():
            os.kill(self.pid, number)

    def kill_group(self) -> None:
        """Kill it with all processes that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it with all processes that it started, and wait until it has exited."""
        self.kill_group()
        if self._popen is not None:
            self._popen.wait(STOP_SECONDS)

    def stop(self) -> float:
        """Send SIGTERM and wait; kills remaining processes. Returns the seconds that it took."""
        began = time.monotonic()
        self.send(signal.SIGTERM)
        try:
            if self._popen is not None:
                self._popen.wait(STOP_SECONDS)
        finally:
            for group in self.groups:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            if self._popen is not None:
                self._popen.wait(STOP_SECONDS)
        return time.monotonic() - began

    def orphaned_pids(self) -> list[int]:
        """Return the processes of earlier starts that still run although their main process has exited."""
        groups = {group for group in self.groups if group != self.pid or self.has_exited()}
        return [process.pid for process in psutil.process_iter() if _process_group(process) in groups]


def _process_group(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getpgid(process.pid)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None


class RestartingSupervisor:
    """
    Restarts processes that have exited, as an operator's supervisor would.

    `restarts`: the number by process name. `not_stopped`: the processes that took longer than STOP_SECONDS to stop.
    """

    def __init__(self, processes: Iterable[ManagedProcess]) -> None:
        self.processes = {process.name: process for process in processes}
        self.restarts: Counter[str] = Counter()
        self.not_stopped: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        for process in self.processes.values():
            process.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for process in self.processes.values():
            process.send(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.stop()
            except subprocess.TimeoutExpired:
                self.not_stopped.append(process.name)

    def _run(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            for process in self.processes.values():
                if process.has_exited():
                    self.restarts[process.name] += 1
                    process.start()
