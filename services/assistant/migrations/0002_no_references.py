"""Reference SQL is not kept any more. The column stays, empty, until no process of the version before writes it."""

from alembic import op

revision = "assistant_0002"
down_revision = "assistant_0001"


def upgrade() -> None:
    op.execute("ALTER TABLE known_questions ALTER COLUMN sql DROP NOT NULL")
    op.execute("UPDATE known_questions SET sql = NULL")
