"""docs/architecture.md names the processes there are, and as absent only what is absent."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from services.ingest import bootstrap as ingest
from services.orchestrator import bootstrap as orchestrator
from services.profile import bootstrap as profile

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "architecture.md").read_text(encoding="utf-8")
COMMANDS: Mapping[str, Collection[str]] = {
    "ingest": ingest.COMMANDS,
    "profile": profile.COMMANDS,
    "orchestrator": orchestrator.COMMANDS,
}


def section(title: str) -> str:
    """What stands under a heading, up to the next one."""
    return re.split(r"^#", PAGE.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_page_has_every_process() -> None:
    named = set(re.findall(r"^\| `services\.(\w+ \w+)`", section("Processes"), re.MULTILINE))
    roles = {f"{service} {role}" for service, commands in COMMANDS.items() for role in commands}
    assert named == {name for name in roles if not name.endswith(" migrate")}


def test_what_is_not_there_is_not_there() -> None:
    found = section("What is not there yet")
    rows = re.findall(rf"^\| ({'|'.join(COMMANDS)}) \|(.*)\|(.*)\|$", found, re.MULTILINE)
    assert rows
    for service, roles, paths in rows:
        assert not set(re.findall(r"`(\w+)`", roles)) & set(COMMANDS[service])
        contract = DOCS / f"contracts/openapi-{service}.json"
        document = json.loads(contract.read_text(encoding="utf-8"))
        absent = tuple(re.findall(r"`(/v1/[^`]+)`", paths))
        assert absent
        assert not [path for path in document["paths"] if path.startswith(absent)]
