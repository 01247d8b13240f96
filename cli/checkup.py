"""What `doctor` looks at. Every check ends with findings, whatever fails; none of them holds a secret."""

import time
from collections.abc import Callable, Iterable, Iterator
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import click
from sqlalchemy.exc import SQLAlchemyError

from cli.reach import redis_of
from cli.tables import database_trouble, engine_of
from intercom_api.errors import IntercomError, RejectedError, TransientError
from intercom_api.http.transport import CONNECT_SECONDS, send
from intercom_api.rate_limit.lanes import Lane
from models.queries import connection_rows
from models.queries.connection_rows import EncryptedToken, WorkspaceRow
from settings import Settings, addresses
from workers.connections import registry, vault
from workers.connections.hosts import hosts
from workers.connections.vault import VaultError
from workers.inbox.backlog import measure_backlog
from workers.inbox.durability import check_durability

Level = Literal["ok", "warning", "failure"]


class Finding(NamedTuple):
    """One line: how bad, about what, what was found, and what to do about it."""

    level: Level
    what: str
    text: str
    advice: str = ""


# Seconds. A healthy drain takes an entry in milliseconds, and /readyz says the same.
_OLDEST_SECONDS = 60.0
# Seconds. More than a slow answer explains; as much as user tokens are forgiven.
_CLOCK_SECONDS = 30.0

# What is asked of each workspace to see what the app may do, and how the Developer Hub calls the permission.
_Probe = tuple[str, dict[str, int], str]
_PROBES: tuple[_Probe, ...] = (
    ("/contacts", {"per_page": 1}, "Read and list users and companies"),
    ("/tags", {}, "Read tags"),
    ("/admins", {}, "Read admins"),
)


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at one thing after the other."""
    for what, check in _CHECKS.items():
        try:
            yield from check(settings)
        except click.ClickException as error:
            yield Finding("failure", what, error.format_message())


def _redis(settings: Settings) -> Iterator[Finding]:
    with redis_of(settings) as client:
        found, waiting = check_durability(client), measure_backlog(client)
    level: Level = "ok" if found.durable else "failure" if settings.require_durable_inbox else "warning"
    yield Finding(level, "Redis", found.sentence)
    if waiting.oldest_seconds > _OLDEST_SECONDS:
        yield Finding(
            "failure",
            "inbox",
            f"{waiting.depth} notifications wait, the oldest for {waiting.oldest_seconds:.0f} s.",
            "Look whether a worker runs.",
        )
    else:
        yield Finding("ok", "inbox", f"{waiting.depth} notifications wait.")


def _database(settings: Settings) -> Iterator[Finding]:
    with engine_of(settings) as engine:
        yield Finding("ok", "database", f"The tables are those of this version ({engine.dialect.name}).")


def _credentials(settings: Settings) -> Iterator[Finding]:
    if settings.development:
        yield Finding(
            "ok",
            "app",
            "Development credentials: the built-in emulator plays Intercom.",
            "For a real app write INTERCOM_CLIENT_ID and INTERCOM_CLIENT_SECRET.",
        )
    else:
        yield Finding("ok", "app", f"Client id {settings.client_id}, {len(settings.client_secrets)} client secret(s).")
    if not settings.encryption_keys:
        yield Finding(
            "warning",
            "tokens",
            "Nothing is set to encrypt them with, so nobody can be connected.",
            "Write TOKEN_ENCRYPTION_KEYS; the README's section Connect says how.",
        )
    if not settings.user_keys:
        yield Finding(
            "warning",
            "users",
            "Nobody can connect in a browser.",
            "Write USER_TOKEN_PUBLIC_KEY, the public key of your application's user tokens.",
        )


def _addresses(settings: Settings) -> Iterator[Finding]:
    yield Finding(*_judged(settings), "Paste it into the Developer Hub under Authentication, Redirect URLs.")
    webhooks = f"{settings.public_url}/webhooks/intercom"
    yield Finding("ok", "webhooks", webhooks, "Paste it under Webhooks; under Uninstall, the same with /uninstall.")


def _judged(settings: Settings) -> tuple[Level, str, str]:
    parts = urlsplit(settings.public_url)
    if not settings.development and (parts.scheme != "https" or addresses.is_loopback(parts.hostname or "")):
        return "warning", "redirect address", f"{settings.redirect_url}: Intercom takes public https addresses only."
    return "ok", "redirect address", settings.redirect_url


def _intercom(_settings: Settings) -> Iterator[Finding]:
    base = hosts().api_base(None)
    try:
        response, seconds = send("GET", f"{base}/me", timeout=(CONNECT_SECONDS, CONNECT_SECONDS))
    except TransientError as error:
        yield Finding("failure", "Intercom", str(error), f"Look whether this machine reaches {base}.")
    else:
        yield Finding("ok", "Intercom", f"{base} answers ({response.status_code}, {seconds * 1000:.0f} ms).")
        yield from _clock(response.headers.get("Date"))


def _clock(date: str | None) -> Iterator[Finding]:
    try:
        ahead = time.time() - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        # Whatever is in between hides it; there is nothing to compare with.
        return
    if abs(ahead) > _CLOCK_SECONDS:
        yield Finding(
            "warning",
            "clock",
            f"Ours and Intercom's differ by {abs(ahead):.0f} s.",
            "Let this machine set its clock by the network; user tokens end by it.",
        )


def _connections(settings: Settings) -> Iterator[Finding]:
    with engine_of(settings) as engine:
        try:
            with engine.connect() as connection:
                found = connection_rows.all_workspaces(connection)
                tokens = {
                    each.workspace_id: connection_rows.active_tokens(connection, each.workspace_id) for each in found
                }
        except SQLAlchemyError as error:
            raise click.ClickException(database_trouble(error)) from error
    if not found:
        yield Finding("warning", "connections", "No workspace is connected.", "The README's section Connect says how.")
    for workspace in found:
        yield from _workspace(workspace, tokens[workspace.workspace_id])


def _workspace(workspace: WorkspaceRow, tokens: Iterable[EncryptedToken]) -> Iterator[Finding]:
    what = f"workspace {workspace.workspace_id}"
    if workspace.frozen_at is not None:
        yield Finding(
            "warning",
            what,
            f"Nobody is connected since {workspace.frozen_at:%Y-%m-%d %H:%M} UTC; its rows stand still.",
            "Connect it again, if it is still wanted.",
        )
    for number, sealed in enumerate(tokens):
        # What the app may do is the same for every token of a workspace, or nearly so: only the newest one is used.
        yield from _token(workspace, sealed, f"{what}, user {sealed.user_id}", _PROBES if number == 0 else ())


def _token(workspace: WorkspaceRow, sealed: EncryptedToken, what: str, probes: Iterable[_Probe]) -> Iterator[Finding]:
    try:
        token = vault.decrypt(workspace.workspace_id, sealed.user_id, sealed.token)
        client = registry.client_with_token(token, Lane.INTERACTIVE, workspace.workspace_id, workspace.region)
        me = client.me()
    except (VaultError, IntercomError) as error:
        yield Finding("failure", what, str(error))
        return
    if me.workspace_id != workspace.workspace_id:
        yield Finding("failure", what, "The token is another workspace's.", "Connect the workspace again.")
        return
    yield Finding("ok", what, f"Intercom knows the token ({me.region}, {me.timezone or 'no time zone'}).")
    for path, query, permission in probes:
        try:
            client.request("GET", path, params=query)
        except RejectedError:
            yield Finding(
                "warning",
                what,
                f"The app may lack the permission “{permission}”.",
                "Tick it in the Developer Hub, then connect the workspace again.",
            )
        except IntercomError as error:
            yield Finding("warning", what, f"{path}: {error}")


_CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "Redis": _redis,
    "database": _database,
    "app": _credentials,
    "addresses": _addresses,
    "Intercom": _intercom,
    "connections": _connections,
}
