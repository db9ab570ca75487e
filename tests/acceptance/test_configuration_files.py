"""Configuration as files, as a CI uses it: the same command twice, the second does nothing."""

import subprocess
import sys
from pathlib import Path

import yaml

from tests.acceptance.concert import Concert
from tests.unit.orchestrator.build import rule_json


def orchestrator(concert: Concert, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`python -m services.orchestrator …` against the running one."""
    url = concert.running["orchestrator-api"].api_url
    token = concert.stack.home.root / "admin-token"
    command = [sys.executable, "-m", "services.orchestrator", *map(str, arguments)]
    return subprocess.run(
        [*command, "--url", str(url), "--token-file", str(token)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_folder_is_applied_once(concert: Concert, tmp_path: Path) -> None:
    first = orchestrator(concert, "export", tmp_path)
    assert first.returncode == 0, first.stderr
    assert orchestrator(concert, "diff", tmp_path).returncode == 0
    template = {"channel": "email", "content": {"en": {"subject": "Hi", "body": "Hello"}}}
    using = {"type": "message", "channel": "email", "template": "from-file"}
    documents = {
        "templates/from-file": template,
        "rules/from-file": rule_json("From File", actions=[using]),
    }
    for name, document in documents.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(document))
    shown = orchestrator(concert, "apply", tmp_path, "--dry-run")
    assert shown.returncode == 1
    assert "+ rules/from-file: create" in shown.stdout
    assert "+channel: email" in shown.stdout.replace("    ", "")
    applied = orchestrator(concert, "apply", tmp_path)
    assert (applied.returncode, applied.stderr) == (0, ""), applied.stdout
    again = orchestrator(concert, "apply", tmp_path)
    assert (again.returncode, again.stdout) == (0, "nothing differs\n")
    async with concert.api("orchestrator-api") as api:
        rule = (await api.get("/v1/rules/from-file")).json()
        assert (rule["status"], rule["version"]) == ("live", 1)
        await api.put("/v1/rules/from-file", json=rule_json("Someone's draft"))

    document = rule_json("From File", actions=[using], priority=3)
    (tmp_path / "rules/from-file.yaml").write_text(yaml.safe_dump({"status": "paused", **document}))
    refused = orchestrator(concert, "apply", tmp_path)
    assert refused.returncode == 2
    assert "an unpublished draft is lost" in refused.stderr
    changed = orchestrator(concert, "apply", tmp_path, "--overwrite-drafts")
    assert "~ rules/from-file: change, pause" in changed.stdout, changed.stderr
    assert "+priority: 3" in changed.stdout
    (tmp_path / "rules/from-file.yaml").unlink()
    assert "- rules/from-file: archive" in orchestrator(concert, "diff", tmp_path, "--prune").stdout
    assert orchestrator(concert, "apply", tmp_path, "--prune").returncode == 0
    async with concert.api("orchestrator-api") as api:
        assert (await api.get("/v1/rules/from-file")).json()["status"] == "archived"

    (tmp_path / "rules/bad.yaml").write_text("trigger: {type: event}\n")
    bad = orchestrator(concert, "apply", tmp_path)
    assert bad.returncode == 78
    assert "bad.yaml: trigger.event" in bad.stderr
