"""Celery's dealings with Redis, mended in the one place where they leave a worker deaf."""

from typing import Any

from kombu.transport import redis, virtual


class ForgivingQoS(redis.QoS):
    """
    What a worker has in hand: a message that was acknowledged is not, also if Redis did not hear of it.

    A connection that falls silent in that moment costs kombu the acknowledgement, of which it logs a line; but it went
    on counting the message, and a worker that may have one in hand took no other until somebody started it again. Redis
    hands such a message out once more after the visibility time-out: a doorbell too many.
    """

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message. Raises what kombu would."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except Exception:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise


def patch_kombu() -> None:
    """Let all connections of this process count so."""
    redis.Channel.QoS = ForgivingQoS
