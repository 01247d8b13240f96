"""
Write a migration for what changed in the models: `make migration NAME="add vip to contacts"`.

1. Create an empty PostgreSQL database on the tests' own server, as it compares more than SQLite does.
2. Migrate it to the newest migration.
3. Have Alembic compare it with the models, and write the difference as the file with the next number.
4. Format the file and remove unused imports.
"""

import re
import subprocess
import sys
from pathlib import Path

from alembic import command

from models.db.engine import transaction, write_engine
from models.db.migrate import configuration, upgrade
from models.db.revision import REVISION
from tests import postgres_server as postgres


def write_migration(name: str) -> str:
    """Write the migration and return the path of its file."""
    number = f"{int(REVISION) + 1:04}"
    slug = re.sub(r"\W+", "_", name.lower()).strip("_")
    with postgres.run_server() as server:
        url = server.create(postgres.unique_name("migration"))
        upgrade(url)
        engine = write_engine(url)
        try:
            with transaction(engine) as connection:
                config = configuration(connection)
                config.set_main_option("file_template", f"{number}_{slug}")
                script = command.revision(config, message=name[0].upper() + name[1:], autogenerate=True, rev_id=number)
        finally:
            engine.dispose()
    path = str(getattr(script, "path", ""))
    ruff = str(Path(sys.executable).with_name("ruff"))
    subprocess.run([ruff, "check", "--quiet", "--fix", path], check=False)
    subprocess.run([ruff, "format", "--quiet", path], check=True)
    return path


if __name__ == "__main__":
    title = " ".join(sys.argv[1:]).strip()
    if not title:
        raise SystemExit('Give the migration a name: make migration NAME="add vip to contacts"')
    print(write_migration(title))  # noqa: T201 -- its output is its purpose
