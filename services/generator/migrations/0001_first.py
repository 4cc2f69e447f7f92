"""Problems, the sets they come in, tips, the worker log, and the kernel's own tables."""

from alembic import op

from services.kernel.database.tables import JOB_RUNS, MESSAGING

revision = "generator_0001"
down_revision = None


def upgrade() -> None:
    op.execute(MESSAGING)
    op.execute(JOB_RUNS)
    op.execute("""
        CREATE TABLE problem_sets (
            problem_date date NOT NULL,
            data_type    text NOT NULL,
            set_index    integer NOT NULL CHECK (set_index >= 0),
            job_id       uuid NOT NULL UNIQUE,
            wanted       integer NOT NULL CHECK (wanted > 0),
            seed         bigint NOT NULL,
            chunks       integer NOT NULL DEFAULT 0,
            dropped      jsonb NOT NULL DEFAULT '{}',
            created_at   timestamptz NOT NULL DEFAULT now(),
            completed_at timestamptz,
            PRIMARY KEY (problem_date, data_type, set_index)
        );

        CREATE TABLE problems (
            id              uuid PRIMARY KEY,
            problem_date    date NOT NULL,
            data_type       text NOT NULL,
            set_index       integer NOT NULL,
            position        integer NOT NULL,
            difficulty      text NOT NULL,
            title           text NOT NULL,
            description     text NOT NULL,
            initial_sql     text NOT NULL,
            expected_answer jsonb NOT NULL,
            hints           jsonb NOT NULL,
            created_at      timestamptz NOT NULL DEFAULT now(),
            texts           jsonb NOT NULL,
            tags            text[] NOT NULL,
            ddl             jsonb NOT NULL,
            reference_sql   text NOT NULL,
            normalised_sql  text NOT NULL,
            ordered         boolean NOT NULL,
            datasets        jsonb NOT NULL,
            mutants         jsonb NOT NULL,
            provenance      jsonb NOT NULL,
            job_id          uuid NOT NULL,
            published_at    timestamptz,
            UNIQUE (problem_date, data_type, set_index, title),
            FOREIGN KEY (problem_date, data_type, set_index) REFERENCES problem_sets
        );
        CREATE INDEX problems_recent ON problems (data_type, created_at);

        CREATE TABLE daily_tips (
            id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            tip_date   date NOT NULL UNIQUE,
            content    jsonb NOT NULL,
            category   text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        );

        CREATE TABLE worker_logs (
            id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            job_type      text NOT NULL,
            job_id        uuid NOT NULL,
            status        text NOT NULL CHECK (status IN ('succeeded', 'failed', 'stopped', 'handed_over')),
            model_used    text NOT NULL,
            tokens_used   integer NOT NULL DEFAULT 0,
            duration_ms   integer NOT NULL,
            error_message text NOT NULL DEFAULT '',
            created_at    timestamptz NOT NULL DEFAULT now()
        );
        CREATE INDEX worker_logs_created_at ON worker_logs USING brin (created_at);
    """)
