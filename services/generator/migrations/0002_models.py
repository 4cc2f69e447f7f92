"""The quota ledger, and what the worker log says of each call to a model."""

from alembic import op

from services.kernel.database.tables import LLM

revision = "generator_0002"
down_revision = "generator_0001"


def upgrade() -> None:
    op.execute(LLM)
    op.execute("""
        ALTER TABLE worker_logs ALTER COLUMN job_id DROP NOT NULL,
            ADD COLUMN purpose       text NOT NULL DEFAULT '',
            ADD COLUMN finish_reason text NOT NULL DEFAULT '',
            ADD COLUMN served_model  text NOT NULL DEFAULT '';
        CREATE INDEX worker_logs_calls ON worker_logs (job_id) WHERE purpose <> '';
    """)
