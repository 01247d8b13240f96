"""`intercom_api.wire.signatures`: Intercom's signatures are accepted, all others refused with one error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_api.errors import SignatureError
from intercom_api.wire.signatures import sign, sign_body, verify, verify_callback

BODY = b'{"type":"notification_event","topic":"ping"}'
# Computed with another implementation of HMAC-SHA1.
SIGNATURE = "sha1=5444678f8fe60db8ff81ecd84f26538a0bed2baf"


def test_sign_matches_intercoms_signature() -> None:
    """A known body and secret give a known header."""
    assert sign(BODY, "cs_example") == SIGNATURE


def test_any_secret_of_a_rotation_is_accepted() -> None:
    """Both the new and the old secret are accepted, in either position."""
    verify(BODY, SIGNATURE, ["cs_example"])
    verify(BODY, SIGNATURE, ["new", "cs_example"])
    verify(BODY, SIGNATURE, ["cs_example", "old"])


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha1=",
        SIGNATURE[5:],
        SIGNATURE.upper(),
        SIGNATURE.replace("sha1", "sha256"),
        SIGNATURE + "0",
        SIGNATURE + " ",
        f"{SIGNATURE},{SIGNATURE}",
        "sha1=" + "é" * 40,
        "sha1=" + "é" * 20,
        "sha1=" + "\0" * 40,
        "sha1=" + "\udcff" * 40,
        "x" * 20_000,
    ],
)
def test_other_headers_are_refused(header: str | None) -> None:
    """An invalid header is refused, without any other exception."""
    with pytest.raises(SignatureError):
        verify(BODY, header, ["cs_example"])


@given(st.text())
def test_random_headers_are_refused(header: str) -> None:
    """No header raises another exception."""
    with pytest.raises(SignatureError):
        verify(BODY, header, ["cs_example"])


def test_an_empty_secret_is_never_accepted() -> None:
    """HMAC works with an empty key, so anyone could forge signatures."""
    with pytest.raises(SignatureError):
        verify(BODY, sign(BODY, ""), ["", "cs_example"])
    with pytest.raises(SignatureError):
        verify(BODY, sign(BODY, ""), [])


def test_a_changed_body_is_refused() -> None:
    """The digest is over the raw bytes."""
    with pytest.raises(SignatureError):
        verify(BODY + b" ", SIGNATURE, ["cs_example"])


# Intercom documents the digest without an example; this one was computed with another implementation.
CALLBACK = b'{"type":"notification_event","topic":"ping"}'
CALLBACK_SIGNATURE = "398c830e05f46dd65eb6347516465629ea6c42957a60787633db00305c083719"


def test_a_callback_has_another_digest() -> None:
    """SHA-256 without a prefix, with any of the secrets; otherwise the signature of notifications."""
    assert sign_body(CALLBACK, "cs_example") == CALLBACK_SIGNATURE
    verify_callback(CALLBACK, CALLBACK_SIGNATURE, None, ["new", "cs_example"])
    verify_callback(CALLBACK, None, sign(CALLBACK, "cs_example"), ["cs_example"])


@pytest.mark.parametrize("header", ["", "sha256=" + CALLBACK_SIGNATURE, CALLBACK_SIGNATURE[:-1], "é" * 64, "0" * 64])
def test_a_wrong_digest_of_a_callback_is_refused(header: str) -> None:
    """Even if the other header is valid."""
    with pytest.raises(SignatureError):
        verify_callback(CALLBACK, header, sign(CALLBACK, "cs_example"), ["cs_example"])
    with pytest.raises(SignatureError):
        verify_callback(CALLBACK, sign_body(CALLBACK, ""), None, ["", "cs_example"])
