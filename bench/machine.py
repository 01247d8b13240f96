"""Describes the machine on which the figures were measured, without host names and paths."""

import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from bench.servers import Postgres, Valkey
from settings.units import MS_PER_SECOND

_SYNCS = 200
_PAGE_BYTES = 4096
_BYTES_PER_GIB = 1024**3
_LIBRARIES = ("granian", "flask", "celery", "redis", "hiredis", "sqlalchemy", "psycopg", "msgspec")


def describe(postgres: Postgres, valkey: Valkey, directory: Path) -> list[tuple[str, str]]:
    """Return pairs of label and value."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _BYTES_PER_GIB
    return [
        ("processor", f"{_cpu_model()}, {os.cpu_count()} cores, shared by servers and load generator"),
        ("memory", f"{memory:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("disk", f"one page written and synced in {_sync_ms(directory):.2f} ms (median)"),
        ("Python", platform.python_version()),
        ("PostgreSQL", _postgres(postgres)),
        ("Valkey", f"{valkey.version}, append-only file, TCP on the loopback"),
        ("libraries", ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)),
    ]


def _postgres(postgres: Postgres) -> str:
    return (
        f"{postgres.version}, shared_buffers {postgres.buffers}, otherwise its defaults (fsync and synchronous_commit"
        " on), Unix socket"
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _sync_ms(directory: Path) -> float:
    seconds = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(_SYNCS):
            file.write(bytes(_PAGE_BYTES))
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - started)
    return sorted(seconds)[_SYNCS // 2] * MS_PER_SECOND
