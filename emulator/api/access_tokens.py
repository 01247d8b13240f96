"""
OAuth codes and access tokens of the app.

Source:
    Intercom, "Setting up OAuth" and "Uninstalling apps".
"""

import base64
import hmac
import random
import threading
from collections.abc import Container

from emulator.api.api_errors import ApiError, unauthorized

# A workspace's token of a private app is this and the workspace's id. It is valid until it is revoked.
_DEVELOPMENT_PREFIX = "dev-token-"
_REGIONS = {"US": "us-east-1", "EU": "eu-west-1", "AU": "ap-southeast-2"}


class AccessTokens:
    """
    The codes and tokens of one app. Thread-safe.

    Args:
        client_id: the client id of the app.
        client_secrets: the client secrets of the app, newest first.
        workspaces: the ids of the workspaces that exist.
        rng: the source of codes and tokens.
    """

    def __init__(
        self, client_id: str, client_secrets: tuple[str, ...], workspaces: Container[str], rng: random.Random
    ) -> None:
        self.client_id = client_id
        self._client_secrets = client_secrets
        self._workspaces = workspaces
        self._rng = rng
        self._lock = threading.Lock()
        self._codes: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._revoked: set[str] = set()
        # Workspaces that removed the app: tokens of earlier runs are not valid for them.
        self._removed: set[str] = set()

    def new_code(self, workspace_id: str, region: str) -> str:
        """Make a single-use code for a workspace; like Intercom's, it contains the region."""
        with self._lock:
            text = f"{self._rng.getrandbits(80):020x}:{_REGIONS.get(region, region)}"
            code = base64.b64encode(text.encode()).decode()
            self._codes[code] = workspace_id
        return code

    def exchange(self, code: object, client_id: object, client_secret: object, *, revoke_earlier: bool) -> str:
        """
        Exchange a code for a token, once.

        Args:
            code: the code as received.
            client_id: the client id as received.
            client_secret: the client secret as received.
            revoke_earlier: revoke the workspace's earlier tokens.

        Raises:
            ApiError: the code is unknown or used, or the credentials are another app's.
        """
        valid_secret = any(hmac.compare_digest(str(client_secret), secret) for secret in self._client_secrets)
        with self._lock:
            workspace_id = self._codes.pop(str(code), None)
            if workspace_id is None or str(client_id) != self.client_id or not valid_secret:
                raise unauthorized("Unauthorized Code", "unauthorized")
            if revoke_earlier:
                self._revoke_all(workspace_id)
            # A new authorisation also restores the token of the private app.
            self._revoked.discard(_DEVELOPMENT_PREFIX + workspace_id)
            return self._new_token(workspace_id)

    def workspace_of(self, token: str) -> str:
        """
        Return the id of the workspace that a token belongs to.

        Raises:
            ApiError: the token is unknown or revoked.
        """
        with self._lock:
            if token in self._revoked:
                raise unauthorized("Access Token Revoked", "token_revoked")
            workspace_id = self._tokens.get(token) or self._workspace_in(token)
        if workspace_id is None and token.startswith(_DEVELOPMENT_PREFIX):
            workspace_id = token.removeprefix(_DEVELOPMENT_PREFIX)
        if workspace_id not in self._workspaces:
            raise unauthorized()
        return str(workspace_id)

    def revoke(self, token: str) -> None:
        """Revoke one token."""
        with self._lock:
            self._revoked.add(token)

    def revoke_workspace(self, workspace_id: str) -> None:
        """Revoke every token of a workspace, as when an admin removes the app."""
        with self._lock:
            self._revoke_all(workspace_id)

    def restore(self, token: str) -> None:
        """Make a revoked token valid again."""
        with self._lock:
            self._revoked.discard(token)

    def _new_token(self, workspace_id: str) -> str:
        number = f"{self._rng.getrandbits(80):020x}"
        signature = self._sign(number, workspace_id)
        token = base64.b64encode(f"tok:{number}:{workspace_id}:{signature}".encode()).decode()
        self._tokens[token] = workspace_id
        return token

    def _workspace_in(self, token: str) -> str | None:
        """
        Return the workspace that a signed token contains.

        Tokens carry their workspace and a signature, so that those of an earlier run stay valid and a user need not
        connect again after each start of the emulator.
        """
        try:
            _, number, workspace_id, signature = base64.b64decode(token, validate=True).decode().split(":")
        except ValueError:
            return None
        valid = hmac.compare_digest(signature.encode(), self._sign(number, workspace_id).encode())
        return workspace_id if valid and workspace_id not in self._removed else None

    def _sign(self, number: str, workspace_id: str) -> str:
        secret = self._client_secrets[-1].encode()
        return hmac.digest(secret, f"{number}:{workspace_id}".encode(), "sha256").hex()[:20]

    def _revoke_all(self, workspace_id: str) -> None:
        self._removed.add(workspace_id)
        self._revoked.add(_DEVELOPMENT_PREFIX + workspace_id)
        self._revoked.update(token for token, owner in self._tokens.items() if owner == workspace_id)


def bearer_token(header: str | None) -> str:
    """
    Return the token in the Authorization header.

    Raises:
        ApiError: there is no token.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiError(401, "missing_authorization", "Missing Authorization")
    return token.strip()
