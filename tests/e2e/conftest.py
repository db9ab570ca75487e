"""`shop`: every role of a Concert of its own, and how somebody at a shell reaches it."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from deploy.local.home import CHECKOUT
from tests.acceptance.concert import Concert, concert_on
from tests.support.kafka import new_prefix, standard_topics
from tests.support.postgres import Database, cloned_database
from tests.support.stack import Stack

PATIENCE_SECONDS = 200.0


@dataclass(frozen=True, slots=True)
class Shop:
    """A running Concert; `home` has the token files, `urls` the addresses by role."""

    concert: Concert
    home: Path
    urls: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """What `make demo` tells the demo."""
        return os.environ | {
            "CONCERT_HOME": str(self.home),
            "CONCERT_KAFKA": self.concert.stack.kafka,
            "CONCERT_TOPIC_PREFIX": self.concert.topics.prefix,
            "CONCERT_COLLECTOR_URL": self.urls["ingest-collector"],
            "CONCERT_PROFILE_URL": self.urls["profile-api"],
            "CONCERT_ORCHESTRATOR_URL": self.urls["orchestrator-api"],
        }

    async def run(self, *command: str) -> tuple[int, str]:
        """Run a command in the checkout; its exit code, and what it wrote."""
        done = await anyio.to_thread.run_sync(
            lambda: subprocess.run(
                command,
                env=self.environment,
                cwd=CHECKOUT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
        )
        return done.returncode, done.stdout.decode()

    async def demo(self) -> tuple[int, str]:
        """Run the demo; its exit code, and what it showed."""
        return await self.run(sys.executable, "-m", "deploy.demo")


@pytest.fixture(scope="package")
async def shop(
    stack: Stack, migrated: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    """Everything runs, nothing was published yet."""
    home = tmp_path_factory.mktemp("shop")
    async with (
        cloned_database(stack, migrated) as database,
        standard_topics(stack.kafka, new_prefix()) as topics,
        concert_on(stack, database, topics, home) as concert,
    ):
        await concert.start()
        shutil.copy(stack.home.root / "admin-token", home / "admin-token")
        urls = {label: role.api_url for label, role in concert.running.items() if role.api_url}
        yield Shop(concert, home, urls)


@pytest.fixture(scope="package")
async def first_run(shop: Shop) -> tuple[int, str]:
    """The demo's first run: exit code and output."""
    return await shop.demo()
