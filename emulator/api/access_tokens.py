"""
Who may call: tokens, and the single-use codes that are exchanged for them.

Source:
    Intercom, "Setting up OAuth" and "Uninstalling apps".
"""

import base64
import hmac
import random
import threading
from collections.abc import Container

from emulator.api.api_errors import ApiError, unauthorized

# A private app's own token of each workspace; it is always valid until it is revoked.
_DEVELOPMENT_PREFIX = "dev-token-"
_REGIONS = {"US": "us-east-1", "EU": "eu-west-1", "AU": "ap-southeast-2"}


class AccessTokens:
    """
    Codes and tokens of one app. Safe for several threads.

    Args:
        client_id: of the app.
        client_secrets: newest first.
        workspaces: the ids that exist.
        rng: draws codes and tokens.
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
        # Workspaces that removed the app, and with it the tokens of earlier runs.
        self._removed: set[str] = set()

    def new_code(self, workspace_id: str, region: str) -> str:
        """Make a code for a workspace; it looks as Intercom's do, with the region inside."""
        with self._lock:
            text = f"{self._rng.getrandbits(80):020x}:{_REGIONS.get(region, region)}"
            code = base64.b64encode(text.encode()).decode()
            self._codes[code] = workspace_id
        return code

    def exchange(self, code: object, client_id: object, client_secret: object, *, revoke_earlier: bool) -> str:
        """
        Return a token for a code, once; `revoke_earlier`: the workspace's earlier tokens end.

        Raises:
            ApiError: the code is unknown or used, or the app is another.
        """
        known = any(hmac.compare_digest(str(client_secret), secret) for secret in self._client_secrets)
        with self._lock:
            workspace_id = self._codes.pop(str(code), None)
            if workspace_id is None or str(client_id) != self.client_id or not known:
                raise unauthorized("Unauthorized Code", "unauthorized")
            if revoke_earlier:
                self._revoke_all(workspace_id)
            # Who allows the app anew has it again, with the token of the private app as well.
            self._revoked.discard(_DEVELOPMENT_PREFIX + workspace_id)
            return self._new_token(workspace_id)

    def workspace_of(self, token: str) -> str:
        """
        Return whose token this is.

        Raises:
            ApiError: nobody's, or no longer.
        """
        with self._lock:
            if token in self._revoked:
                raise unauthorized("Access Token Revoked", "token_revoked")
            workspace_id = self._tokens.get(token) or self._written_in(token)
        if workspace_id is None and token.startswith(_DEVELOPMENT_PREFIX):
            workspace_id = token.removeprefix(_DEVELOPMENT_PREFIX)
        if workspace_id not in self._workspaces:
            raise unauthorized()
        return str(workspace_id)

    def revoke(self, token: str) -> None:
        """End one token."""
        with self._lock:
            self._revoked.add(token)

    def revoke_workspace(self, workspace_id: str) -> None:
        """End every token of a workspace, as when an admin removes the app."""
        with self._lock:
            self._revoke_all(workspace_id)

    def restore(self, token: str) -> None:
        """Let a token be valid again that was revoked."""
        with self._lock:
            self._revoked.discard(token)

    def _new_token(self, workspace_id: str) -> str:
        number = f"{self._rng.getrandbits(80):020x}"
        token = base64.b64encode(f"tok:{number}:{workspace_id}:{self._seal(number, workspace_id)}".encode()).decode()
        self._tokens[token] = workspace_id
        return token

    def _written_in(self, token: str) -> str | None:
        """Return the workspace of a token that an earlier run gave: who connected need not do so after each start."""
        try:
            _, number, workspace_id, seal = base64.b64decode(token, validate=True).decode().split(":")
        except ValueError:
            return None
        known = hmac.compare_digest(seal.encode(), self._seal(number, workspace_id).encode())
        return workspace_id if known and workspace_id not in self._removed else None

    def _seal(self, number: str, workspace_id: str) -> str:
        secret = self._client_secrets[-1].encode()
        return hmac.digest(secret, f"{number}:{workspace_id}".encode(), "sha256").hex()[:20]

    def _revoke_all(self, workspace_id: str) -> None:
        self._removed.add(workspace_id)
        self._revoked.add(_DEVELOPMENT_PREFIX + workspace_id)
        self._revoked.update(token for token, of in self._tokens.items() if of == workspace_id)


def bearer_token(header: str | None) -> str:
    """
    Return the token of the header Authorization.

    Raises:
        ApiError: there is none.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiError(401, "missing_authorization", "Missing Authorization")
    return token.strip()
