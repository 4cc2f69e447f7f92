"""Trained classifiers, people's corrections, known questions and their data, and the kernel's own tables."""

from alembic import op

from services.kernel.database.tables import JOB_RUNS, LLM, MESSAGING, WORKER_LOGS

revision = "assistant_0001"
down_revision = None


def upgrade() -> None:
    op.execute(MESSAGING)
    op.execute(JOB_RUNS)
    op.execute(LLM)
    op.execute(WORKER_LOGS)
    op.execute("""
        -- Several per taxonomy: the newest one that can be read serves.
        CREATE TABLE classifiers (
            id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            taxonomy   text NOT NULL,
            version    text NOT NULL,
            digest     text NOT NULL,
            artefact   bytea NOT NULL,
            examples   integer NOT NULL,
            trained_at timestamptz NOT NULL DEFAULT now()
        );
        CREATE INDEX classifiers_newest ON classifiers (taxonomy, id DESC);

        CREATE TABLE corrections (
            id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            taxonomy     text NOT NULL,
            text_hash    bytea NOT NULL,
            text         text NOT NULL,
            category     text NOT NULL,
            priority     text NOT NULL,
            corrected_by text NOT NULL,
            corrected_at timestamptz NOT NULL DEFAULT now(),
            UNIQUE (taxonomy, text_hash)
        );

        -- Questions with their verified SQL, from published problems.
        CREATE TABLE known_questions (
            problem_id    uuid PRIMARY KEY,
            data_type     text NOT NULL,
            question_ko   text NOT NULL,
            question_en   text NOT NULL,
            sql           text NOT NULL,
            ddl           jsonb NOT NULL,
            base_uri      text NOT NULL,
            base_rows     jsonb NOT NULL,
            published_at  timestamptz NOT NULL
        );
        CREATE INDEX known_questions_data ON known_questions (data_type, published_at DESC);
    """)
