"""Webhooks may have storms grouped and quiet hours, as e-mail has.

Only expands: a replica of the version before posts what is grouped one by one.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("""
    ALTER TABLE webhooks
        ADD COLUMN digest_seconds integer NOT NULL DEFAULT 0 CHECK (digest_seconds >= 0),
        ADD COLUMN time_zone text NOT NULL DEFAULT 'Asia/Seoul',
        ADD COLUMN quiet_from time,
        ADD COLUMN quiet_until time,
        ADD CHECK ((quiet_from IS NULL) = (quiet_until IS NULL));

    -- What shares a post. planned_at: when the group's newest post is, or was, to leave.
    CREATE TABLE webhook_groups (
        id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        webhook_id  uuid NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
        type        text NOT NULL,
        critical    boolean NOT NULL,
        planned_at  timestamptz NOT NULL,
        UNIQUE (webhook_id, type, critical)
    ) WITH (fillfactor = 70);

    ALTER TABLE deliveries
        ADD COLUMN webhook_group_id bigint REFERENCES webhook_groups (id) ON DELETE CASCADE,
        ADD CHECK (webhook_group_id IS NULL OR channel = 'webhook');
    CREATE INDEX deliveries_webhook_group_due ON deliveries (next_attempt_at)
        WHERE status = 'pending' AND webhook_group_id IS NOT NULL;
    CREATE INDEX deliveries_of_webhook_group ON deliveries (webhook_group_id, id) WHERE webhook_group_id IS NOT NULL;
    """)
