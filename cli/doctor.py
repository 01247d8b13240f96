"""
`intercom-mirror doctor`: checks whether everything is set up, with one line for each finding.

Every check ends with findings, whatever fails. No finding contains a secret.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import click
from sqlalchemy.exc import SQLAlchemyError

from cli.database import database_message, open_database
from cli.redis_and_ports import open_redis
from cli.terminal import printable
from intercom_api.errors import IntercomError, RejectedError, TransientError
from intercom_api.http.transport import CONNECT_SECONDS, send
from intercom_api.rate_limit.lanes import Lane
from models.queries import connection_rows
from models.queries.connection_rows import EncryptedToken, WorkspaceRow
from settings import Settings, SettingsError, addresses, get_settings
from settings.units import MS_PER_SECOND
from webhooks.operations.health import OLDEST_ENTRY_SECONDS
from workers.connections import registry, vault
from workers.connections.intercom_hosts import hosts
from workers.connections.vault import VaultError
from workers.inbox.backlog import measure_backlog
from workers.inbox.durability import check_durability

Level = Literal["ok", "warning", "failure"]

_COLORS: dict[Level, str] = {"ok": "green", "warning": "yellow", "failure": "red"}
_WIDTH = max(len(level) for level in _COLORS)

# Seconds. More than a slow response explains, and the leeway that user tokens get.
_CLOCK_SECONDS = 30.0

# Requests that show what the app may do, and the name of the permission in Intercom's Developer Hub.
_Probe = tuple[str, dict[str, int], str]
_PROBES: tuple[_Probe, ...] = (
    ("/contacts", {"per_page": 1}, "Read and list users and companies"),
    ("/tags", {}, "Read tags"),
    ("/admins", {}, "Read admins"),
)


class Finding(NamedTuple):
    """The severity, the subject, what was found, and what to do about it. The field names are the JSON keys."""

    level: Level
    what: str
    text: str
    advice: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON: a list of objects with level, what, text, advice.")
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """
    Check settings, Redis, the database, Intercom and connections.

    The exit code is 1 if a check fails; with warnings alone it is 0.
    """
    findings = []
    for finding in _all_findings():
        findings.append(finding)
        # Printed at once: an unreachable host takes seconds.
        if not as_json:
            _print(finding)
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    ctx.exit(int(any(finding.level == "failure" for finding in findings)))


def _print(finding: Finding) -> None:
    level = click.style(f"{finding.level:<{_WIDTH}}", fg=_COLORS[finding.level], bold=finding.level != "ok")
    click.echo(f"{level}  {finding.what}: {printable(finding.text)}")
    if finding.advice:
        click.echo(f"{'':<{_WIDTH}}  -> {printable(finding.advice)}")


def _all_findings() -> Iterator[Finding]:
    try:
        settings = get_settings()
    except SettingsError as error:
        for mistake in error.mistakes:
            yield Finding("failure", "settings", mistake, "Correct it, then run this command again.")
        return
    yield Finding("ok", "settings", "All variables are valid.")
    for what, check in _CHECKS.items():
        try:
            yield from check(settings)
        except click.ClickException as error:
            yield Finding("failure", what, error.format_message())


def _check_redis(settings: Settings) -> Iterator[Finding]:
    with open_redis(settings) as client:
        result, backlog = check_durability(client), measure_backlog(client)
    level: Level = "ok" if result.durable else "failure" if settings.require_durable_inbox else "warning"
    yield Finding(level, "Redis", result.sentence)
    waiting = f"{backlog.depth} notifications waiting"
    if backlog.oldest_seconds > OLDEST_ENTRY_SECONDS:
        yield Finding(
            "failure",
            "inbox",
            f"{waiting}, the oldest for {backlog.oldest_seconds:.0f} s.",
            "Check that a worker is running.",
        )
    else:
        yield Finding("ok", "inbox", f"{waiting}.")


def _check_database(settings: Settings) -> Iterator[Finding]:
    with open_database(settings) as engine:
        yield Finding("ok", "database", f"The tables match this version ({engine.dialect.name}).")


def _check_credentials(settings: Settings) -> Iterator[Finding]:
    if settings.development:
        yield Finding(
            "ok",
            "app",
            "Development credentials: Intercom is emulated.",
            "For a real app set INTERCOM_CLIENT_ID and INTERCOM_CLIENT_SECRET.",
        )
    else:
        yield Finding("ok", "app", f"Client id {settings.client_id}, {len(settings.client_secrets)} client secret(s).")
    if not settings.encryption_keys:
        yield Finding(
            "warning",
            "tokens",
            "There is no key to encrypt tokens with, so no workspace can be connected.",
            "Set TOKEN_ENCRYPTION_KEYS; see the section Connect of the README.",
        )
    if not settings.user_keys:
        yield Finding(
            "warning",
            "users",
            "Users cannot connect in a browser.",
            "Set USER_TOKEN_PUBLIC_KEY, the public key of your application's user tokens.",
        )


def _check_addresses(settings: Settings) -> Iterator[Finding]:
    parts = urlsplit(settings.public_url)
    level: Level = "ok"
    text = settings.redirect_url
    if not settings.development and (parts.scheme != "https" or addresses.is_loopback(parts.hostname or "")):
        level, text = "warning", f"{text}: Intercom accepts only public https addresses."
    yield Finding(level, "redirect address", text, "Enter it in the Developer Hub under Authentication, Redirect URLs.")
    webhooks = f"{settings.public_url}/webhooks/intercom"
    yield Finding("ok", "webhooks", webhooks, "Enter it under Webhooks, and with /uninstall added under Uninstall.")


def _check_intercom(_settings: Settings) -> Iterator[Finding]:
    base = hosts().api_base(None)
    try:
        response, seconds = send("GET", f"{base}/me", timeout=(CONNECT_SECONDS, CONNECT_SECONDS))
    except TransientError as error:
        yield Finding("failure", "Intercom", str(error), f"Check that this machine can reach {base}.")
    else:
        took = f"{seconds * MS_PER_SECOND:.0f} ms"
        yield Finding("ok", "Intercom", f"{base} responds ({response.status_code}, {took}).")
        yield from _check_clock(response.headers.get("Date"))


def _check_clock(date: str | None) -> Iterator[Finding]:
    try:
        ahead = time.time() - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        # A proxy in between may remove the header; then there is nothing to compare with.
        return
    if abs(ahead) > _CLOCK_SECONDS:
        yield Finding(
            "warning",
            "clock",
            f"This machine's clock differs from Intercom's by {abs(ahead):.0f} s.",
            "Synchronize it over the network (NTP); user tokens expire by it.",
        )


def _check_connections(settings: Settings) -> Iterator[Finding]:
    with open_database(settings) as engine:
        try:
            with engine.connect() as connection:
                workspaces = connection_rows.all_workspaces(connection)
                tokens = {
                    each.workspace_id: connection_rows.active_tokens(connection, each.workspace_id)
                    for each in workspaces
                }
        except SQLAlchemyError as error:
            raise click.ClickException(database_message(error)) from error
    if not workspaces:
        yield Finding("warning", "connections", "No workspace is connected.", "See the section Connect of the README.")
    for workspace in workspaces:
        yield from _check_workspace(workspace, tokens[workspace.workspace_id])


def _check_workspace(workspace: WorkspaceRow, tokens: Iterable[EncryptedToken]) -> Iterator[Finding]:
    what = f"workspace {workspace.workspace_id}"
    if workspace.frozen_at is not None:
        yield Finding(
            "warning",
            what,
            f"Not connected since {workspace.frozen_at:%Y-%m-%d %H:%M} UTC; its rows are no longer updated.",
            "Connect it again if you still need it.",
        )
    for number, encrypted in enumerate(tokens):
        # The permissions are those of the app, so the newest token of a workspace is enough to check them.
        probes = _PROBES if number == 0 else ()
        yield from _check_token(workspace, encrypted, f"{what}, user {encrypted.user_id}", probes)


def _check_token(
    workspace: WorkspaceRow, encrypted: EncryptedToken, what: str, probes: Iterable[_Probe]
) -> Iterator[Finding]:
    try:
        token = vault.decrypt(workspace.workspace_id, encrypted.user_id, encrypted.token)
        client = registry.client_with_token(token, Lane.INTERACTIVE, workspace.workspace_id, workspace.region)
        me = client.me()
    except (VaultError, IntercomError) as error:
        yield Finding("failure", what, str(error))
        return
    if me.workspace_id != workspace.workspace_id:
        yield Finding("failure", what, "The token belongs to another workspace.", "Connect the workspace again.")
        return
    yield Finding("ok", what, f"Intercom accepts the token ({me.region}, {me.timezone or 'no time zone'}).")
    for path, query, permission in probes:
        try:
            client.request("GET", path, params=query)
        except RejectedError:
            yield Finding(
                "warning",
                what,
                f"The app may lack the permission “{permission}”.",
                "Select it in the Developer Hub, then connect the workspace again.",
            )
        except IntercomError as error:
            yield Finding("warning", what, f"{path}: {error}")


_CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "Redis": _check_redis,
    "database": _check_database,
    "app": _check_credentials,
    "addresses": _check_addresses,
    "Intercom": _check_intercom,
    "connections": _check_connections,
}
