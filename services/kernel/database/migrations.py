"""Migrations through Alembic: one schema, one role and one version table per service.

Each service keeps plain Alembic revisions under ``services/<name>/migrations``. Revisions only
expand, or contract what no running version uses, so that old and new replicas work side by side.
"""

import re
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql

_SERVICE_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_ROOT = Path(__file__).resolve().parents[2]


def prepare(admin_url: str, service: str) -> None:
    """Create the service's role and schema when they are missing. Safe to repeat.

    The role owns nothing: row-level security binds it, and it cannot alter its tables.

    Raises:
        ValueError: ``service`` is no plain lower-case name.
        psycopg.Error: as the database says.
    """
    if not _SERVICE_NAME.match(service):
        raise ValueError(f"{service!r} is not a service name: use lower-case letters, digits and underscores")
    name = sql.Identifier(service)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [service]).fetchone()
        if not exists:
            try:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                exists = (1,)  # another migration of the same cluster was first
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(name, name))
        connection.execute(
            sql.SQL(
                "ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}"
            ).format(name, name)
        )
        connection.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT USAGE ON SEQUENCES TO {}").format(name, name)
        )
        database = connection.info.dbname
        connection.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}, pg_temp").format(
                name, sql.Identifier(database), name
            )
        )


def migrate(admin_url: str, service: str, revision: str = "head") -> None:
    """Bring the service's schema to ``revision``.

    Raises:
        ValueError, psycopg.Error: see ``prepare``; a failing revision leaves the schema as it was.
    """
    prepare(admin_url, service)
    config = Config()
    config.set_main_option("script_location", str(_ROOT / "kernel" / "database" / "alembic_environment"))
    config.set_main_option("version_locations", str(_ROOT / service / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["admin_url"] = admin_url
    config.attributes["service"] = service
    command.upgrade(config, revision)
