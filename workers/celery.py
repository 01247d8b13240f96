"""
The Celery application: queues, time limits, the schedule of Celery beat, and the broker's settings.

A message carries no data. It only means that there may be work, so losing, repeating or delaying one is harmless; what
there is to do is in the inbox and in SQL.
"""

import gc
import sys

import structlog
from celery import Celery
from celery.signals import setup_logging, worker_process_init

from settings import get_settings, logs
from workers.runtime.celery_command import InstalledLoader, deprecated_command
from workers.runtime.kombu_fix import patch_kombu
from workers.runtime.task_names import (
    CONNECTIONS_TASK,
    DELIVERIES_TASK,
    DRAIN_TASK,
    PRUNE_TASK,
    QUEUES,
    REFETCH_TASK,
    SYNC_TASK,
    WORKFLOWS_TASK,
)

# Time limits of tasks, in seconds. At the soft limit a task gets an exception and can release what it holds; at the
# hard limit its process is killed.

# For drains, and for any task without limits of its own. Both are below the 30 s after which another consumer may take
# over a batch (workers.inbox.reader). A drain works for 5 s (workers.inbox.drain), which leaves 10 s for its last
# batch. A database that stops responding costs as much.
SOFT_LIMIT_SECONDS = 15
HARD_LIMIT_SECONDS = 20
# For refetching, and for checking connections. A round starts fetches for 5 s (workers.refetch.dirty_objects); a slow
# Intercom may hold the last ones for as long as a call may take (intercom_api.rate_limit.lanes), twice for each part of
# an object.
REFETCH_SOFT_LIMIT_SECONDS = 60
REFETCH_HARD_LIMIT_SECONDS = 65
# A sync task works for 8 s (workers.sync); the rest is for its last transactions.
SYNC_SOFT_LIMIT_SECONDS = 60
SYNC_HARD_LIMIT_SECONDS = 70
# A workflow task works for 8 s (workers.workflows), then waits for the steps that it began. Each of them may take a
# minute when Intercom is at its slowest.
WORKFLOWS_SOFT_LIMIT_SECONDS = 120
WORKFLOWS_HARD_LIMIT_SECONDS = 130
# The rows of a busy hour are many pages, each deleted in a transaction of its own.
PRUNE_SOFT_LIMIT_SECONDS = 900
PRUNE_HARD_LIMIT_SECONDS = 905

# Deliveries have no limits: their worker uses the pool `solo`, a single process without a parent that could stop it.
# Each of its waits has a timeout, so it needs none, and it takes half the memory.

# Seconds for which one process keeps others from refetching, so that they are free for the inbox. A process that
# crashes meanwhile delays refetching for this long. One that takes longer is joined by another, which only costs calls
# made twice.
REFETCH_LOCK_SECONDS = 20

# Seconds between messages of Celery beat, by task: how long a lost message delays the work.
SCHEDULE_SECONDS = {
    DRAIN_TASK: 1.0,
    REFETCH_TASK: 2.0,
    # How long a workspace whose app was uninstalled still counts as connected.
    CONNECTIONS_TASK: 5.0,
    PRUNE_TASK: 3600.0,
    SYNC_TASK: 3.0,
    # How late a workflow starts at most while the process is idle.
    WORKFLOWS_TASK: 1.0,
    # How late the first endpoint is noticed. A delivery task works for 5 s and follows the feed by itself, so a few of
    # these messages wait.
    DELIVERIES_TASK: 1.0,
}

# Objects created before Python looks for reference cycles. A batch creates some hundred thousand, all freed by their
# reference counts; with Python's default of 700 the search takes a fifth of the drain's time.
GC_THRESHOLD = 100_000

patch_kombu()
app = Celery("intercom_mirror", loader=InstalledLoader)
app.conf.update(
    broker_url=get_settings().broker_url,
    # No task returns a result.
    result_backend=None,
    task_ignore_result=True,
    include=["workers.tasks"],
    # With pickle, anyone who can write to Redis could run code in the worker.
    accept_content=["json"],
    task_serializer="json",
    task_default_queue=QUEUES[DRAIN_TASK],
    task_routes={task: {"queue": queue} for task, queue in QUEUES.items()},
    # A message is acknowledged when it arrives. If the worker crashes, the entries are still in the inbox.
    task_acks_late=False,
    # One message per pool process: a doorbell must not wait behind another one while a process is busy.
    worker_prefetch_multiplier=1,
    task_soft_time_limit=SOFT_LIMIT_SECONDS,
    task_time_limit=HARD_LIMIT_SECONDS,
    # A pool process is replaced now and then, in case something leaks memory. In KB, well above what a drain needs.
    worker_max_tasks_per_child=10_000,
    worker_max_memory_per_child=300_000,
    # By default a worker exits after 100 attempts to connect; Redis may be unavailable for longer than that.
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_channel_error_retry=True,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_transport_options={
        # Seconds. Without timeouts a half-open connection blocks the worker for good, without a line in the log. A
        # worker's main process has several connections, and may meet the broken ones one after the other: twice the
        # interval until it drops the one it listens on, and the timeout for each of the others. With 10 s for both, it
        # was back after 40 s; with these, after 15. A healthy Redis responds in milliseconds.
        "socket_timeout": 4,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 3,
        # Seconds. No task runs that long, so an unacknowledged message is never delivered twice.
        "visibility_timeout": 3600,
    },
    # Celery's own events have no consumer; /metrics and the logs contain more, at less cost.
    worker_send_task_events=False,
    beat_scheduler="workers.runtime.beat:DoorbellScheduler",
    beat_schedule={
        task: {"task": task, "schedule": seconds, "options": {"queue": QUEUES[task]}}
        for task, seconds in SCHEDULE_SECONDS.items()
    },
)


@setup_logging.connect
def _set_up_logging(**_: object) -> None:
    """Keep Celery from configuring the root logger: every process logs in the format of `settings.logs`."""
    logs.configure("beat" if "beat" in sys.argv else "worker")
    if (command := deprecated_command()) is not None:
        structlog.get_logger().warning("this start command is deprecated", use=command)


@worker_process_init.connect
def reduce_gc_runs(**_: object) -> None:
    """Make Python look for reference cycles less often, and not among the objects that exist when a process starts."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 10)
