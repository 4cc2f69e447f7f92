"""Alembic's entry: runs one service's revisions inside its own schema, one transaction each."""

import psycopg
import sqlalchemy
from alembic import context

service: str = context.config.attributes["service"]
admin_url: str = context.config.attributes["admin_url"]

engine = sqlalchemy.create_engine(
    "postgresql+psycopg://", creator=lambda: psycopg.connect(admin_url), poolclass=sqlalchemy.pool.NullPool
)
with engine.connect() as connection:
    connection.execute(sqlalchemy.text(f'SET search_path = "{service}"'))
    connection.commit()
    # Two deployments may migrate at once: the second one waits here and finds nothing to do.
    connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": f"migrate:{service}"})
    connection.commit()
    context.configure(
        connection=connection,
        version_table="schema_version",
        version_table_schema=service,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(hashtext(:name))"), {"name": f"migrate:{service}"})
    connection.commit()
engine.dispose()
