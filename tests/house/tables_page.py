"""
Write docs/tables.md and docs/private-tables.md from the models: `python -m tests.house.tables_page`.

Names, types and column comments come from the models; the sentences about tables and views are here. A test compares
the committed pages with this rendering.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Boolean, Column, Float, Index, Integer, LargeBinary, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import ColumnElement

from models.tables.all_tables import metadata
from models.tables.column_types import Json, UtcDateTime
from models.tables.public_tables import ENTITIES

DOCS = Path(__file__).parents[2] / "docs"

# Characters in a line of prose.
_WIDTH = 120

# What applications read, in the order of the page: the sentences under the heading of each table.
PUBLIC_TABLES: Mapping[str, str] = {
    "contacts": (
        "One row per user or lead. Deleted and merged contacts have no row; archived ones stay, with `archived` true."
        " The view `active_contacts` leaves those out. `email_domain` is derived from `email`."
    ),
    "companies": (
        "One row per company. `company_id` is your application's id of it; do not assume that it is unique. The view"
        " `active_companies` leaves out archived ones.\n\nSome values change in Intercom without a notification and are"
        " true as of `_verified_at`: `user_count`, `session_count`, `last_request_at`, tags and segments."
    ),
    "tags": "The names of the tag ids in the link tables.",
    "segments": "The names of the segment ids in the link tables.",
    "contact_companies": "One row per company of a contact.",
    "contact_tags": "One row per tag of a contact.",
    "contact_segments": "One row per segment of a contact.",
    "company_tags": "One row per tag of a company.",
    "company_segments": "One row per segment of a company.",
    "data_attributes": "The workspace's data attributes, standard and custom.",
    "changes": (
        "The feed: one row per change, in the order in which they became visible. A reader that remembers the last"
        " `seq` and selects greater ones never misses a change; see [changes.md](changes.md). Rows are kept for"
        " `RETENTION_DAYS`. A deleted object has one row; its links are deleted with it and have none."
    ),
}

# What only the mirror reads. These tables may change with any release.
PRIVATE_TABLES: Mapping[str, str] = {
    "object_states": "The guard row of each object: lock, version, tombstone, and whether it is dirty.",
    "link_states": "What is known of each link, present or removed, and how new that is.",
    "contact_merges": "Which contact was merged into which; `contact_redirects` resolves chains.",
    "notifications": "The ledger: one row per applied notification, kept for `RETENTION_DAYS`.",
    "parked": "Notifications that could not be applied, with body and traceback; see `intercom-mirror parked`.",
    "sync_marks": "Per workspace and type of object: the times and the lag that `sync_status` shows.",
    "connections": "Who connected which workspace, with the encrypted token.",
    "workspaces": "Name, region and time zone of each workspace that was ever connected, and whether it is frozen.",
    "sync_runs": "Backfills and reconciles: state, progress, errors.",
    "sync_parts": "The parts of each run, with their cursors.",
    "sync_seen": "The ids that a run has listed so far, where missing ones are fetched at its end.",
    "action_keys": "The result of each idempotency key, kept for `RETENTION_DAYS`.",
    "endpoints": "The addresses of outgoing webhooks, with their encrypted secrets.",
    "deliveries": "The messages for each endpoint, kept for `RETENTION_DAYS`.",
    "feed_cursors": "The position of each consumer of the feed, and where the feed begins.",
    "workflow_files": "The workflow files as they were last read.",
    "workflow_sources": "The text of each version of a workflow file that a run follows.",
    "workflow_runs": "The runs of workflows, kept for `RETENTION_DAYS` after their end; they contain personal data.",
    "workflow_steps": "The steps of each run, with input and output; they contain personal data.",
    "workflow_effects": "The objects that steps have changed.",
}

# The views that are not simply a table without its archived rows, with their columns.
VIEWS: Mapping[str, str] = {
    "contact_redirects": (
        "`workspace_id`, `from_id`, `into_id`, `merged_at`: the surviving contact for each merged one, chains resolved"
    ),
    "contact_attributes": (
        "`workspace_id`, `contact_id`, `name`, `type`, `value`: one row per custom attribute; `type` is string, number,"
        " boolean, object, array or null"
    ),
    "connected_users": (
        "`user_id`, `workspace_id`, `region`, `status`: who connected which workspace; `status` is connected or"
        " disconnected"
    ),
    "sync_status": (
        "per `workspace_id` and `object_type`: `rows`, `last_notification_at`, `last_backfill_at`, `last_reconcile_at`,"
        " `last_verify_at`, `last_verify_result` (`equal`, `equal (sample of N)`, `differing: N` or `unsure`; see"
        " [verify.md](verify.md)), `backlog` (objects that wait for a refetch), `lag_seconds` (from receipt to commit"
        " of the last notification), `frozen_at` (since when the workspace has had no connection, so that its rows are"
        " not updated; null while it has one, or if it never had one)"
    ),
}

# What is not in a column's comment, by name; the same in every table.
_COLUMNS: Mapping[str, str] = {
    "workspace_id": "the id of the workspace",
    "id": "Intercom's id",
    "external_id": "your application's id of the contact",
    "email": "the e-mail address, as Intercom has it",
    "email_domain": "the part of `email` after the @, in lower case",
    "role": "user or lead",
    "phone": "the phone number",
    "name": "the name",
    "owner_id": "the id of the teammate to whom it is assigned",
    "has_hard_bounced": "whether an e-mail could not be delivered for good",
    "marked_email_as_spam": "whether the contact marked an e-mail as spam",
    "unsubscribed_from_emails": "whether the contact unsubscribed from e-mails",
    "unsubscribed_from_sms": "whether the contact unsubscribed from text messages",
    "sms_consent": "whether the contact agreed to text messages",
    "enabled_push_messaging": "whether push messages are enabled",
    "created_at": "when it was created in Intercom",
    "updated_at": "when it was last updated in Intercom",
    "remote_created_at": "when it was created in your application",
    "signed_up_at": "when the contact signed up in your application",
    "last_seen_at": "when the contact was last seen",
    "last_replied_at": "when the contact last replied",
    "last_contacted_at": "when a message was last sent to the contact",
    "last_email_opened_at": "when the contact last opened an e-mail",
    "last_email_clicked_at": "when the contact last clicked a link in an e-mail",
    "last_request_at": "when a contact of the company was last seen",
    "language_override": "the language that was set for the contact",
    "os": "the operating system",
    "referrer": "the page from which the contact came",
    "size": "the number of employees",
    "website": "the web site",
    "industry": "the industry",
    "monthly_spend": "the monthly spend",
    "session_count": "the number of sessions of its contacts",
    "user_count": "the number of its users",
    "person_type": "contact or user: what the segment contains",
    "archived": "whether it is archived",
    "custom_attributes": "the custom attributes, by name",
    "contact_id": "Intercom's id of the contact",
    "tag_id": "Intercom's id of the tag",
    "segment_id": "Intercom's id of the segment",
    "_companies_complete": "whether `contact_companies` has all companies; false until the rest is fetched",
    "_tags_complete": "whether the tag links are complete; false until the rest is fetched",
    "_raw": "the whole canonical object (times in unix seconds), without lists that have tables of their own",
    "_source": "the source of the last update: webhook, refetch, backfill, reconcile or write_through",
    "_version": "`updated_at` in unix seconds; negative while only a part of the object is known",
    "_synced_at": "when the mirror last wrote the row",
    "_verified_at": "Intercom's time at which a GET by id last found the object; null if that never happened",
}
# The same for one table only.
_COLUMNS_OF: Mapping[str, Mapping[str, str]] = {
    "companies": {"company_id": "your application's id of the company"},
    "data_attributes": {
        "id": "Intercom's id; null for standard attributes",
        "name": "the name within its path",
        "label": "the name that Intercom shows",
        "description": "the description",
        "data_type": "the type of its values",
        "custom": "whether it is a custom attribute",
        "archived": "whether it is archived",
        "_raw": "the whole object as Intercom sends it",
    },
    "contact_companies": {"company_id": "Intercom's id of the company"},
    "company_tags": {"company_id": "Intercom's id of the company"},
    "company_segments": {"company_id": "Intercom's id of the company"},
    "changes": {
        "seq": "the number of the change; greater ones are newer",
        "object_type": "contact, company, tag or segment",
        "object_id": "Intercom's id of the object",
        "op": "created, updated, deleted, archived, unarchived, merged, linked or unlinked",
        "related_type": "the type of the other end of a link, or contact for a merge",
        "related_id": "the other end of a link, or the contact into which it was merged",
        "changed_fields": (
            "for updated, archived and unarchived: sorted names of Intercom's top-level fields, such as `location`,"
            " where the columns are `location_country` and so on"
        ),
        "source": "webhook, refetch, backfill, reconcile or write_through",
        "notification_id": "the notification that reported it; null for other sources",
        "at": "when it was written",
    },
}

_INTRODUCTION = """\
# Tables

The tables, columns and views that an application may rely on. Names are Intercom's own; ids and owner ids are text;
times are UTC (`TIMESTAMPTZ` on PostgreSQL, text such as `2026-01-10 04:11:34.000000` on SQLite). Primary keys begin
with `workspace_id`: ids are unique within a workspace only. There are no foreign keys between mirrored tables, no enums
and no triggers. Columns that begin with `_` are the mirror's own. Where no meaning is given, the column has Intercom's
value of that name. Indexed text is cut at 512 characters; `_raw` has all of it.

On PostgreSQL, give the application a role of its own with [read_only.sql](read_only.sql). Upgrades that change tables
create the views again, so run it after each upgrade.

This page is generated from the models by `python -m tests.house.tables_page`.
"""

_PRIVATE_INTRODUCTION = """\
# Private tables

The columns of the tables that only the mirror reads, for developers of the mirror. They may change with any release;
applications read the tables of [tables.md](tables.md).

This page is generated from the models by `python -m tests.house.tables_page`.
"""


def tables_page() -> str:
    """Render docs/tables.md."""
    sections = [_INTRODUCTION]
    sections += [_section(metadata.tables[name], text) for name, text in PUBLIC_TABLES.items()]
    views = ["| `active_contacts`, `active_companies` | the tables without archived rows |"]
    views += [f"| `{name}` | {text} |" for name, text in VIEWS.items()]
    sections.append("\n".join(["## Views", "", "| view | content |", "|---|---|", *views]) + "\n")
    private = [f"- `{name}`: {text}" for name, text in PRIVATE_TABLES.items()]
    head = "These may change with any release. Their columns are in [private-tables.md](private-tables.md)."
    sections.append("\n".join(["## Private tables", "", head, "", *private]) + "\n")
    return "\n".join(sections)


def private_tables_page() -> str:
    """Render docs/private-tables.md."""
    sections = [_section(metadata.tables[name], text) for name, text in PRIVATE_TABLES.items()]
    return "\n".join([_PRIVATE_INTRODUCTION, *sections])


def _section(table: Table, text: str) -> str:
    lines = [f"## `{table.name}`", "", *_wrapped(text), "", "| column | type | meaning |", "|---|---|---|"]
    lines += [
        f"| `{column.name}` | {_type(column)} | {_meaning(table, column)} |".replace("|  |", "| |")
        for column in table.columns
    ]
    lines += ["", *_wrapped(f"Key: {_names(column.name for column in table.primary_key.columns)}.{_indexes(table)}")]
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        yield from [""] if number else []
        yield from textwrap.wrap(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _type(column: Column[Any]) -> str:
    names = {Boolean: "boolean", Float: "number", LargeBinary: "bytes", UtcDateTime: "time", Integer: "integer"}
    name = next((name for kind, name in names.items() if isinstance(column.type, kind)), "text")
    if column.type is Json:
        name = "JSON"
    return f"{name}, or null" if column.nullable else name


def _meaning(table: Table, column: Column[Any]) -> str:
    described = column.comment
    if table.name in PUBLIC_TABLES:
        here = _COLUMNS_OF.get(table.name, {}).get(column.name)
        described = here or _COLUMNS.get(column.name) or column.comment or _path_in_intercom(table, column)
    # A sentence may contain what ends a cell.
    return (described or "").replace("|", "\\|")


def _path_in_intercom(table: Table, column: Column[Any]) -> str:
    """Return where Intercom has the value, if the column's name does not say so."""
    fields = [field for entity in ENTITIES.values() if entity.table is table for field in entity.fields]
    path = next((field.path for field in fields if field.name == column.name), ())
    return f"Intercom's `{'.'.join(path)}`" if len(path) > 1 else ""


def _indexes(table: Table) -> str:
    described = [_index(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
    return f" Indexes: {'; '.join(described)}." if described else ""


def _index(index: Index) -> str:
    columns = _names(_expression(part) for part in index.expressions)
    on_postgresql = index.dialect_options["postgresql"]
    return columns + (" (PostgreSQL, for `@>`)" if on_postgresql["using"] == "gin" else "")


def _expression(part: ColumnElement[Any] | str) -> str:
    if isinstance(part, Column):
        return part.name
    text = part if isinstance(part, str) else str(part.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    return text.replace("contacts.", "")


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def pages() -> Iterator[tuple[Path, str]]:
    """Yield each generated page with its text."""
    yield DOCS / "tables.md", tables_page()
    yield DOCS / "private-tables.md", private_tables_page()


if __name__ == "__main__":
    for path, text in pages():
        path.write_text(text)
