"""The demo and every command that people are told to type, on running roles."""

import asyncio
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

from deploy.demo.checks import mistakes
from deploy.demo.concert import Access, Concert
from deploy.demo.findings import find, look_at_shop
from deploy.local.home import CHECKOUT
from tests.e2e.conftest import Shop
from tests.support.eventually import eventually

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


async def test_the_demo_shows_what_it_should(first_run: tuple[int, str], shop: Shop) -> None:
    code, shown = first_run
    assert code == 0, shown
    for sign in ("cart-reminder: taken", "back-in-stock: cap", "+ till-welcome", "+ receipt"):
        assert sign in shown
    assert "not the first run" not in shown
    assert (shop.home / "source-key").stat().st_mode & 0o777 == 0o600


async def test_a_second_run_changes_nothing(first_run: tuple[int, str], shop: Shop) -> None:
    assert first_run[0] == 0
    code, shown = await shop.demo()
    assert code == 0, shown
    assert "not the first run" in shown
    assert "nothing changed" in shown
    assert "there already" in shown


async def test_the_next_steps_work_as_printed(first_run: tuple[int, str], shop: Shop) -> None:
    commands = re.findall(r"^ +(curl .+)$", first_run[1], re.MULTILINE)
    assert len(commands) == 3
    answers = await asyncio.gather(
        *(shop.run("bash", "-c", f"{command} --fail --silent") for command in commands)
    )
    assert [code for code, _ in answers] == [0, 0, 0], answers
    profile, decision, accepted = (json.loads(text) for _, text in answers)
    assert profile["computed"]["orders"] == 4
    assert decision["profile_id"] == profile["id"]
    assert accepted["success"] is True


async def test_the_demo_sees_what_is_wrong(first_run: tuple[int, str], shop: Shop) -> None:
    assert first_run[0] == 0
    concert = Concert(
        Access(
            home=shop.home,
            kafka=shop.concert.stack.kafka,
            topic_prefix=shop.concert.topics.prefix,
            collector_url=shop.urls["ingest-collector"],
            profile_url=shop.urls["profile-api"],
            orchestrator_url=shop.urls["orchestrator-api"],
        )
    )
    try:
        found, everybody = await find(concert), await look_at_shop(concert)
    finally:
        await concert.close()
    assert mistakes(found, everybody) == []
    one_left_out = dict(list(everybody.versions.items())[1:])
    for wrong in (
        (replace(found, sent=[]), everybody),
        (replace(found, merges=found.merges[1:]), everybody),
        (replace(found, decisions=found.decisions[:-1]), everybody),
        (replace(found, actions={}), everybody),
        (replace(found, profile=found.profile | {"identifiers": []}), everybody),
        (found, replace(everybody, versions=one_left_out)),
    ):
        assert mistakes(*wrong)


async def test_the_demo_says_in_a_line_why_it_cannot_go_on(shop: Shop, tmp_path: Path) -> None:
    code, shown = await replace(shop, home=tmp_path).demo()
    assert code == 1
    assert shown.startswith("concert demo: cannot read the admin token")
    assert shown.count("\n") == 1


async def test_every_command_of_the_readme_works(
    first_run: tuple[int, str], shop: Shop, tmp_path: Path
) -> None:
    assert first_run[0] == 0
    code, shown = await shop.run("bash", "-e", "-o", "pipefail", "-c", _walk(shop, tmp_path))
    assert code == 0, shown
    assert "Grace, do you have batteries?" in shown

    stranger = json.loads((tmp_path / "stranger.json").read_text())

    async def reason() -> str:
        async with shop.concert.api("orchestrator-api") as client:
            answer = await client.get("/v1/decisions", params={"profile_id": stranger["id"]})
        (decision,) = answer.json()["items"]
        return str(decision["candidates"][0]["reason"])

    await eventually(reason, until="not_eligible".__eq__, retrying=(AssertionError, ValueError))


def _walk(shop: Shop, folder: Path) -> str:
    """The shell blocks of the README, with this Concert's addresses, topics and files."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    script = "\n".join(blocks)
    for written, here in (
        ("/tmp/", f"{folder}/"),
        (".concert/", f"{shop.home}/"),
        (".venv/bin/python", sys.executable),
        ("127.0.0.1:8092", shop.concert.stack.kafka),
        ('"channel.', f'"{shop.concert.topics.prefix}channel.'),
        ("http://127.0.0.1:8001", shop.urls["ingest-collector"]),
        ("http://127.0.0.1:8002", shop.urls["profile-api"]),
        ("http://127.0.0.1:8003", shop.urls["orchestrator-api"]),
    ):
        assert written in script, written
        script = script.replace(written, here)
    return script
