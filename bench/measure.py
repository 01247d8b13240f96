"""One measured run of one design: start its processes, warm them up, load them, probe them, stop them."""

import os
import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import bodies, generator
from bench.bodies import Plan
from bench.contenders import WEBHOOK_PATH, Contender
from bench.load import load
from bench.processes import Child, Memory, busy_seconds, cpu_seconds, memory
from bench.servers import Postgres, Valkey, free_port

_CORES = os.cpu_count() or 1
# Seconds until everything accepted must be stored; the naive design needs some 20 for 5,000.
_DRAIN_SECONDS = 120.0
_START_SECONDS = 30.0
# The backlog is asked for in Valkey at this interval: 30 us of CPU each time, an error of at most this much.
_BACKLOG_POLL_SECONDS = 0.003
# A probe polls the row by primary key at this interval, which bounds its error.
_PROBE_POLL_SECONDS = 0.0005
_PROBE_LIMIT_SECONDS = 30.0
# Between two probes everything falls idle: long against a commit, and uneven so as not to march with beat.
_PROBE_GAP_SECONDS = (0.05, 0.15)
# Seconds for which workers rest after the backlog is empty, so that the last commit's CPU time is counted too.
_SETTLE_SECONDS = 0.1
# Probes and warm-up are made of contacts of their own, so that the burst begins with contacts never seen.
_WARM_UP = 500


@dataclass(frozen=True)
class Burst:
    """
    What one burst showed.

    Attributes:
        accepted_per_second: 200s over the time from the first request to the last answer.
        committed_per_second: 200s over the time from the first request to the last commit.
        latencies_ms: of every 200.
        cpu_ms: CPU milliseconds per notification by process, whole trees, from first request to last commit.
        memory: of every process, after the burst.
        generator_cpu_ms: what the generator used per notification; in none of the other figures.
        others_percent: share of all cores that was busy with processes that are not ours: a measure of disturbance.
    """

    accepted_per_second: float
    committed_per_second: float
    latencies_ms: list[float]
    cpu_ms: dict[str, float]
    memory: dict[str, Memory]
    generator_cpu_ms: float
    others_percent: float


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
        """Wait until the first notification has gone all the way."""
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
        """Load the processes without measuring: imports, connections, prepared statements."""
        plan = Plan("warm-up", _WARM_UP, _WARM_UP // 5, _WARM_UP // 5, first_second, seed=first_second)
        with load(plan, self._address) as waiting:
            self.sent += len(waiting.start().latencies_ms)
        self.wait_for_empty_backlog()

    def burst(self, plan: Plan) -> Burst:
        """Send a plan and measure until its last commit."""
        with load(plan, self._address) as waiting:
            before, busy_before = self._cpu(), busy_seconds()
            seen, committed_at = waiting.start(), self.wait_for_empty_backlog()
            time.sleep(_SETTLE_SECONDS)
            after, busy = self._cpu(), busy_seconds() - busy_before
        if seen.refused:
            raise RuntimeError(f"{self._contender.name} refused notifications: {seen.refused}.")
        accepted, used = len(seen.latencies_ms), {name: after[name] - before[name] for name in before}
        self.sent += accepted
        elapsed = time.monotonic() - seen.first_sent
        return Burst(
            accepted_per_second=accepted / (seen.last_answered - seen.first_sent),
            committed_per_second=accepted / (committed_at - seen.first_sent),
            latencies_ms=seen.latencies_ms,
            cpu_ms={name: seconds * 1000 / accepted for name, seconds in used.items()},
            memory={name: memory(pid) for name, pid in self._roots.items()},
            generator_cpu_ms=seen.cpu_seconds * 1000 / accepted,
            others_percent=100 * (busy - sum(used.values()) - seen.cpu_seconds) / elapsed / _CORES,
        )

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._roots.items()}

    def idle_latencies(self, probes: int, first_second: int) -> list[float]:
        """Return the milliseconds from sending one notification to its contact's row being visible, `probes` times."""
        return [self._probe(number, first_second + number) for number in range(probes)]

    def _probe(self, number: int, second: int) -> float:
        time.sleep(random.uniform(*_PROBE_GAP_SECONDS))  # noqa: S311 -- A pause, no secret.
        contact = bodies.contact_id(number)
        started = self.post_one("probes", number, second)
        while self._contender.version_of("probes", contact) != second:
            if time.monotonic() - started > _PROBE_LIMIT_SECONDS:
                raise TimeoutError(f"{self._contender.name}: a probe's row did not appear.")
            time.sleep(_PROBE_POLL_SECONDS)
        return (time.monotonic() - started) * 1000

    def post_one(self, workspace: str, number: int, second: int) -> float:
        """Send one notification about a contact, return when its first byte went out."""
        return self.post(bodies.body(workspace, number, second, str(uuid.uuid4())))

    def post(self, content: bytes) -> float:
        """Send one notification, return when its first byte went out."""
        request = bodies.request(content, WEBHOOK_PATH, f"{self._address[0]}:{self._address[1]}")
        outcome = generator.run(self._address, [request], connections=1)
        if outcome.refused:
            raise RuntimeError(f"{self._contender.name} answered {outcome.refused}.")
        self.sent += 1
        return outcome.first_sent

    def wait_for_empty_backlog(self) -> float:
        """Return when nothing was waiting any more, on the monotonic clock."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._contender.backlog():
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{self._contender.name}: {self._contender.backlog()} still wait.\n{self._last_words()}"
                )
            time.sleep(_BACKLOG_POLL_SECONDS)
        return time.monotonic()

    def _check_children(self) -> None:
        if any(child.has_ended() for child in self._children):
            raise RuntimeError(f"A process of {self._contender.name} ended by itself.\n{self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(f"--- {child.name}\n{child.log.read_text()[-2000:]}" for child in self._children)

    def stop(self) -> None:
        """Stop the processes: what takes requests first, what applies them last."""
        for child in self._children:
            child.stop()


@contextmanager
def session(contender: Contender, postgres: Postgres, valkey: Valkey) -> Iterator[Session]:
    """
    Run the processes of a design, and check in the end that everything it accepted is in SQL.

    Raises:
        RuntimeError: SQL has taken fewer notifications than were answered with 200.
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
