"""A turn of the deliveries: follow the feed and send, until the time is up or there is nobody to tell."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Engine

from models.queries import endpoint_rows
from models.queries.endpoint_rows import EndpointRow
from settings import get_settings
from workers.deliveries import http_post
from workers.deliveries.fan_out import spread
from workers.deliveries.http_post import Posted
from workers.deliveries.sender import Post, Sender
from workers.runtime import process
from workers.runtime.feed_watch import FeedWatch, shared_feed_watch

# Seconds that a turn takes; the beat rings meanwhile, so one turn follows the other. It ends with the calls under way,
# which is what a worker that is asked to stop waits for at most.
TURN_SECONDS = 5.0
# Seconds until what is due is looked for again where no change wakes us before.
LOOK_SECONDS = 0.5
# Seconds between looks while calls are under way: how long the next delivery of an object waits at most.
BUSY_SECONDS = 0.05


def turn() -> None:
    """Work for a turn with this process's own tools."""
    work(process.engine(), process.reader(), post, shared_feed_watch(), time.monotonic() + TURN_SECONDS)


def work(engine: Engine, reader: Engine, post: Post, watch: FeedWatch, until: float) -> None:
    """Tell the endpoints what they want to hear, until that moment of the monotonic clock."""
    with Sender(engine, reader, post) as sender:
        while True:
            mark = watch.mark()
            found = _enabled(reader)
            more = [spread(engine, reader, each, datetime.now(UTC)) for each in found]
            begun = [sender.begin(each) for each in found]
            settled = sender.settle(BUSY_SECONDS) if sender.busy else 0
            if time.monotonic() >= until or not (found or sender.busy):
                return
            if not (any(more) or any(begun) or settled or sender.busy):
                watch.wait(mark, min(LOOK_SECONDS, max(until - time.monotonic(), 0)))


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
    """Call an endpoint; see `workers.deliveries.http_post`."""
    return http_post.post(url, body, headers, allow_private=get_settings().allow_private_targets)


def _enabled(reader: Engine) -> list[EndpointRow]:
    with reader.connect() as connection:
        return endpoint_rows.list_enabled(connection)
