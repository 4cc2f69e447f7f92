"""The tables that every service's schema carries for the kernel. Migrations call these; nothing else does."""

MESSAGING = """
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic        text NOT NULL,
    attributes   jsonb NOT NULL,
    data         bytea NOT NULL,
    ordering_key text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    lease_token  uuid,
    leased_until timestamptz,
    attempts     integer NOT NULL DEFAULT 0,
    last_error   text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);

CREATE TABLE inbox (
    subscription text NOT NULL,
    source       text NOT NULL,
    message_id   text NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription, source, message_id)
);
CREATE INDEX inbox_processed_at ON inbox USING brin (processed_at);

CREATE TABLE dead_letters (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription        text NOT NULL,
    topic               text NOT NULL,
    message_id          text,
    source              text,
    attributes          jsonb NOT NULL,
    data                bytea NOT NULL,
    error_code          text NOT NULL,
    reason              text NOT NULL,
    handler             text NOT NULL,
    attempt             integer NOT NULL,
    died_at             timestamptz NOT NULL DEFAULT now(),
    replays             integer NOT NULL DEFAULT 0,
    replay_requested_at timestamptz,
    resolved_at         timestamptz,
    UNIQUE (subscription, source, message_id)
);
CREATE INDEX dead_letters_open ON dead_letters (subscription, id) WHERE resolved_at IS NULL;
"""

JOB_RUNS = """
CREATE TABLE job_runs (
    job_id       uuid PRIMARY KEY,
    fence        integer NOT NULL,
    state        text NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
    run_token    uuid,
    request      jsonb NOT NULL DEFAULT '{}',
    outcome      jsonb,
    sequence     integer NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz,
    ended_at     timestamptz
) WITH (fillfactor = 70);
CREATE INDEX job_runs_ended_at ON job_runs USING brin (ended_at);
"""

LLM = """
CREATE TABLE llm_models (
    model        text PRIMARY KEY,
    parked_until timestamptz,
    park_reason  text NOT NULL DEFAULT ''
);

CREATE TABLE llm_usage (
    model             text NOT NULL,
    day               date NOT NULL,
    requests          integer NOT NULL DEFAULT 0 CHECK (requests >= 0),
    prompt_tokens     bigint NOT NULL DEFAULT 0,
    candidates_tokens bigint NOT NULL DEFAULT 0,
    thought_tokens    bigint NOT NULL DEFAULT 0,
    cached_tokens     bigint NOT NULL DEFAULT 0,
    tool_tokens       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (model, day)
) WITH (fillfactor = 50);

CREATE TABLE llm_reservations (
    id          uuid PRIMARY KEY,
    model       text NOT NULL,
    day         date NOT NULL,
    purpose     text NOT NULL,
    tokens      integer NOT NULL,
    reserved_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    sent_at     timestamptz,
    settled_at  timestamptz
) WITH (fillfactor = 70);
CREATE INDEX llm_reservations_window ON llm_reservations (model, reserved_at);
CREATE INDEX llm_reservations_unsent ON llm_reservations (model, expires_at) WHERE sent_at IS NULL;
"""

WORKER_LOGS = """
CREATE TABLE worker_logs (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_type      text NOT NULL,
    job_id        uuid,
    status        text NOT NULL CHECK (status IN ('succeeded', 'failed', 'stopped', 'handed_over')),
    model_used    text NOT NULL,
    tokens_used   integer NOT NULL DEFAULT 0,
    duration_ms   integer NOT NULL,
    error_message text NOT NULL DEFAULT '',
    purpose       text NOT NULL DEFAULT '',
    finish_reason text NOT NULL DEFAULT '',
    served_model  text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX worker_logs_created_at ON worker_logs USING brin (created_at);
CREATE INDEX worker_logs_calls ON worker_logs (job_id) WHERE purpose <> '';
"""
"""A row with a ``purpose`` is one call to a model (or the offline answer in its place); a row without is one run."""
