"""docs/architecture.md names the processes there are."""

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
