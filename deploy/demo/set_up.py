"""Sets the shop up over HTTP: sources and a key, templates, the contact policy, rules.

What is there already stays as it is, so a second run changes nothing and nobody's edits are lost.
"""

from deploy.demo.concert import Concert, Json
from deploy.demo.configuration import (
    CONTACT_POLICY,
    CONTACT_POLICY_KEY,
    RULES,
    SOURCES,
    TEMPLATES,
)
from deploy.local.home import write_private

WEB = str(SOURCES["web"]["id"])


async def set_up(concert: Concert) -> int:
    """Make what is missing; how many things were made."""
    made = 0
    for source in SOURCES.values():
        if await concert.sources.find(f"/v1/sources/{source['id']}") is None:
            await concert.sources.post("/v1/sources", source)
            made += 1
    for key, template in TEMPLATES.items():
        if await concert.orchestrator.find(f"/v1/templates/{key}") is None:
            await concert.orchestrator.put(f"/v1/templates/{key}", template)
            made += 1
    made += await _published(concert, f"/v1/contact-policies/{CONTACT_POLICY_KEY}", CONTACT_POLICY)
    for key, rule in RULES.items():
        made += await _published(concert, f"/v1/rules/{key}", rule)
    return made


async def source_key(concert: Concert) -> str:
    """The web shop's key: the one in the home if the collector knows it, else a new one.

    It is shown once, so it is kept in `source-key`, readable by its owner alone.
    """
    file = concert.access.source_key_file
    if file.exists():
        key = file.read_text(encoding="utf-8").strip()
        if await concert.collector.status_of_post("/v1/batch", {"batch": []}, (key, "")) != 401:
            return key
    made = await concert.sources.post(f"/v1/sources/{WEB}/keys", {})
    write_private(file, f"{made['key']}\n")
    return str(made["key"])


async def _published(concert: Concert, path: str, document: Json) -> int:
    """Save and publish what is not there; 1 if anything was done."""
    draft = await concert.orchestrator.find(path)
    if draft is not None and draft["status"] != "draft":
        return 0
    if draft is None:
        await concert.orchestrator.put(path, document)
    await concert.orchestrator.post(f"{path}:publish", {})
    return 1
