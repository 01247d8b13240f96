"""A correction of kombu, Celery's messaging library: a worker must not stop consuming after a lost acknowledgement."""

from typing import Any

from kombu.transport import redis, virtual


class AcknowledgingQoS(redis.QoS):
    """
    The bookkeeping of unacknowledged messages, corrected.

    If the connection breaks while kombu acknowledges a message, kombu logs a line and goes on counting the message as
    unacknowledged. A worker that may hold one message at a time then takes no other until it is restarted. Here the
    message counts as acknowledged all the same. Redis delivers it once more after the visibility timeout, which is one
    doorbell too many.
    """

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message. Raises what kombu raises."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except Exception:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise


def patch_kombu() -> None:
    """Use AcknowledgingQoS for all Redis connections of this process."""
    redis.Channel.QoS = AcknowledgingQoS
