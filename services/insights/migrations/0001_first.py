"""The projection of learners, items and skills, every graded answer, the fitted models, and the kernel's tables."""

from alembic import op

from services.kernel.database.tables import JOB_RUNS, MESSAGING

revision = "insights_0001"
down_revision = None


def upgrade() -> None:
    op.execute(MESSAGING)
    op.execute(JOB_RUNS)
    op.execute("""
        -- One row per refit. The one in use is the newest accepted one; 'broken' was found damaged when read.
        CREATE TABLE models (
            id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            uri           text NOT NULL,
            status        text NOT NULL CHECK (status IN ('accepted', 'rejected', 'broken')),
            trained_until timestamptz NOT NULL,
            figures       jsonb NOT NULL,
            created_at    timestamptz NOT NULL DEFAULT now()
        );
        CREATE INDEX models_accepted ON models (id DESC) WHERE status = 'accepted';

        CREATE TABLE skills (name text PRIMARY KEY);

        -- gap and information: what answers later than the model's training say about the item's easiness.
        CREATE TABLE items (
            id           text PRIMARY KEY,
            subject      text NOT NULL,
            difficulty   text NOT NULL,
            title        jsonb NOT NULL,
            skills       text[] NOT NULL,
            published_at timestamptz,
            model_id     bigint NOT NULL DEFAULT 0,
            gap          double precision NOT NULL DEFAULT 0,
            information  double precision NOT NULL DEFAULT 0,
            changed_at   timestamptz NOT NULL DEFAULT now()
        ) WITH (fillfactor = 70);
        CREATE INDEX items_changed_at ON items (changed_at);

        -- residual: answer minus expectation under model_id, null until the learner's state has taken it in.
        CREATE TABLE interactions (
            id       text PRIMARY KEY,
            learner  text NOT NULL,
            item     text NOT NULL,
            skills   text[] NOT NULL,
            correct  boolean NOT NULL,
            at       timestamptz NOT NULL,
            position bigint NOT NULL DEFAULT 0,
            model_id bigint,
            residual double precision
        );
        CREATE INDEX interactions_learner ON interactions (learner, at, position, id);

        CREATE TABLE learners (
            id          text PRIMARY KEY,
            model_id    bigint NOT NULL DEFAULT 0,
            state       json NOT NULL,
            activity    json NOT NULL,
            last_at     timestamptz NOT NULL,
            last_position bigint NOT NULL,
            last_id     text NOT NULL,
            version     bigint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 70);
    """)
