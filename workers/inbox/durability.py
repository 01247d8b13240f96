"""Whether Redis, as it is configured, keeps what the receiver acknowledged."""

from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import ResponseError


class Durability(NamedTuple):
    """Whether acknowledged entries survive a crash and a power failure, and a sentence that explains it."""

    durable: bool
    sentence: str


def check_durability(redis: Redis) -> Durability:
    """
    Compare the configuration of Redis with the promise "a notification that got a 200 is not lost".

    A Redis that does not show its configuration, as many managed ones do not, counts as not durable. Raises what
    redis-py raises.
    """
    try:
        config = _read_config(redis)
    except ResponseError:
        return Durability(
            durable=False, sentence="Redis does not show its configuration, so it is unknown what it may lose."
        )
    if config.get("appendonly") != "yes":
        sentence = "Redis keeps no append-only file, so a restart loses the inbox. Set appendonly to yes."
    elif config.get("appendfsync") != "always":
        sentence = (
            "Redis syncs its file at most once a second, so a crash may lose the last notifications."
            " Set appendfsync to always."
        )
    elif config.get("no-appendfsync-on-rewrite") != "no":
        sentence = "Redis does not sync its file while it rewrites it. Set no-appendfsync-on-rewrite to no."
    elif config.get("maxmemory-policy") != "noeviction":
        sentence = "Redis may evict the inbox when memory is short. Set maxmemory-policy to noeviction."
    else:
        return Durability(durable=True, sentence="Redis has every notification on disk before the 200 is sent.")
    return Durability(durable=False, sentence=sentence)


def _read_config(redis: Redis) -> dict[str, str]:
    reply: Any = redis.config_get("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy")
    return {_text(name): _text(value) for name, value in reply.items()}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
