"""Conditions stay pure: importing them loads no runtime, Kafka, PostgreSQL or HTTP part.

But for the two modules that write them as SQL expressions, which nothing else here imports.
"""

import subprocess
import sys

FOREIGN = (
    "aiokafka", "asyncio", "asyncpg", "fastapi", "logging", "prometheus_client", "pydantic",
    "random", "shared.clock", "shared.contracts", "shared.http", "shared.ids", "shared.kafka",
    "shared.observability", "shared.postgres", "shared.runtime", "shared.settings", "socket",
    "sqlalchemy",
)  # fmt: skip

LOAD_ALL = """
import importlib, pkgutil, sys
import shared.conditions
for module in pkgutil.iter_modules(shared.conditions.__path__):
    if module.name not in ("sql", "sql_values"):
        importlib.import_module(f"shared.conditions.{module.name}")
print(*sys.modules, sep="\\n")
"""


def test_nothing_foreign_is_loaded() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LOAD_ALL], capture_output=True, text=True, check=True
    )
    loaded = set(answer.stdout.split())

    assert "shared.conditions.index" in loaded
    assert loaded.isdisjoint(FOREIGN)
