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

from emulator.api.faults import ApiError, unauthorized

# A private app's own token of each workspace; it is always valid until it is revoked.
DEVELOPMENT_PREFIX = "dev-token-"
_REGIONS = {"US": "us-east-1", "EU": "eu-west-1", "AU": "ap-southeast-2"}


class Grants:
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

    def code(self, workspace_id: str, region: str) -> str:
        """Make a code for a workspace; it looks as Intercom's do, with the region inside."""
        with self._lock:
            text = f"{self._rng.getrandbits(80):020x}:{_REGIONS.get(region, region)}"
            code = base64.b64encode(text.encode()).decode()
            self._codes[code] = workspace_id
        return code

    def exchange(self, code: object, client_id: object, client_secret: object, *, alone: bool) -> str:
        """
        Return a token for a code, once; `alone`: the workspace's earlier tokens end.

        Raises:
            ApiError: the code is unknown or used, or the app is another.
        """
        known = any(hmac.compare_digest(str(client_secret), secret) for secret in self._client_secrets)
        with self._lock:
            workspace_id = self._codes.pop(str(code), None)
            if workspace_id is None or str(client_id) != self.client_id or not known:
                raise unauthorized("Unauthorized Code", "unauthorized")
            if alone:
                self._revoke_all(workspace_id)
            # Who allows the app anew has it again, with the token of the private app as well.
            self._revoked.discard(DEVELOPMENT_PREFIX + workspace_id)
            token = base64.b64encode(f"tok:{self._rng.getrandbits(160):040x}:1:0".encode()).decode()
            self._tokens[token] = workspace_id
        return token

    def workspace_of(self, token: str) -> str:
        """
        Return whose token this is.

        Raises:
            ApiError: nobody's, or no longer.
        """
        with self._lock:
            if token in self._revoked:
                raise unauthorized("Access Token Revoked", "token_revoked")
            workspace_id = self._tokens.get(token)
        if workspace_id is None and token.startswith(DEVELOPMENT_PREFIX):
            workspace_id = token.removeprefix(DEVELOPMENT_PREFIX)
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

    def _revoke_all(self, workspace_id: str) -> None:
        self._revoked.add(DEVELOPMENT_PREFIX + workspace_id)
        self._revoked.update(token for token, of in self._tokens.items() if of == workspace_id)


def bearer(header: str | None) -> str:
    """
    Return the token of the header Authorization.

    Raises:
        ApiError: there is none.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiError(401, "missing_authorization", "Missing Authorization")
    return token.strip()
