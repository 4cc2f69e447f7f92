"""The grader's own copy of problems, what learners sent, what was judged, and the kernel's own tables."""

from alembic import op

from services.kernel.database.tables import JOB_RUNS, MESSAGING

revision = "grader_0001"
down_revision = None


def upgrade() -> None:
    op.execute(MESSAGING)
    op.execute(JOB_RUNS)
    op.execute("""
        CREATE TABLE problems (
            id            uuid PRIMARY KEY,
            data_type     text NOT NULL,
            difficulty    text NOT NULL,
            tags          text[] NOT NULL,
            title         jsonb NOT NULL,
            hints         jsonb NOT NULL,
            ddl           jsonb NOT NULL,
            reference_sql text NOT NULL,
            ordered       boolean NOT NULL,
            published_at  timestamptz NOT NULL,
            updated_at    timestamptz NOT NULL DEFAULT now()
        );

        CREATE TABLE data_sets (
            problem_id uuid NOT NULL REFERENCES problems,
            position   integer NOT NULL,
            name       text NOT NULL,
            kind       text NOT NULL CHECK (kind IN ('base', 'small')),
            row_count  integer NOT NULL,
            inline     jsonb NOT NULL,
            uri        text NOT NULL,
            PRIMARY KEY (problem_id, position)
        );

        -- A judgement is about an answer, not about who sent it: equal answers share it. The one with no
        -- superseded_at is in force; earlier ones stay as the history of rejudging.
        CREATE TABLE verdicts (
            id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            problem_id     uuid NOT NULL REFERENCES problems,
            answer_key     bytea NOT NULL,
            answer         text NOT NULL,
            dialect        text NOT NULL,
            verdict        text NOT NULL CHECK (verdict IN ('correct', 'wrong')),
            score          double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
            mistake_kind   text NOT NULL DEFAULT '',
            mistake_clause text NOT NULL DEFAULT '',
            feedback       jsonb NOT NULL,
            duration_ms    integer NOT NULL,
            judged_at      timestamptz NOT NULL DEFAULT now(),
            superseded_at  timestamptz,
            supersedes     bigint REFERENCES verdicts
        );
        CREATE UNIQUE INDEX verdicts_in_force ON verdicts (problem_id, answer_key) WHERE superseded_at IS NULL;

        CREATE TABLE counterexamples (
            verdict_id bigint PRIMARY KEY REFERENCES verdicts,
            data_set   jsonb NOT NULL,
            row_count  integer NOT NULL,
            difference jsonb NOT NULL
        );

        CREATE TABLE attempts (
            problem_id uuid NOT NULL REFERENCES problems,
            user_id    text NOT NULL,
            made       integer NOT NULL,
            PRIMARY KEY (problem_id, user_id)
        );

        CREATE TABLE submissions (
            id           uuid PRIMARY KEY,
            job_id       uuid NOT NULL UNIQUE,
            problem_id   uuid NOT NULL REFERENCES problems,
            user_id      text NOT NULL,
            sql          text NOT NULL,
            dialect      text NOT NULL,
            answer_key   bytea NOT NULL,
            attempt      integer NOT NULL CHECK (attempt >= 1),
            submitted_at timestamptz NOT NULL DEFAULT now(),
            verdict_id   bigint REFERENCES verdicts,
            graded_at    timestamptz
        );
        CREATE INDEX submissions_answer ON submissions (problem_id, answer_key);
        CREATE INDEX submissions_user ON submissions (user_id, submitted_at DESC);
    """)
