"""Alembic's entry: runs the revisions on the connection that `shared.postgres.migrate` opened."""

from shared.postgres.migrate import run_in_env

run_in_env()
