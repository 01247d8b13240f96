"""
Notes to ourselves in the inbox: objects that we know to have changed, while SQL could not be told.

A note has a field of its own in the stream, so that nothing that anybody posts to us can become one. It only raises
doubts: the objects are fetched again, and what Intercom says then is believed.
"""

import time
from collections.abc import Iterable

import msgspec
from redis import Redis

from models.rule.observations import Observation, Report
from workers.runtime.redis_keys import INBOX


class _Note(msgspec.Struct):
    workspace_id: str
    objects: list[tuple[str, str]]


def request_refetch(redis: Redis, workspace_id: str, objects: Iterable[tuple[str, str]]) -> None:
    """Leave a note about objects, each as type and id. Raises what redis-py raises."""
    body = msgspec.json.encode(_Note(workspace_id, sorted(set(objects))))
    redis.xadd(INBOX, {"n": body, "t": time.time_ns() // 1_000_000})


def parse_request(body: bytes) -> Report:
    """Read a note. Raises msgspec.DecodeError."""
    note = msgspec.json.decode(body, type=_Note)
    doubts = tuple(Observation(object_type, object_id, needs_refetch=True) for object_type, object_id in note.objects)
    return Report(note.workspace_id, "write_through", doubts)
