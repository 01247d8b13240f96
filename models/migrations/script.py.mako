"""${message}."""

import sqlalchemy as sa
from alembic import op

from models.tables import column_types

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Migrate the tables from the previous revision to this one."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Migrate the tables back to the previous revision."""
    ${downgrades if downgrades else "pass"}
