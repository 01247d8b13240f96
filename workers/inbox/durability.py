"""How the inbox is doing, and what its Redis guarantees."""

from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import ResponseError


class Durability(NamedTuple):
    """Whether Redis keeps what it acknowledged through a crash or a power cut, and a sentence that says so."""

    durable: bool
    sentence: str


def check_durability(redis: Redis) -> Durability:
    """
    Judge the settings of Redis against the promise "what was answered 200 is not lost".

    Raises what redis-py raises; a Redis that hides its settings, as managed ones do, is judged by what it tells.
    """
    try:
        settings = _settings(redis)
    except ResponseError:
        return Durability(durable=False, sentence="Redis hides its settings, so nobody can tell what it may lose.")
    if settings.get("appendonly") != "yes":
        sentence = "Redis keeps no append-only file: a restart loses the inbox. Set appendonly to yes."
    elif settings.get("appendfsync") != "always":
        sentence = (
            "Redis writes to disk every second or less: a crash may lose the last ones. Set appendfsync to always."
        )
    elif settings.get("no-appendfsync-on-rewrite") != "no":
        sentence = "Redis does not fsync while it rewrites its file. Set no-appendfsync-on-rewrite to no."
    elif settings.get("maxmemory-policy") != "noeviction":
        sentence = "Redis may throw the inbox away when memory is short. Set maxmemory-policy to noeviction."
    else:
        return Durability(durable=True, sentence="Redis has every entry on disk before it is answered 200.")
    return Durability(durable=False, sentence=sentence)


def _settings(redis: Redis) -> dict[str, str]:
    found: Any = redis.config_get("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy")
    return {_text(name): _text(value) for name, value in found.items()}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
