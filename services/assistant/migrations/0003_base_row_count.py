"""How many rows a known base data set has; NULL for those kept before, until their problem is published again."""

from alembic import op

revision = "assistant_0003"
down_revision = "assistant_0002"


def upgrade() -> None:
    op.execute("ALTER TABLE known_questions ADD COLUMN base_row_count bigint CHECK (base_row_count >= 0)")
