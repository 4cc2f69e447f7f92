"""The grader may have a model word hints and errors: the quota's ledger and the log of calls."""

from alembic import op

from services.kernel.database.tables import LLM, WORKER_LOGS

revision = "grader_0002"
down_revision = "grader_0001"


def upgrade() -> None:
    op.execute(LLM)
    op.execute(WORKER_LOGS)
