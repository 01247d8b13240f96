"""A worker goes on consuming after an acknowledgement that did not reach Redis."""

from typing import Any

import pytest
from kombu.connection import Connection

from settings import addresses
from workers.runtime.kombu_fix import patch_kombu


def test_a_lost_acknowledgement_does_not_stop_the_consumer(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that may hold one message at a time takes the next one."""
    patch_kombu()
    with Connection(addresses.celery_broker_url(redis_url)) as connection:  # type: ignore[no-untyped-call]
        queue = connection.SimpleQueue("some")
        queue.put({"number": 1})
        message = queue.get(timeout=10)
        qos = message.channel.qos
        qos.prefetch_count = 1
        assert not qos.can_consume()
        with monkeypatch.context() as patch:
            patch.setattr(qos, "_remove_from_indices", _time_out)
            with pytest.raises(TimeoutError):
                message.ack()
        assert qos.can_consume()
        queue.put({"number": 2})
        assert queue.get(timeout=10).payload == {"number": 2}
        queue.close()


def _time_out(*_: Any) -> Any:
    raise TimeoutError
