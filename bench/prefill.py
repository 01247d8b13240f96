"""Fills a database with many contacts, by copying one that the product itself has stored."""

import psycopg
from psycopg import sql

from bench.bodies import contact_id

WORKSPACE = "growth"
# The template's number lies beyond every population, so that it is never updated itself.
TEMPLATE_NUMBER = 10**9

# The ids that `bench.bodies` makes, as SQL of the number i.
_CONTACT = "'6650a1b2' || lpad(to_hex(i), 16, '0')"
_COMPANY = "'6650a2f0' || lpad(to_hex(i / 10), 16, '0')"
_TAG = "(11870000 + i %% 20)::text"

# Every table that has rows about a contact: which row is the template, and what differs from copy to copy.
_TABLES: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "contacts",
        "id = %(template)s",
        {
            "id": _CONTACT,
            "external_id": "'cust_' || i",
            "email": "'contact' || i || '@orchard.example'",
            "phone": "'+1555' || i",
            "name": "'Mira Okafor ' || i",
            "_raw": f"replace(replace(t._raw::text, %(template)s, {_CONTACT}), %(number)s, i::text)::jsonb",
        },
    ),
    ("object_states", "object_type = 'contact' AND object_id = %(template)s", {"object_id": _CONTACT}),
    ("contact_companies", "contact_id = %(template)s", {"contact_id": _CONTACT, "company_id": _COMPANY}),
    ("contact_tags", "contact_id = %(template)s", {"contact_id": _CONTACT, "tag_id": _TAG}),
    (
        "link_states",
        "owner_id = %(template)s",
        {
            "owner_id": _CONTACT,
            "other_id": f"CASE kind WHEN 'contact_tags' THEN {_TAG} ELSE {_COMPANY} END",
        },
    ),
)


_COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"


def prefill(connection: psycopg.Connection, contacts: int) -> None:
    """
    Copy the template contact `contacts` times, with its guard, links and link states.

    Args:
        connection: in autocommit mode, to a database in which the template has been stored from a notification.
        contacts: the copies are numbered from 0 and fit the notifications of a plan with this population.
    """
    for table, condition, differing in _TABLES:
        _copy(connection, table, condition, differing, contacts)
    # What autovacuum would do soon, and in the middle of a measurement.
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")


def _copy(connection: psycopg.Connection, table: str, condition: str, differing: dict[str, str], contacts: int) -> None:
    names = [name for (name,) in connection.execute(_COLUMNS, (table,))]
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(differing.get(name, f't."{name}"') for name in names)
    statement = (
        f"INSERT INTO {table} ({columns}) "  # noqa: S608 -- Nothing but the constants above.
        f"SELECT {values} FROM {table} t, generate_series(0, {contacts - 1}) i WHERE {condition}"
    )
    parameters = {"template": contact_id(TEMPLATE_NUMBER), "number": str(TEMPLATE_NUMBER)}
    connection.execute(sql.SQL(statement), parameters)
