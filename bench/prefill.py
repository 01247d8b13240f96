"""Fills a database with many contacts by copying one that the product has stored."""

from typing import NamedTuple

import psycopg
from psycopg import sql

from bench.bodies import company_id, contact_id

WORKSPACE = "growth"
# The number of the contact that is copied: beyond every population, so it is never updated itself.
TEMPLATE_NUMBER = 10**9

# The ids of `bench.bodies` as SQL expressions of the contact's number i.
_CONTACT = "'6650a1b2' || lpad(to_hex(i), 16, '0')"
_COMPANY = "'6650a2f0' || lpad(to_hex(i / 10), 16, '0')"
_TAG = "(11870000 + i %% 20)::text"

# The columns that differ between contacts, as in `bench.bodies`.
_COLUMNS = {
    "id": _CONTACT,
    "external_id": "'cust_' || i",
    "email": "'contact' || i || '@orchard.example'",
    "phone": "'+1555' || i",
    "name": "'Mira Okafor ' || i",
}
_COMPANY_COLUMNS = {"id": _COMPANY, "company_id": "'acct_' || i / 10", "name": "'Orchard ' || i / 10"}
_COMPANY_PAIRS = ", ".join(f"'{name}', {value}" for name, value in _COMPANY_COLUMNS.items())
# The lists without a table of their own stay in the object, each with the contact's id in its URL.
_LISTS = {
    "notes": "notes",
    "opted_in_subscription_types": "subscriptions",
    "opted_out_subscription_types": "subscriptions",
}
_KEYS = _COLUMNS | {
    name: f"jsonb_set(t._raw->'{name}', '{{url}}', to_jsonb('/contacts/' || {_CONTACT} || '/{path}'))"
    for name, path in _LISTS.items()
}
_PAIRS = ", ".join(f"'{name}', {value}" for name, value in _KEYS.items())
_RAW = f"t._raw || jsonb_build_object({_PAIRS})"


class _Copies(NamedTuple):
    """Copies of the rows of `table` that match `where`, one for every `every`-th contact, with new `values`."""

    table: str
    where: str
    values: dict[str, str]
    every: int = 1


_COPIES = (
    _Copies("contacts", "id = %(contact)s", {**_COLUMNS, "_raw": _RAW}),
    _Copies("contact_companies", "contact_id = %(contact)s", {"contact_id": _CONTACT, "company_id": _COMPANY}),
    _Copies("contact_tags", "contact_id = %(contact)s", {"contact_id": _CONTACT, "tag_id": _TAG}),
    _Copies(
        "link_states",
        "owner_id = %(contact)s",
        {"owner_id": _CONTACT, "other_id": f"CASE kind WHEN 'contact_tags' THEN {_TAG} ELSE {_COMPANY} END"},
    ),
    _Copies("object_states", "object_id = %(contact)s", {"object_id": _CONTACT}),
    _Copies(
        "companies",
        "id = %(company)s",
        {**_COMPANY_COLUMNS, "_raw": f"t._raw || jsonb_build_object({_COMPANY_PAIRS})"},
        every=10,
    ),
    # As after a refetch: in an idle mirror almost nothing is dirty.
    _Copies("object_states", "object_id = %(company)s", {"object_id": _COMPANY, "clean": "t.dirty"}, every=10),
)


def prefill(connection: psycopg.Connection, contacts: int) -> None:
    """
    Copy the template contact `contacts` times, with its guard, links, link states and companies.

    Args:
        connection: in autocommit mode, to a database in which the template has been stored from a notification.
        contacts: the copies are numbered from 0 and fit the notifications of a plan with this population.
    """
    for copies in _COPIES:
        _copy(connection, copies, contacts)
    # Otherwise autovacuum would do this during a measurement.
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")


def _copy(connection: psycopg.Connection, copies: _Copies, contacts: int) -> None:
    of_table = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
    names = [name for (name,) in connection.execute(of_table, (copies.table,))]
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(copies.values.get(name, f't."{name}"') for name in names)
    statement = (
        f"INSERT INTO {copies.table} ({columns}) SELECT {values}"  # noqa: S608 -- only the constants above
        f" FROM {copies.table} t, generate_series(0, {contacts - 1}, {copies.every}) i WHERE {copies.where}"
    )
    template = {"contact": contact_id(TEMPLATE_NUMBER), "company": company_id(TEMPLATE_NUMBER)}
    connection.execute(sql.SQL(statement), template)
