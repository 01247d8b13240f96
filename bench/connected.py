"""The product with a workspace of the pretend Intercom connected, and a client that knows its user's token."""

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
from bench.pretend import TOKEN
from bench.processes import Child
from bench.servers import Postgres, Valkey, free_port
from settings.environment import DEFAULT_USER

# The connection is made by a worker that the beat wakes; a busy machine takes some seconds to start both.
_CONNECT_SECONDS = 60.0
_POLL_SECONDS = 0.1

# A method, a path, and a body that becomes JSON.
Asked = tuple[str, str, Any]


@dataclass(frozen=True)
class Running:
    """`port` of the web process; `token` of the user who is connected; `product`: its database."""

    port: int
    token: str
    product: Product


class Client:
    """One connection that is kept open; `base` stands before each path."""

    def __init__(self, port: int, base: str, token: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)
        self._base = base
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: Any) -> bytes:
        """
        Return the answer's body.

        Raises:
            RuntimeError: it is no 200: what was measured then is not what was meant.
        """
        content = None if body is None else json.dumps(body)
        self._connection.request(method, self._base + path, content, self._headers)
        answer = self._connection.getresponse()
        found = answer.read()
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"{self._base}{path} was answered {answer.status}: {found[:500]!r}")
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _Connected(Product):
    """The product with more settings than receiving needs; `chosen` are the processes that it runs."""

    def __init__(self, postgres: Postgres, valkey: Valkey, chosen: Sequence[str], more: dict[str, str]) -> None:
        super().__init__(postgres, valkey, "connected")
        self.commands = {name: self.procfile[name] for name in chosen}
        self._more = more

    def environment(self, port: int) -> dict[str, str]:
        """Add what was given."""
        return super().environment(port) | self._more


@contextmanager
def product(
    postgres: Postgres, valkey: Valkey, intercom_port: int, chosen: Sequence[str], **more: str
) -> Iterator[Running]:
    """Run those processes of the Procfile for the length of the block, in which a user is connected."""
    key, port = generate_private_key(SECP256R1()), free_port()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    found = _Connected(
        postgres,
        valkey,
        chosen,
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
        found.redis.flushdb()
        found.prepare(directory)
        children = [
            Child(command, found.environment(port), directory, each) for each, command in found.commands.items()
        ]
        try:
            _wait_for_connection(port, token)
            yield Running(port, token, found)
        finally:
            for child in children:
                child.stop()
            # What the last rings left is for nobody.
            found.redis.flushdb()
            found.redis.close()
            found.sql.close()


def _wait_for_connection(port: int, token: str) -> None:
    deadline = time.monotonic() + _CONNECT_SECONDS
    while True:
        with closing(Client(port, "/api", token)) as client, suppress(OSError):
            # At first nobody listens yet.
            if json.loads(client.call("GET", "/connections", None))["connections"]:
                return
        if time.monotonic() > deadline:
            raise TimeoutError("The user was not connected in time.")
        time.sleep(_POLL_SECONDS)
