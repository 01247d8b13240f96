"""Which URLs given by users may be called."""

import pytest

from workers.deliveries.address_guard import Target, is_public, parse_target
from workers.deliveries.http_post import PostError, post

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.88.99.1",
    "0.0.0.0",  # noqa: S104 -- an address to refuse
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "no address",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_public(address: str) -> None:
    """In every form, including an IPv4 address inside an IPv6 address."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_public(address: str) -> None:
    """Including a public IPv4 address inside an IPv6 address."""
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:169.254.169.254]/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://0/",
        "https://localhost/",
        "https://[::1]:8443/",
    ],
)
def test_every_spelling_of_a_private_address_is_refused_before_anything_is_sent(url: str) -> None:
    """The check applies to the address that the host resolves to."""
    with pytest.raises(PostError) as refused:
        post(url, b"{}", {}, allow_private=False)
    assert refused.value.not_sent


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https://user:secret@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://exam ple.com/",
        "https://example.com/\r\nX-Evil: 1",
        "https://example.com:99999/",
        "https://[fe80::1%25eth0]/",
        "https:///path",
        "//example.com/",
        "https://exämple.com/",
        "https://example.com/" + "a" * 3000,
    ],
)
def test_ambiguous_urls_are_refused(url: str) -> None:
    """And the error does not repeat them, because they may contain a password."""
    with pytest.raises(ValueError, match="The address") as refused:
        parse_target(url, allow_private=False)
    assert url not in str(refused.value)


def test_a_url_is_parsed() -> None:
    """The fragment is not sent."""
    assert parse_target("https://a.example/hook?x=1#top", allow_private=False) == Target(
        "https", "a.example", 443, "/hook?x=1"
    )
    assert parse_target("http://a.example:81", allow_private=True) == Target("http", "a.example", 81, "/")


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would depend on chance which of the two is called."""
    both = [(2, 1, 6, "", ("1.1.1.1", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]
    monkeypatch.setattr("workers.deliveries.http_post.socket.getaddrinfo", lambda *_, **__: both)
    with pytest.raises(PostError, match="private network"):
        post("https://a.example/", b"", {}, allow_private=False)


def test_a_name_is_resolved_once_and_the_connection_goes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second resolution, which leads to this machine, never happens."""
    resolved_names = []
    connected_to = []

    def resolve(host: str, *_: object, **__: object) -> list[object]:
        resolved_names.append(host)
        return [(2, 1, 6, "", ("1.1.1.1" if len(resolved_names) == 1 else "127.0.0.1", 443))]

    class Socket:
        def __init__(self, *_: object) -> None:
            pass

        def settimeout(self, _seconds: float) -> None:
            pass

        def connect(self, address: object) -> None:
            connected_to.append(address)
            raise ConnectionRefusedError

        def close(self) -> None:
            pass

    monkeypatch.setattr("workers.deliveries.http_post.socket.getaddrinfo", resolve)
    monkeypatch.setattr("workers.deliveries.http_post.socket.socket", Socket)
    with pytest.raises(PostError, match="No server accepts connections"):
        post("https://a.example/", b"", {}, allow_private=False)
    assert resolved_names == ["a.example"]
    assert connected_to == [("1.1.1.1", 443)]
