"""Runs the product with a connected workspace of the emulator, and a client with a user token."""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import jwt
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.contenders import Product
from bench.emulator_process import TOKEN
from bench.processes import Child
from bench.servers import Postgres, Valkey, free_port
from settings.environment import DEFAULT_USER

# Seconds. A worker that beat wakes up makes the connection; a busy machine takes some seconds to start both.
_CONNECT_SECONDS = 60.0
_POLL_SECONDS = 0.1

# A method, a path, and a body that is sent as JSON.
Call = tuple[str, str, Any]


@dataclass(frozen=True)
class Running:
    """A running product: `port` of the web process, the connected user's `token`, and `product` with its database."""

    port: int
    token: str
    product: Product


class Client:
    """One open connection; `base` is the prefix of each path."""

    def __init__(self, port: int, base: str, token: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)
        self._base = base
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: Any) -> bytes:
        """
        Return the body of the response.

        Raises:
            RuntimeError: its status is not 200, so the figures would be meaningless.
        """
        content = None if body is None else json.dumps(body)
        self._connection.request(method, self._base + path, content, self._headers)
        response = self._connection.getresponse()
        content_received = response.read()
        if response.status != HTTPStatus.OK:
            raise RuntimeError(f"{self._base}{path}: status {response.status}: {content_received[:500]!r}")
        return content_received

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _ConnectedProduct(Product):
    """The product with the settings that a connection needs, and only some of its processes."""

    def __init__(self, postgres: Postgres, valkey: Valkey, processes: Sequence[str], more: dict[str, str]) -> None:
        super().__init__(postgres, valkey, "connected")
        self.commands = {name: self.procfile[name] for name in processes}
        self._more = more

    def environment(self, port: int) -> dict[str, str]:
        """Add the settings of this benchmark."""
        return super().environment(port) | self._more


@contextmanager
def product(
    postgres: Postgres, valkey: Valkey, intercom_port: int, processes: Sequence[str], **more: str
) -> Iterator[Running]:
    """Run these processes of the Procfile within the block, with a connected user."""
    key, port = generate_private_key(SECP256R1()), free_port()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    connected = _ConnectedProduct(
        postgres,
        valkey,
        processes,
        {
            "INTERCOM_API_URL": f"http://127.0.0.1:{intercom_port}/us",
            "INTERCOM_ACCESS_TOKEN": TOKEN,
            "TOKEN_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "USER_TOKEN_PUBLIC_KEY": public,
            **more,
        },
    )
    token = jwt.encode({"sub": DEFAULT_USER, "exp": int(time.time()) + 3600}, key, algorithm="ES256")
    with tempfile.TemporaryDirectory(prefix="bench-connected-") as name:
        directory = Path(name)
        connected.redis.flushdb()
        connected.prepare(directory)
        children = [
            Child(command, connected.environment(port), directory, each) for each, command in connected.commands.items()
        ]
        try:
            _wait_for_connection(port, token)
            yield Running(port, token, connected)
        finally:
            for child in children:
                child.stop()
            # No process remains that would take the last wake-ups.
            connected.redis.flushdb()
            connected.redis.close()
            connected.sql.close()


def _wait_for_connection(port: int, token: str) -> None:
    deadline = time.monotonic() + _CONNECT_SECONDS
    while True:
        with closing(Client(port, "/api", token)) as client, suppress(OSError):
            # The server needs a moment to listen.
            if json.loads(client.call("GET", "/connections", None))["connections"]:
                return
        if time.monotonic() > deadline:
            raise TimeoutError("The user was not connected in time.")
        time.sleep(_POLL_SECONDS)
