"""Runs several commands as one: prefixes what they say, and stops all of them when one ends."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, NamedTuple

import click

# Seconds that a process gets to finish what it has in hand: a drain leaves after ten.
_GRACE_SECONDS = 20.0
_POLL_SECONDS = 0.1

_COLORS = ("cyan", "green", "yellow", "magenta", "blue")
_WIDTH = 8


class Command(NamedTuple):
    """A name for the prefix, and the command line."""

    name: str
    line: Sequence[str]


class Child:
    """
    A process in a session of its own, so that Ctrl-C reaches the supervisor alone.

    Args:
        command: what to run.
        environment: all of its variables.
        say: called with each line of its output, from a thread.
    """

    def __init__(self, command: Command, environment: Mapping[str, str], say: Callable[[str, str], None]) -> None:
        self.name = command.name
        self._process = subprocess.Popen(
            command.line,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout, say), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process, which leads a group of its descendants."""
        return self._process.pid

    def ended(self) -> int | None:
        """Return the exit code, minus the signal's number if one killed it; None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process, which stops its own children in order."""
        if self.ended() is None:
            self._process.terminate()

    def end(self, deadline: float) -> None:
        """Wait until `deadline` (seconds of time.monotonic), then kill what is left of the group."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            click.echo(f"{self.name} does not end; it is killed.", err=True)
        kill_group(self.pid)
        self._process.wait()
        self._reader.join(1.0)

    def _read(self, output: IO[bytes], say: Callable[[str, str], None]) -> None:
        with output:
            for line in output:
                say(self.name, line.decode(errors="replace").rstrip())


def kill_group(leader: int) -> None:
    """Kill a process group; nothing happens if all of it has ended."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


class Supervisor:
    """Children that live and end together; they are stopped in the order in which they were started."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.children: list[Child] = []
        self._environment = environment
        self._lock = threading.Lock()
        self._asked: list[int] = []

    def start(self, command: Command) -> Child:
        """Start one more."""
        child = Child(command, self._environment, self._say)
        self.children.append(child)
        return child

    def ask_to_stop(self, signal_number: int, _frame: object = None) -> None:
        """Remember a signal; the second one stops waiting for anybody."""
        self._asked.append(signal_number)
        if len(self._asked) > 1:
            for child in self.children:
                kill_group(child.pid)

    @property
    def asked(self) -> bool:
        """Whether somebody asked to stop."""
        return bool(self._asked)

    def watch(
        self, also: Callable[[], str | None] = lambda: None, until: Callable[[], bool] = lambda: False
    ) -> str | None:
        """
        Wait until somebody asks to stop, one ends, or `until` is true.

        Args:
            also: looks at what is not a child of ours; returns the name of what has ended.
            until: what is waited for.

        Returns:
            A sentence on what ended by itself; None otherwise.
        """
        while not self.asked and not until():
            for child in self.children:
                if (code := child.ended()) is not None:
                    return f"{child.name} ended with {_meaning(code)}; everything is stopped."
            if ended := also():
                return f"{ended} ended; everything is stopped."
            time.sleep(_POLL_SECONDS)
        return None

    def stop(self) -> None:
        """Stop all, in order, within one span of grace."""
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in self.children:
            child.ask_to_end()
        for child in self.children:
            child.end(deadline)

    def _say(self, name: str, line: str) -> None:
        color = _COLORS[[child.name for child in self.children].index(name) % len(_COLORS)] if self.children else None
        # A terminal that was closed must not keep us from reading on: a full pipe would stop the child.
        with self._lock, contextlib.suppress(OSError):
            click.echo(f"{click.style(f'{name:<{_WIDTH}} |', fg=color)} {line}")


def _meaning(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
