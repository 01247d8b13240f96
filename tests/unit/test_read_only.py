"""`intercom_api.http.read_only`: which requests change nothing in Intercom."""

import pytest

from intercom_api.http.read_only import is_read_only


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/contacts/1"),
        ("HEAD", "/contacts/1"),
        ("POST", "/contacts/search"),
        ("POST", "/conversations/search"),
        ("POST", "/tickets/search"),
        ("POST", "/calls/search"),
        ("POST", "/companies/list"),
        ("POST", "/admins/activity_logs/search"),
    ],
)
def test_reads_are_read_only(method: str, path: str) -> None:
    """GET and HEAD read, and so do the POSTs that only search or list."""
    assert is_read_only(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/contacts"),
        ("POST", "/events/summaries"),
        ("PUT", "/contacts/search"),
        ("DELETE", "/companies/list"),
        ("POST", "/contacts/search/tags"),
    ],
)
def test_writes_are_not_read_only(method: str, path: str) -> None:
    """A reading POST's path does not make other methods, or paths below it, reads."""
    assert not is_read_only(method, path)
