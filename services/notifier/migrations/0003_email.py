"""E-mail: who wants it, which mails are grouped, and deliveries by either channel.

Only expands: a replica of the version before finds webhooks' deliveries through their webhook alone.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
    CREATE TABLE email_subscriptions (
        id              uuid PRIMARY KEY,
        user_id         text NOT NULL,
        everything      boolean NOT NULL,
        address         text NOT NULL,
        locale          text NOT NULL CHECK (locale IN ('ko', 'en')),
        kinds           text[] NOT NULL,
        types           text[] NOT NULL,
        min_severity    smallint NOT NULL,
        digest_seconds  integer NOT NULL CHECK (digest_seconds >= 0),
        time_zone       text NOT NULL,
        quiet_from      time,
        quiet_until     time,
        token_hash      bytea,
        created_at      timestamptz NOT NULL DEFAULT now(),
        confirmed_at    timestamptz,
        disabled_at     timestamptz,
        disabled_reason text NOT NULL DEFAULT '',
        CHECK ((quiet_from IS NULL) = (quiet_until IS NULL))
    );
    -- One event reaches one address of a user once.
    CREATE UNIQUE INDEX email_subscriptions_address ON email_subscriptions (user_id, lower(address));

    -- Confirmations sent, kept beyond the subscription: nobody may have strangers mailed at will.
    CREATE TABLE email_confirmations (
        user_id text NOT NULL,
        sent_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX email_confirmations_user ON email_confirmations (user_id, sent_at);

    -- What shares a mail. planned_at: when the group's newest mail is, or was, to leave.
    CREATE TABLE email_groups (
        id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        subscription_id uuid NOT NULL REFERENCES email_subscriptions (id) ON DELETE CASCADE,
        type            text NOT NULL,
        critical        boolean NOT NULL,
        planned_at      timestamptz NOT NULL,
        UNIQUE (subscription_id, type, critical)
    ) WITH (fillfactor = 70);

    ALTER TABLE deliveries
        ADD COLUMN channel text NOT NULL DEFAULT 'webhook' CHECK (channel IN ('webhook', 'email')),
        ADD COLUMN email_group_id bigint REFERENCES email_groups (id) ON DELETE CASCADE,
        ALTER COLUMN webhook_id DROP NOT NULL,
        ADD CHECK ((channel = 'webhook') = (webhook_id IS NOT NULL)
                   AND (channel = 'email') = (email_group_id IS NOT NULL));
    -- A notification's type and severity name its group: this is once per event and subscription.
    CREATE UNIQUE INDEX deliveries_email_once ON deliveries (email_group_id, notification_id) WHERE channel = 'email';
    CREATE INDEX deliveries_email_due ON deliveries (next_attempt_at) WHERE status = 'pending' AND channel = 'email';
    CREATE INDEX deliveries_of_email_group ON deliveries (email_group_id, id) WHERE channel = 'email';
    """)
