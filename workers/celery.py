"""The Celery application. Messages are doorbells: they carry no data, so losing or repeating one is harmless."""

import gc
import sys

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from settings import get_settings, logs
from workers.runtime.kombu_fix import patch_kombu

# Seconds. The inbox hands a batch to somebody else after 30 s (workers.inbox.reader), so a task that runs longer
# than this is stopped before; the soft limit comes first and lets it give its entries back. It is also what a database
# that falls silent costs. A drain takes five seconds (workers.inbox.drain), which leaves ten for its last batch.
SOFT_LIMIT_SECONDS = 15
HARD_LIMIT_SECONDS = 20
# The same for a look at what is in doubt: it asks for five seconds (workers.refetch.dirty_objects), and a slow Intercom
# may hold the last objects for as long as it is waited for (intercom_api.rate_limit.lanes), twice for each part of an
# object.
REFETCH_LIMIT_SECONDS = 60
# Only one process asks at a time, so that the others are free for the inbox. One that died stands in the way for so
# long; one that takes longer is joined by another, which costs some calls twice.
REFETCH_ALONE_SECONDS = 20
# The same for the hourly pruning: a busy hour's rows are many pages, and each is a transaction of its own.
PRUNE_LIMIT_SECONDS = 900

# Seconds between rings of the beat: what a lost doorbell costs at most, once the doorbell key has expired.
RING_SECONDS = 1.0
# Seconds between looks for dirty objects and old rows.
REFETCH_SECONDS = 2.0
PRUNE_SECONDS = 3600.0
# Seconds between looks at connections in doubt, and at tokens of the settings that are not connected yet: how long a
# workspace that was uninstalled still counts as connected.
UPKEEP_SECONDS = 5.0

DRAIN_TASK = "workers.tasks.drain_inbox"
# Long jobs have a queue and a process of their own, so that a workspace that is being filled never delays the inbox.
SYNC_TASK = "workers.tasks.sync"
SYNC_QUEUE = "sync"
# Seconds. Between rings for long jobs: what a lost ring costs. A task works for a few slices (workers.sync.worker),
# then rings itself; the limits leave its last transactions as long as the database may take for them.
SYNC_RING_SECONDS = 3.0
SYNC_SOFT_LIMIT_SECONDS = 60
SYNC_HARD_LIMIT_SECONDS = 70
# Workflows wait for Intercom and for the application, so they have a queue and a process of their own too. A task works
# for eight seconds (workers.workflows.worker), then waits for the steps that it began, each of which may take a minute
# at Intercom's worst.
WORKFLOWS_TASK = "workers.tasks.workflows"
WORKFLOWS_QUEUE = "workflows"
# Seconds between rings: how late a workflow starts at most while nothing else is to be done.
WORKFLOWS_RING_SECONDS = 1.0
WORKFLOWS_SOFT_LIMIT_SECONDS = 120
WORKFLOWS_HARD_LIMIT_SECONDS = 130
# Outgoing webhooks wait for receivers. They have a process of their own, of one piece (the pool `solo`): it needs no
# second one to watch it, as each of its waits has an end, and so takes half the memory. A turn takes five seconds
# (workers.deliveries.sender) and follows the feed itself, so that no drain has to ring for it.
DELIVERIES_TASK = "workers.tasks.deliveries"
DELIVERIES_QUEUE = "deliveries"
# Seconds between rings, of which a few wait: how late a first endpoint is noticed.
DELIVERIES_RING_SECONDS = 1.0

# Objects made before Python looks for reference cycles. A batch makes some hundred thousand that die by themselves;
# at Python's default of 700 the search takes a fifth of the drain's time.
GC_THRESHOLD = 100_000

patch_kombu()
app = Celery("intercom_mirror")
app.conf.update(
    broker_url=get_settings().broker_url,
    # Our tasks return nothing that anybody waits for.
    result_backend=None,
    task_ignore_result=True,
    include=["workers.tasks"],
    # Pickle would let whoever writes to Redis run code in the worker.
    accept_content=["json"],
    task_serializer="json",
    task_default_queue="drain",
    task_routes={
        "workers.tasks.refetch": {"queue": "followups"},
        "workers.tasks.look_after_connections": {"queue": "followups"},
        "workers.tasks.prune": {"queue": "followups"},
        SYNC_TASK: {"queue": SYNC_QUEUE},
        WORKFLOWS_TASK: {"queue": WORKFLOWS_QUEUE},
        DELIVERIES_TASK: {"queue": DELIVERIES_QUEUE},
    },
    # A doorbell is acknowledged when it arrives: if the worker dies the entries are still in the stream.
    task_acks_late=False,
    # One message in hand per child: a doorbell must not wait behind another one in a busy child.
    worker_prefetch_multiplier=1,
    task_soft_time_limit=SOFT_LIMIT_SECONDS,
    task_time_limit=HARD_LIMIT_SECONDS,
    # A child is replaced now and then, whatever leaks; in KB, well above what a drain needs.
    worker_max_tasks_per_child=10_000,
    worker_max_memory_per_child=300_000,
    # By default a worker gives up after 100 tries and exits; Redis may be away for longer than that.
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_channel_error_retry=True,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_transport_options={
        # Seconds. Without time-outs a half-open connection hangs the worker for good, without a line in the log. A
        # worker's main process has several connections, and may meet them one after the other: twice the interval
        # until it drops the one that it listens on, and the time-out for each of the others. With 10 s for both it
        # took 40 s to come back, with these 15; a healthy Redis answers in milliseconds.
        "socket_timeout": 4,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 3,
        # Seconds; nothing of ours runs that long, so a message in hand is never handed out twice.
        "visibility_timeout": 3600,
    },
    # Nobody watches Celery's own events; /metrics and the logs tell more for less.
    worker_send_task_events=False,
    beat_scheduler="workers.runtime.beat:DoorbellScheduler",
    beat_schedule={
        "ring": {"task": DRAIN_TASK, "schedule": RING_SECONDS, "options": {"queue": "drain"}},
        "refetch": {"task": "workers.tasks.refetch", "schedule": REFETCH_SECONDS, "options": {"queue": "followups"}},
        "upkeep": {
            "task": "workers.tasks.look_after_connections",
            "schedule": UPKEEP_SECONDS,
            "options": {"queue": "followups"},
        },
        "prune": {"task": "workers.tasks.prune", "schedule": PRUNE_SECONDS, "options": {"queue": "followups"}},
        "sync": {"task": SYNC_TASK, "schedule": SYNC_RING_SECONDS, "options": {"queue": SYNC_QUEUE}},
        "workflows": {
            "task": WORKFLOWS_TASK,
            "schedule": WORKFLOWS_RING_SECONDS,
            "options": {"queue": WORKFLOWS_QUEUE},
        },
        "deliveries": {
            "task": DELIVERIES_TASK,
            "schedule": DELIVERIES_RING_SECONDS,
            "options": {"queue": DELIVERIES_QUEUE},
        },
    },
)


@setup_logging.connect
def _set_logging_up(**_: object) -> None:
    """Keep Celery's hands off the root logger: every process logs in the one form of `settings.logs`."""
    logs.configure("beat" if "beat" in sys.argv else "worker")


@worker_process_init.connect
def reduce_gc_runs(**_: object) -> None:
    """Leave Python's search for reference cycles out of the way of batches; what is there by now stays for good."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 10)
