"""Measures one run of one design: start its processes, warm them up, load them, probe them, stop them."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from bench import bodies, generator
from bench.bodies import Plan
from bench.contenders import ROOT, WEBHOOK_PATH, Contender
from bench.generator import Outcome
from bench.processes import Child, Memory, busy_seconds, cpu_seconds, memory
from bench.servers import Postgres, Valkey, free_port
from settings.units import MS_PER_SECOND

_CORES = os.cpu_count() or 1
# Seconds until all accepted notifications must be stored; the naive design needs about 20 for 5,000.
_DRAIN_TIMEOUT_SECONDS = 120.0
_START_SECONDS = 30.0
# The backlog in Valkey is polled at this interval, which bounds the error; each poll takes 30 us of CPU.
_BACKLOG_POLL_SECONDS = 0.003
# A probe polls the row by primary key at this interval, which bounds the error.
_PROBE_POLL_SECONDS = 0.0005
_PROBE_LIMIT_SECONDS = 30.0
# Seconds between two probes, in which all processes become idle: long compared to a commit, and random so as not to
# follow the rhythm of beat.
_PROBE_GAP_SECONDS = (0.05, 0.15)
# Seconds after the backlog is empty, so that the CPU time of the last commit is counted too.
_SETTLE_SECONDS = 0.1
# Notifications of the warm-up. It and the probes have contacts of their own, so that the contacts of the burst are new.
_WARM_UP = 500


# Keep-alive connections, as the goal specifies.
CONNECTIONS = 16


@dataclass(frozen=True)
class Burst:
    """
    The measurements of one burst.

    Attributes:
        accepted_per_second: 200s over the time from the first request to the last response.
        committed_per_second: 200s over the time from the first request to the last commit.
        latencies_ms: of every 200.
        cpu_ms: CPU milliseconds per notification by process, whole trees, from first request to last commit.
        memory: of every process, after the burst.
        generator_cpu_ms: of the load generator per notification; not part of the other figures.
        others_percent: share of all cores used by unrelated processes: a measure of disturbance.
    """

    accepted_per_second: float
    committed_per_second: float
    latencies_ms: list[float]
    cpu_ms: dict[str, float]
    memory: dict[str, Memory]
    generator_cpu_ms: float
    others_percent: float


class Load:
    """A load generator process that has signed all requests and waits for its start."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def start(self) -> Outcome:
        """
        Send all requests, and return the outcome after the last response.

        Raises:
            RuntimeError: the generator failed; the reason is on stderr.
        """
        result = self.exchange("go")
        if not result:
            raise RuntimeError("The load generator ended without a result.")
        return Outcome(**json.loads(result))

    def exchange(self, line: str) -> str:
        """Send a line and return the next line of the generator; empty if it has ended."""
        self._stdin.write(line + "\n")
        self._stdin.flush()
        return self._stdout.readline()


@contextmanager
def load(plan: Plan, address: tuple[str, int]) -> Iterator[Load]:
    """Start a generator and wait until it has made all requests, which takes some tenths of a second."""
    job = {"address": address, "path": WEBHOOK_PATH, "connections": CONNECTIONS, "plan": asdict(plan)}
    command = [sys.executable, "-m", "bench.generator"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("The load generator has no pipes.")
        ready = Load(process.stdin, process.stdout)
        if not ready.exchange(json.dumps(job)):
            raise RuntimeError("The load generator could not make its requests.")
        yield ready


class Session:
    """The running processes of one design."""

    def __init__(self, contender: Contender, postgres: Postgres, valkey: Valkey, directory: Path) -> None:
        self._contender = contender
        self._address = ("127.0.0.1", free_port())
        environment = contender.environment(self._address[1])
        self._children = [Child(command, environment, directory, name) for name, command in contender.commands.items()]
        self._roots = {child.name: child.pid for child in self._children}
        self._roots |= {"valkey": valkey.pid, "postgres": postgres.pid}
        self.sent = 0

    def wait_until_ready(self) -> None:
        """Wait until the first notification has been stored."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.post_one("ready", 0, int(time.time()))
                break
            except (ConnectionRefusedError, ConnectionResetError):
                if time.monotonic() > deadline:
                    raise
                self._check_children()
                time.sleep(0.05)
        self.wait_for_empty_backlog()

    def warm_up(self, first_second: int) -> None:
        """Send load without measuring, for imports, connections and prepared statements."""
        plan = Plan("warm-up", _WARM_UP, _WARM_UP // 5, _WARM_UP // 5, first_second, seed=first_second)
        with load(plan, self._address) as generator_process:
            self.sent += len(generator_process.start().latencies_ms)
        self.wait_for_empty_backlog()

    def burst(self, plan: Plan) -> Burst:
        """Send a plan and measure until its last commit."""
        with load(plan, self._address) as generator_process:
            before, busy_before = self._cpu(), busy_seconds()
            outcome, committed_at = generator_process.start(), self.wait_for_empty_backlog()
            time.sleep(_SETTLE_SECONDS)
            after, busy = self._cpu(), busy_seconds() - busy_before
        if outcome.refused:
            raise RuntimeError(f"{self._contender.name} refused notifications: {outcome.refused}.")
        accepted, used = len(outcome.latencies_ms), {name: after[name] - before[name] for name in before}
        self.sent += accepted
        elapsed = time.monotonic() - outcome.first_sent
        return Burst(
            accepted_per_second=accepted / (outcome.last_response - outcome.first_sent),
            committed_per_second=accepted / (committed_at - outcome.first_sent),
            latencies_ms=outcome.latencies_ms,
            cpu_ms={name: seconds * MS_PER_SECOND / accepted for name, seconds in used.items()},
            memory={name: memory(pid) for name, pid in self._roots.items()},
            generator_cpu_ms=outcome.cpu_seconds * MS_PER_SECOND / accepted,
            others_percent=100 * (busy - sum(used.values()) - outcome.cpu_seconds) / elapsed / _CORES,
        )

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._roots.items()}

    def idle_latencies(self, probes: int, first_second: int) -> list[float]:
        """Return the milliseconds from sending one notification to its contact's row being visible, `probes` times."""
        return [self._probe(number, first_second + number) for number in range(probes)]

    def _probe(self, number: int, second: int) -> float:
        time.sleep(random.uniform(*_PROBE_GAP_SECONDS))  # noqa: S311 -- a pause, not a secret
        contact = bodies.contact_id(number)
        started = self.post_one("probes", number, second)
        while self._contender.version_of("probes", contact) != second:
            if time.monotonic() - started > _PROBE_LIMIT_SECONDS:
                raise TimeoutError(f"{self._contender.name}: a probe's row did not appear.")
            time.sleep(_PROBE_POLL_SECONDS)
        return (time.monotonic() - started) * MS_PER_SECOND

    def post_one(self, workspace: str, number: int, second: int) -> float:
        """Send one notification about a contact; return when its first byte was sent."""
        return self.post(bodies.body(workspace, number, second, str(uuid.uuid4())))

    def post(self, content: bytes) -> float:
        """Send one notification; return when its first byte was sent."""
        request = bodies.request(content, WEBHOOK_PATH, f"{self._address[0]}:{self._address[1]}")
        outcome = generator.run(self._address, [request], connections=1)
        if outcome.refused:
            raise RuntimeError(f"{self._contender.name} refused a notification: {outcome.refused}.")
        self.sent += 1
        return outcome.first_sent

    def wait_for_empty_backlog(self) -> float:
        """Wait until the backlog is empty; return the time on the monotonic clock."""
        deadline = time.monotonic() + _DRAIN_TIMEOUT_SECONDS
        while self._contender.backlog():
            if time.monotonic() > deadline:
                waiting = self._contender.backlog()
                raise TimeoutError(f"{self._contender.name}: {waiting} notifications still wait.\n{self._log_tails()}")
            time.sleep(_BACKLOG_POLL_SECONDS)
        return time.monotonic()

    def _check_children(self) -> None:
        if any(child.has_ended() for child in self._children):
            raise RuntimeError(f"A process of {self._contender.name} ended unexpectedly.\n{self._log_tails()}")

    def _log_tails(self) -> str:
        return "\n".join(f"--- {child.name}\n{child.log.read_text()[-2000:]}" for child in self._children)

    def stop(self) -> None:
        """Stop the processes in the order of their start."""
        for child in self._children:
            child.stop()


@contextmanager
def session(contender: Contender, postgres: Postgres, valkey: Valkey) -> Iterator[Session]:
    """
    Run the processes of a design, and check at the end that all accepted notifications are in SQL.

    Raises:
        RuntimeError: SQL contains fewer notifications than were answered with 200.
    """
    stored_before = contender.stored()
    with tempfile.TemporaryDirectory(prefix=f"bench-{contender.name}-") as directory:
        running = Session(contender, postgres, valkey, Path(directory))
        try:
            running.wait_until_ready()
            yield running
        finally:
            running.stop()
    stored = contender.stored() - stored_before
    if stored < running.sent:
        raise RuntimeError(f"{contender.name}: {running.sent} accepted, but {stored} stored.")
