"""A worker goes on taking messages after an acknowledgement that Redis did not hear."""

from typing import Any

import pytest
from kombu.connection import Connection

from settings import addresses
from workers.runtime.kombu_fix import patch_kombu


def test_an_acknowledgement_that_was_lost_leaves_the_hand_free(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one message in hand at a time, one that Redis still counts must not be the last."""
    patch_kombu()
    with Connection(addresses.celery_broker_url(redis_url)) as connection:  # type: ignore[no-untyped-call]
        queue = connection.SimpleQueue("some")
        queue.put({"number": 1})
        message = queue.get(timeout=10)
        in_hand = message.channel.qos
        in_hand.prefetch_count = 1
        assert not in_hand.can_consume()
        with monkeypatch.context() as patch:
            patch.setattr(in_hand, "_remove_from_indices", _silent)
            with pytest.raises(TimeoutError):
                message.ack()
        assert in_hand.can_consume()
        queue.put({"number": 2})
        assert queue.get(timeout=10).payload == {"number": 2}
        queue.close()


def _silent(*_: Any) -> Any:
    raise TimeoutError
