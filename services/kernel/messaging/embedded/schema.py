"""The broker's tables: PgQueuer's own, and what Pub/Sub's semantics need beyond them."""

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings
from pgqueuer.ports.driver import Driver

SCHEMA = "broker"
CHANNEL = "querycraft_broker"
"""NOTIFY channel; the payload is the name of the subscription that has something to take."""
ORDERING_KEY = "goog-ordering-key"
"""Key of the ordering key among a row's headers; no message attribute may begin with ``goog``."""

_LOCK = "SELECT pg_advisory_lock(hashtext('querycraft.broker.provision'))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtext('querycraft.broker.provision'))"

_EXTENSIONS = f"""
-- PgQueuer wakes every listener at every change of any row. Ours wakes only those who wait for the subscription.
ALTER TABLE {SCHEMA}.pgqueuer DISABLE TRIGGER tg_pgqueuer_changed;

CREATE OR REPLACE FUNCTION {SCHEMA}.wake_subscribers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{CHANNEL}', entrypoint) FROM (SELECT DISTINCT entrypoint FROM published) AS woken;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER wake_subscribers AFTER INSERT ON {SCHEMA}.pgqueuer
    REFERENCING NEW TABLE AS published FOR EACH STATEMENT EXECUTE FUNCTION {SCHEMA}.wake_subscribers();

-- PgQueuer counts retries that were asked for. A row that is picked while it is still picked was
-- delivered to a consumer that died or lost its lease: that delivery counts as well.
CREATE OR REPLACE FUNCTION {SCHEMA}.count_lost_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.attempts := OLD.attempts + 1;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER count_lost_delivery BEFORE UPDATE ON {SCHEMA}.pgqueuer FOR EACH ROW
    WHEN (OLD.status = 'picked' AND NEW.status = 'picked' AND NEW.updated IS DISTINCT FROM OLD.updated)
    EXECUTE FUNCTION {SCHEMA}.count_lost_delivery();

-- Nothing here reads PgQueuer's history, and it would grow by two rows for every message.
CREATE OR REPLACE FUNCTION {SCHEMA}.keep_no_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER keep_no_history BEFORE INSERT ON {SCHEMA}.pgqueuer_log
    FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.keep_no_history();

CREATE INDEX IF NOT EXISTS pgqueuer_ordering_key ON {SCHEMA}.pgqueuer
    (entrypoint, (headers->>'{ORDERING_KEY}'), id) WHERE (headers->>'{ORDERING_KEY}') IS NOT NULL;

CREATE TABLE IF NOT EXISTS {SCHEMA}.topics (name text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS {SCHEMA}.subscriptions (
    name text PRIMARY KEY, topic text NOT NULL REFERENCES {SCHEMA}.topics (name)
);
"""

_GRANT = """
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.pgqueuer, {schema}.pgqueuer_log TO {role};
GRANT SELECT ON {schema}.topics, {schema}.subscriptions TO {role};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role};
"""


def queries(driver: Driver) -> Queries:
    """PgQueuer's statements over the tables in the broker's schema."""
    settings = DBSettings(db_schema=SCHEMA)
    return Queries(
        driver,
        qbe=QueryBuilderEnvironment(settings),
        qbq=QueryQueueBuilder(settings),
        qbs=QuerySchedulerBuilder(settings),
    )


async def install(connection: asyncpg.Connection) -> None:
    """Create the tables, or bring those of an earlier PgQueuer up to date; safe to run by several at once."""
    await connection.execute(_LOCK)
    try:
        pgqueuer = queries(AsyncpgDriver(connection))
        if await pgqueuer.schema_is_installed():
            await pgqueuer.apply_upgrade()
        else:
            await pgqueuer.install()
            await pgqueuer.optimize_autovacuum()
        await connection.execute(_EXTENSIONS)
    finally:
        await connection.execute(_UNLOCK)


async def register(connection: asyncpg.Connection, topics: list[str], subscriptions: list[tuple[str, str]]) -> None:
    """Record the topics and the (name, topic) subscriptions that exist."""
    async with connection.transaction():
        await connection.execute(
            f"INSERT INTO {SCHEMA}.topics SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", topics
        )
        await connection.execute(
            f"INSERT INTO {SCHEMA}.subscriptions SELECT * FROM unnest($1::text[], $2::text[]) "
            "ON CONFLICT (name) DO UPDATE SET topic = EXCLUDED.topic",
            [name for name, _ in subscriptions],
            [topic for _, topic in subscriptions],
        )


async def grant(connection: asyncpg.Connection, role: str) -> None:
    """Let a service's role publish and consume, and no more."""
    quoted = await connection.fetchval("SELECT quote_ident($1)", role)
    await connection.execute(_GRANT.format(schema=SCHEMA, role=quoted))
