"""Webhooks, and one row for every notification that is to be delivered to one of them."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
    CREATE TABLE webhooks (
        id              uuid PRIMARY KEY,
        user_id         text NOT NULL,
        everything      boolean NOT NULL,
        url             text NOT NULL,
        secret          text NOT NULL,
        previous_secret text,
        previous_until  timestamptz,
        kinds           text[] NOT NULL,
        types           text[] NOT NULL,
        min_severity    smallint NOT NULL,
        disabled_at     timestamptz,
        disabled_reason text NOT NULL DEFAULT '',
        created_at      timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX webhooks_user ON webhooks (user_id, created_at);

    CREATE TABLE deliveries (
        id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        notification_id uuid NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
        webhook_id      uuid NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
        status          text NOT NULL DEFAULT 'pending'
                        CHECK (status IN ('pending', 'delivered', 'failed', 'cancelled')),
        attempts        integer NOT NULL DEFAULT 0,
        next_attempt_at timestamptz NOT NULL DEFAULT now(),
        lease_token     uuid,
        leased_until    timestamptz,
        response_status integer,
        last_error      text NOT NULL DEFAULT '',
        created_at      timestamptz NOT NULL DEFAULT now(),
        finished_at     timestamptz,
        UNIQUE (notification_id, webhook_id)
    ) WITH (fillfactor = 70);
    CREATE INDEX deliveries_due ON deliveries (webhook_id, next_attempt_at) WHERE status = 'pending';
    CREATE INDEX deliveries_of_webhook ON deliveries (webhook_id, id);
    """)
