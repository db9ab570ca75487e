"""The page about templates: every command on it does what the page says it does."""

import json
import re
from typing import Any

import httpx

from deploy.local.home import CHECKOUT
from services.orchestrator.domain.channel import default_channels
from services.orchestrator.domain.liquid_limits import bounded_environment
from services.orchestrator.domain.liquid_source import MAX_PARTS, MAX_SOURCE

PAGE = CHECKOUT / "docs/templates.md"
COMMAND = re.compile(
    r"```sh\ncurl (?P<how>\S+) -X (?P<method>\w+) .*?8003(?P<path>/\S+) -d '(?P<body>.*?)'\n```"
    r"(?:\n\n```json\n(?P<answer>.*?)\n```)?",
    re.DOTALL,
)
INTERNAL = {"#", "content", "illegal", "output"}
"""What python-liquid calls tags, and nobody can write."""


async def test_every_command_does_what_the_page_says(admin: httpx.AsyncClient) -> None:
    commands = list(COMMAND.finditer(PAGE.read_text(encoding="utf-8")))
    assert len(commands) == PAGE.read_text(encoding="utf-8").count("curl -") == 4
    for command in commands:
        body = json.loads(command["body"])
        answer = await admin.request(command["method"], command["path"], json=body)
        assert answer.is_success == (command["how"] == "-fsS"), answer.text
        said = json.loads(command["answer"] or "{}")
        assert {name: answer.json()[name] for name in said} == said


def test_every_tag_and_filter_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    environment = bounded_environment(html=False)
    assert _listed(text, "Tags: ") == {*environment.tags} - INTERNAL | {"raw"}
    assert _listed(text, "Filters: ") == {*environment.filters}


def test_the_limits_on_the_page_are_those_of_the_program() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"{MAX_SOURCE:,} characters" in text
    assert f"at most {MAX_PARTS} parts" in text
    assert "email" in default_channels()


def _listed(text: str, start: str) -> set[Any]:
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return set(re.findall(r"`(\w+)`", line.partition(". ")[0]))
