"""The daily refresh of tables' metadata."""

from alembic import op

revision = "intake_0002"
down_revision = "intake_0001"


def upgrade() -> None:
    op.execute("""
        INSERT INTO schedules (name, cron, timezone, type, query) VALUES
            ('metadata-refresh', '0 17 * * *', 'Etc/UTC', 'metadata_refresh', 'Refresh the metadata of every table')
        ON CONFLICT (name) DO NOTHING
    """)
