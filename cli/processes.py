"""`intercom-mirror web`, `worker` and `beat`: the processes of the Procfile."""

from collections.abc import Sequence
from typing import NamedTuple

import click


class Queue(NamedTuple):
    """
    What a worker needs for one queue.

    Attributes:
        processes: child processes it adds to the worker.
        pool: Celery's pool. `solo` runs tasks in the worker's own process, which takes half the memory; it is used only
            where all queues of a worker allow it.
    """

    processes: int
    pool: str


# `drain` comes first, so that it is what remains readable of a long list of queues.
QUEUES = {
    "drain": Queue(1, "prefork"),
    "followups": Queue(1, "prefork"),
    "sync": Queue(1, "prefork"),
    "workflows": Queue(1, "prefork"),
    "deliveries": Queue(1, "solo"),
}

# The worker that drains the inbox keeps Celery's default node name.
_DRAIN_NAME = "celery"


def _parse_queues(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[str]:
    if value is None:
        return list(QUEUES)
    queues = [name.strip() for name in value.split(",")]
    for queue in queues:
        if queue not in QUEUES:
            raise click.BadParameter(f"There is no queue {queue!r}. Choose from {', '.join(QUEUES)}.")
    return list(dict.fromkeys(queues))


@click.command()
def web() -> None:
    """Serve HTTP: notifications, the connect page and the API."""
    from webhooks.process import serve  # noqa: PLC0415 -- `--help` and the other commands need no server

    serve()


@click.command()
@click.option(
    "--queues", callback=_parse_queues, metavar="NAMES", help=f"Separated by commas. [default: {','.join(QUEUES)}]"
)
@click.option("--concurrency", type=click.IntRange(1), metavar="N", help="Child processes. [default: one per queue]")
@click.option(
    "--pool",
    type=click.Choice(["prefork", "solo"]),
    help="Celery's pool; solo runs tasks in the worker's own process. [default: depends on the queues]",
)
@click.option(
    "--hostname",
    "--name",
    "hostname",
    metavar="NODE",
    help="Node name, unique on a host; %h is the host name. [default: depends on the queues]",
)
def worker(*, queues: list[str], concurrency: int | None, pool: str | None, hostname: str | None) -> None:
    """
    Run background tasks from some or all queues.

    Without --queues it serves every queue.
    """
    from workers.runtime.celery_command import run  # noqa: PLC0415 -- as above

    run(*worker_arguments(queues, concurrency=concurrency, pool=pool, hostname=hostname))


def worker_arguments(
    queues: Sequence[str], *, concurrency: int | None = None, pool: str | None = None, hostname: str | None = None
) -> list[str]:
    """Return the arguments of Celery's worker for some queues; a value that is None is derived from QUEUES."""
    solo = all(QUEUES[name].pool == "solo" for name in queues)
    node = _DRAIN_NAME if "drain" in queues else "-".join(queues)
    return [
        "worker",
        "--queues",
        ",".join(queues),
        "--concurrency",
        str(concurrency or sum(QUEUES[name].processes for name in queues)),
        "--pool",
        pool or ("solo" if solo else "prefork"),
        "--hostname",
        hostname or f"{node}@%h",
        # Workers need not know of each other: the doorbell and the leases in Redis and SQL divide the work.
        "--without-gossip",
        "--without-mingle",
    ]


@click.command()
def beat() -> None:
    """Send the periodic doorbells; run exactly one."""
    from workers.runtime.celery_command import run  # noqa: PLC0415 -- as above

    run("beat")
