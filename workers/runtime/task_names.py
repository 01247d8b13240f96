"""
The names of the Celery tasks, and the queue of each.

They are apart from the tasks, so that a process can send a task by its name without importing what the task imports.
A process of the Procfile consumes each queue.
"""

from types import MappingProxyType

DRAIN_TASK = "workers.tasks.drain_inbox"
REFETCH_TASK = "workers.tasks.refetch"
CONNECTIONS_TASK = "workers.tasks.look_after_connections"
PRUNE_TASK = "workers.tasks.prune"
SYNC_TASK = "workers.tasks.sync"
WORKFLOWS_TASK = "workers.tasks.workflows"
DELIVERIES_TASK = "workers.tasks.deliveries"

# The queue of each task. Long jobs, workflows and deliveries have a queue and a process each, so that a backfill or a
# slow receiver never delays the inbox. Short tasks that wait for Intercom have a queue that shares the drain's worker.
QUEUES = MappingProxyType(
    {
        DRAIN_TASK: "drain",
        REFETCH_TASK: "followups",
        CONNECTIONS_TASK: "followups",
        PRUNE_TASK: "followups",
        SYNC_TASK: "sync",
        WORKFLOWS_TASK: "workflows",
        DELIVERIES_TASK: "deliveries",
    }
)
