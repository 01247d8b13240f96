"""Alembic's entry point: run the migrations on the connection that `models.db.migrate` provides."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

from models.tables.all_tables import metadata
from models.tables.column_types import Json, Sequence


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    if kind == "type":
        names = {id(Json): "column_types.Json", id(Sequence): "column_types.Sequence"}
        if id(item) in names:
            return names[id(item)]
        if type(item).__module__ == "models.tables.column_types":
            return f"column_types.{type(item).__name__}()"
    return False


def _is_compared(item: Any, _name: str | None, kind: str, reflected: bool, _other: Any) -> bool:  # noqa: FBT001 -- Alembic's signature
    # Indexes on JSON exist on PostgreSQL only, so other databases do not lack them.
    if kind != "index" or reflected or context.get_context().dialect.name == "postgresql":
        return True
    return bool(item.dialect_options["postgresql"]["using"] != "gin")


def run(connection: Connection) -> None:
    """Run the migrations of the Alembic command, in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=_is_compared,
        render_item=_render,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=False,
        compare_server_default=False,
    )
    context.run_migrations()


run(context.config.attributes["connection"])
