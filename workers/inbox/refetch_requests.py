"""
Refetch requests: entries that this product itself writes to the inbox, for objects that changed while SQL was down.

Such an entry has a field of its own in the stream, so no body that is posted to the product can become one. It only
makes its objects dirty: they are fetched, and what Intercom returns then is stored.
"""

import time
from collections.abc import Iterable

import msgspec
from redis import Redis

from models.rule.observations import Observation, Report
from workers.runtime.redis_keys import INBOX


class _RefetchRequest(msgspec.Struct):
    workspace_id: str
    # Type and id of each object.
    objects: list[tuple[str, str]]


def request_refetch(redis: Redis, workspace_id: str, objects: Iterable[tuple[str, str]]) -> None:
    """Append a request for objects, each given as type and id. Raises what redis-py raises."""
    body = msgspec.json.encode(_RefetchRequest(workspace_id, sorted(set(objects))))
    redis.xadd(INBOX, {"n": body, "t": time.time_ns() // 1_000_000})


def report_from_request(body: bytes) -> Report:
    """Read a request as a report that makes its objects dirty. Raises msgspec.DecodeError."""
    request = msgspec.json.decode(body, type=_RefetchRequest)
    observations = tuple(Observation(*each, needs_refetch=True) for each in request.objects)
    return Report(request.workspace_id, "write_through", observations)
