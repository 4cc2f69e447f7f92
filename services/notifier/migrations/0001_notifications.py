"""Notifications, in the order in which they became visible."""

from alembic import op

from services.kernel.database.tables import MESSAGING

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(MESSAGING)
    op.execute("""
    CREATE TABLE notifications (
        sequence      bigint PRIMARY KEY,
        id            uuid NOT NULL UNIQUE,
        kind          text NOT NULL CHECK (kind IN ('alert', 'success')),
        type          text NOT NULL,
        severity      text NOT NULL CHECK (severity IN ('info', 'warning', 'error', 'critical')),
        audience      text NOT NULL CHECK (audience IN ('user', 'holder', 'everyone', 'administrators')),
        user_id       text NOT NULL,
        about         text NOT NULL,
        text_ko       text NOT NULL,
        text_en       text NOT NULL,
        error_message text NOT NULL,
        stack_trace   text NOT NULL,
        project_id    text NOT NULL,
        trace_id      text NOT NULL,
        occurred_at   timestamptz NOT NULL,
        created_at    timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX notifications_user ON notifications (user_id, sequence) WHERE audience = 'user';
    CREATE INDEX notifications_holder ON notifications (about, sequence) WHERE audience = 'holder';
    CREATE INDEX notifications_everyone ON notifications (sequence) WHERE audience = 'everyone';
    CREATE INDEX notifications_created_at ON notifications USING brin (created_at);

    CREATE SEQUENCE notifications_order;

    -- A reader that has seen number 10 must never find number 9 later: numbers are handed out under
    -- a lock that is held until the transaction has become visible.
    CREATE FUNCTION number_notification() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('notifier.notifications_order'));
        NEW.sequence = nextval('notifications_order');
        RETURN NEW;
    END
    $$;
    CREATE TRIGGER number_notification BEFORE INSERT ON notifications
        FOR EACH ROW EXECUTE FUNCTION number_notification();
    """)
