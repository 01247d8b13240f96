"""Runs the load generator as a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO

from bench.bodies import Plan
from bench.contenders import ROOT, WEBHOOK_PATH
from bench.generator import Outcome

# 16 keep-alive connections, as the goal is stated.
CONNECTIONS = 16


class Load:
    """A generator that has signed everything and waits."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def start(self) -> Outcome:
        """
        Send everything, and return what was seen once the last answer has come.

        Raises:
            RuntimeError: the generator gave up; it has said why on stderr.
        """
        answer = self.exchange("go")
        if not answer:
            raise RuntimeError("The load generator ended without a result.")
        return Outcome(**json.loads(answer))

    def exchange(self, line: str) -> str:
        """Send one line, return the line that comes back; empty if the generator has ended."""
        self._stdin.write(line + "\n")
        self._stdin.flush()
        return self._stdout.readline()


@contextmanager
def load(plan: Plan, address: tuple[str, int]) -> Iterator[Load]:
    """Start a generator and let it make all its requests, which takes it some tenths of a second."""
    job = {"address": address, "path": WEBHOOK_PATH, "connections": CONNECTIONS, "plan": asdict(plan)}
    command = [sys.executable, "-m", "bench.generator"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("The generator has no pipes.")
        waiting = Load(process.stdin, process.stdout)
        if not waiting.exchange(json.dumps(job)):
            raise RuntimeError("The load generator could not make its requests.")
        yield waiting
