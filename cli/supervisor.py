"""Runs several commands together: prefixes their output, and stops all of them when one ends."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, NamedTuple

import click

# Seconds that all processes together get to finish their work: a drain ends after ten.
_GRACE_SECONDS = 20.0
_POLL_SECONDS = 0.1

_COLORS = ("cyan", "green", "yellow", "magenta", "blue")
_WIDTH = 8


class ProcessCommand(NamedTuple):
    """The prefix of its output, and the command line."""

    name: str
    line: Sequence[str]


class SupervisedProcess:
    """
    A process in a session of its own, so that Ctrl-C reaches only the supervisor.

    Args:
        command: what to run.
        environment: all of its variables.
        write: called from a thread with the name and each line of output.
    """

    def __init__(
        self, command: ProcessCommand, environment: Mapping[str, str], write: Callable[[str, str], None]
    ) -> None:
        self.name = command.name
        self._process = subprocess.Popen(
            command.line,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout, write), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of the group of its descendants."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Send SIGTERM to the process, which stops its own children."""
        if self.exit_code() is None:
            self._process.terminate()

    def wait_or_kill(self, deadline: float) -> None:
        """Wait until `deadline` (seconds of `time.monotonic`), then kill the rest of the group."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            click.echo(f"{self.name} does not stop and is killed.", err=True)
        kill_group(self.pid)
        self._process.wait()
        self._reader.join(1.0)

    def _read(self, output: IO[bytes], write: Callable[[str, str], None]) -> None:
        with output:
            for line in output:
                write(self.name, line.decode(errors="replace").rstrip())


def kill_group(leader: int) -> None:
    """Kill a process group; does nothing if all of it has ended."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


class Supervisor:
    """Children that run and stop together, in the order in which they were started."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.children: list[SupervisedProcess] = []
        self._environment = environment
        self._lock = threading.Lock()
        self._signals: list[int] = []

    def start(self, command: ProcessCommand) -> SupervisedProcess:
        """Start a child."""
        child = SupervisedProcess(command, self._environment, self._write)
        self.children.append(child)
        return child

    def request_stop(self, signal_number: int, _frame: object = None) -> None:
        """Handle a signal: the first requests a stop, the second kills all children."""
        self._signals.append(signal_number)
        if len(self._signals) > 1:
            for child in self.children:
                kill_group(child.pid)

    @property
    def stop_requested(self) -> bool:
        """Whether a signal was received."""
        return bool(self._signals)

    def watch(
        self, also: Callable[[], str | None] = lambda: None, until: Callable[[], bool] = lambda: False
    ) -> str | None:
        """
        Wait until a stop is requested, a child ends, or `until` is true.

        Args:
            also: checks a process that is not a child; returns its name if it has ended.
            until: the condition to wait for.

        Returns:
            A sentence about the process that ended by itself; None otherwise.
        """
        while not self.stop_requested and not until():
            for child in self.children:
                if (code := child.exit_code()) is not None:
                    return f"{child.name} ended with {_describe(code)}; everything is stopped."
            if ended := also():
                return f"{ended} ended; everything is stopped."
            time.sleep(_POLL_SECONDS)
        return None

    def stop(self) -> None:
        """Stop all children in order, within the time for all of them."""
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.wait_or_kill(deadline)

    def _write(self, name: str, line: str) -> None:
        color = _COLORS[[child.name for child in self.children].index(name) % len(_COLORS)] if self.children else None
        # Reading must continue even if the terminal was closed: a full pipe would block the child.
        with self._lock, contextlib.suppress(OSError):
            click.echo(f"{click.style(f'{name:<{_WIDTH}} |', fg=color)} {line}")


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
