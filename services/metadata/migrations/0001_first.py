"""Hints of changed tables, feedback on examples, the model ledger and the kernel's own tables."""

from alembic import op

from services.kernel.database.tables import JOB_RUNS, LLM, MESSAGING, WORKER_LOGS

revision = "metadata_0001"
down_revision = None


def upgrade() -> None:
    for statements in (MESSAGING, JOB_RUNS, LLM, WORKER_LOGS):
        op.execute(statements)
    op.execute("""
        CREATE TABLE table_hints (
            table_id     text PRIMARY KEY,
            kind         text NOT NULL CHECK (kind IN ('changed', 'created', 'deleted')),
            reason       text NOT NULL DEFAULT '',
            seen         integer NOT NULL DEFAULT 1,
            first_at     timestamptz NOT NULL DEFAULT now(),
            last_at      timestamptz NOT NULL DEFAULT now(),
            due_at       timestamptz NOT NULL,
            attempts     integer NOT NULL DEFAULT 0,
            lease_token  uuid,
            leased_until timestamptz,
            last_error   text NOT NULL DEFAULT ''
        ) WITH (fillfactor = 70);
        CREATE INDEX table_hints_due ON table_hints (due_at);

        CREATE TABLE example_feedback (
            table_id      text NOT NULL,
            example_id    text NOT NULL,
            user_id       text NOT NULL,
            verdict       text NOT NULL CHECK (verdict IN ('worked', 'wrong', 'unclear')),
            corrected_sql text NOT NULL DEFAULT '',
            comment       text NOT NULL DEFAULT '',
            given_at      timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (table_id, example_id, user_id)
        );
    """)
