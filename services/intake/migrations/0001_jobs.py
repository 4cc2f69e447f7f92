"""The job queue: jobs, their log, turns, limits, idempotency keys, and who may touch what."""

from alembic import op

from services.kernel.database import tables

revision = "intake_0001"
down_revision = None

# Fill factors leave room for the updates every job sees, so that most of them are heap-only.
JOBS = """
CREATE TABLE ai_jobs (
    id           uuid PRIMARY KEY,
    user_id      text,
    type         text NOT NULL,
    query        text NOT NULL,
    priority     text NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high')),
    status       text NOT NULL DEFAULT 'queued'
                 CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'cancelled')),
    progress     integer NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    current_step text,
    result       jsonb,
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    completed_at timestamptz,
    metadata     jsonb NOT NULL DEFAULT '{}',
    -- what the requirements do not name: dispatch, fencing and the way to the worker
    options      jsonb NOT NULL DEFAULT '{}',
    worker       text NOT NULL,
    rank         smallint NOT NULL
                 GENERATED ALWAYS AS (CASE priority WHEN 'high' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END) STORED,
    vtime        bigint NOT NULL,
    fence        integer NOT NULL DEFAULT 0,
    sequence     integer NOT NULL DEFAULT 0,
    released_at  timestamptz,
    heartbeat_at timestamptz,
    log_seq      integer NOT NULL DEFAULT 1,
    traceparent  text NOT NULL DEFAULT '',
    CHECK ((completed_at IS NULL) = (status IN ('queued', 'processing')))
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX ai_jobs_created ON ai_jobs (created_at DESC, id DESC);
CREATE INDEX ai_jobs_status ON ai_jobs (status, created_at DESC, id DESC);
CREATE INDEX ai_jobs_user ON ai_jobs (user_id, created_at DESC, id DESC);
CREATE INDEX ai_jobs_type ON ai_jobs (type, created_at DESC, id DESC);
CREATE INDEX ai_jobs_waiting ON ai_jobs (worker, rank, vtime, created_at)
    WHERE status = 'queued' AND released_at IS NULL;
CREATE INDEX ai_jobs_out ON ai_jobs (worker)
    WHERE released_at IS NOT NULL AND status IN ('queued', 'processing');

-- Every event of a job, as SSE replays them. Written only in the statement that changes the job,
-- so a foreign key would check what cannot be otherwise.
CREATE TABLE ai_job_logs (
    job_id     uuid NOT NULL,
    seq        integer NOT NULL,
    status     text NOT NULL,
    progress   integer NOT NULL,
    step       text,
    error      text,
    details    jsonb,
    reported_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, seq)
);

CREATE FUNCTION keep_terminal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'job % has ended as % and stays so', OLD.id, OLD.status USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER ai_jobs_keep_terminal BEFORE UPDATE OF status, result, error, completed_at ON ai_jobs
    FOR EACH ROW WHEN (OLD.status IN ('completed', 'failed', 'cancelled')) EXECUTE FUNCTION keep_terminal();
"""

# Small tables whose rows change with every batch: room on the page, and vacuums at once.
TURNS = """
CREATE TABLE turn_queues (
    worker text NOT NULL,
    rank   smallint NOT NULL,
    vtime  bigint NOT NULL,
    PRIMARY KEY (worker, rank)
) WITH (fillfactor = 20);

CREATE TABLE turn_users (
    worker text NOT NULL,
    rank   smallint NOT NULL,
    caller text NOT NULL,
    vtime  bigint NOT NULL,
    added  bigint NOT NULL,
    PRIMARY KEY (worker, rank, caller)
) WITH (fillfactor = 50);

CREATE TABLE dispatch_windows (
    worker     text PRIMARY KEY,
    out        integer NOT NULL DEFAULT 0,
    rate       double precision NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20);

CREATE TABLE rate_limits (
    caller  text PRIMARY KEY,
    tat     timestamptz NOT NULL,
    granted integer NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX rate_limits_tat ON rate_limits USING brin (tat);

CREATE TABLE idempotency_keys (
    scope           text NOT NULL,
    key             text NOT NULL,
    fingerprint     text NOT NULL,
    job_id          uuid NOT NULL,
    answer_status   integer,
    answer          text NOT NULL,
    answering_until timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
"""

SCHEDULES = """
CREATE TABLE schedules (
    name        text PRIMARY KEY,
    cron        text NOT NULL,
    timezone    text NOT NULL,
    type        text NOT NULL,
    query       text NOT NULL,
    priority    text NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high')),
    options     jsonb NOT NULL DEFAULT '{}',
    metadata    jsonb NOT NULL DEFAULT '{}',
    enabled     boolean NOT NULL DEFAULT true,
    next_due_at timestamptz,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO schedules (name, cron, timezone, type, query, options) VALUES
    ('daily-problems-pa', '0 1 * * *', 'Asia/Seoul', 'problem_generation',
     'Daily practice problems on product analytics', '{"data_type": "pa"}'),
    ('daily-problems-stream', '0 1 * * *', 'Asia/Seoul', 'problem_generation',
     'Daily practice problems on a streaming service', '{"data_type": "stream"}');
"""

# Row-level security binds the service itself (FORCE). A client's own changes run as
# intake_client with the user in a transaction-local setting, which survives a pooler.
SECURITY = """
DO $$ BEGIN
    CREATE ROLE intake_client NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT intake_client TO intake;
GRANT USAGE ON SCHEMA intake TO intake_client;
GRANT SELECT ON ai_jobs, ai_job_logs TO intake_client;
GRANT UPDATE (status, completed_at, log_seq) ON ai_jobs TO intake_client;

ALTER TABLE ai_jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_jobs FORCE ROW LEVEL SECURITY;
CREATE POLICY anyone_reads ON ai_jobs FOR SELECT USING (true);
CREATE POLICY service_writes ON ai_jobs TO intake USING (true) WITH CHECK (true);
CREATE POLICY owner_updates ON ai_jobs FOR UPDATE TO intake_client
    USING (user_id IS NOT DISTINCT FROM nullif(current_setting('querycraft.user_id', true), ''))
    WITH CHECK (user_id IS NOT DISTINCT FROM nullif(current_setting('querycraft.user_id', true), ''));

ALTER TABLE ai_job_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_job_logs FORCE ROW LEVEL SECURITY;
CREATE POLICY anyone_reads ON ai_job_logs FOR SELECT USING (true);
CREATE POLICY service_writes ON ai_job_logs TO intake USING (true) WITH CHECK (true);
"""


def upgrade() -> None:
    for statements in (tables.MESSAGING, JOBS, TURNS, SCHEDULES, SECURITY):
        op.execute(statements)
