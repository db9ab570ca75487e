"""What an error of the database says: never what a publisher sent."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.ingest.storage.tables import SCHEMA
from shared.postgres.engine import create_engine
from shared.postgres.transaction import transaction
from tests.support.postgres import Database


async def test_an_error_does_not_show_the_parameters(database: Database) -> None:
    engine = create_engine(database.ingest, schema=SCHEMA, application="test")
    statement = text("SELECT 1 / CAST(:zero AS integer), CAST(:name AS text)")
    with pytest.raises(DBAPIError) as failed:
        async with transaction(engine) as tx:
            await tx.execute(statement, {"zero": 0, "name": "Ada Lovelace"})
    await engine.dispose()
    assert "division by zero" in str(failed.value)
    assert "Ada Lovelace" not in str(failed.value)
