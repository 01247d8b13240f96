"""`intercom_api.wire.envelope`: optional fields may be missing; errors name the field."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_api.errors import MalformedNotificationError, SignatureError
from intercom_api.wire.envelope import open_notification, parse
from intercom_api.wire.signatures import sign

ENVELOPE: dict[str, Any] = {
    "type": "notification_event",
    "app_id": "ab12cd34",
    "id": "notif_1",
    "topic": "contact.deleted",
    "created_at": 1768210205,
    "data": {"item": {"id": "1"}},
}


def _encode(**changes: Any) -> bytes:
    return msgspec.json.encode(ENVELOPE | changes)


def test_parse_reads_the_envelope() -> None:
    """The item stays Intercom's JSON."""
    notification = parse(_encode())
    assert (notification.id, notification.topic, notification.app_id) == ("notif_1", "contact.deleted", "ab12cd34")
    assert notification.created_at == 1768210205
    assert notification.item == {"id": "1"}


def test_the_signature_is_verified_first() -> None:
    """An unsigned body is not even decoded."""
    with pytest.raises(SignatureError):
        open_notification(b"{", "sha1=" + "0" * 40, ["secret"])
    with pytest.raises(MalformedNotificationError):
        open_notification(b"{", sign(b"{", "secret"), ["secret"])


def test_a_missing_id_is_derived_from_the_body() -> None:
    """The same body has the same id, so that a repetition is a duplicate."""
    assert parse(_encode(id=None)).id == parse(_encode(id=None)).id
    assert parse(_encode(id=None)).id != parse(_encode(id=None, created_at=1)).id


def test_an_id_may_be_a_number() -> None:
    """Some formats have numeric ids."""
    assert parse(_encode(id=7)).id == "7"


@pytest.mark.parametrize("field", ["app_id", "topic"])
@pytest.mark.parametrize("value", [None, "", [], {}, True, 1.5, "x" * 256])
def test_an_error_names_the_missing_field(field: str, value: object) -> None:
    """The error names the field, never its value."""
    with pytest.raises(MalformedNotificationError) as caught:
        parse(_encode(**{field: value}))
    assert caught.value.path == field
    assert "xxx" not in str(caught.value)


def test_nul_is_replaced() -> None:
    """PostgreSQL cannot store NUL, in keys or values at any depth."""
    body = b'{"app_id":"a","topic":"t","id":"i","data":{"item":{"a\\u0000":["\\u0000",{"b":"c\\u0000"}]}}}'
    assert parse(body).item == {"a\ufffd": ["\ufffd", {"b": "c\ufffd"}]}


def test_the_last_of_duplicate_keys_is_used() -> None:
    """As in every JSON library."""
    assert parse(b'{"app_id":"a","topic":"t","topic":"u","id":"i","data":{"item":{}}}').topic == "u"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"x"',
        b"{}",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"\xff",
        b"\x1f\x8b\x08",
        b'{"a":',
        b"{} trailing",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1e400}',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        _encode(data=None),
        _encode(data=[]),
        _encode(data={"item": []}),
        _encode(created_at="soon"),
        _encode(created_at=1e300),
    ],
    ids=range(23),
)
def test_a_body_without_a_notification_is_malformed(body: bytes) -> None:
    """One kind of error, so that the drain parks it."""
    with pytest.raises(MalformedNotificationError):
        parse(body)


@given(st.binary())
def test_random_bytes_are_malformed(body: bytes) -> None:
    """No other exception is raised."""
    with pytest.raises(MalformedNotificationError):
        parse(body)
