"""Alerts use only metrics, labels and edges that exist; each has a runbook of the fixed shape."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.observability.catalogue import entries, page
from shared.observability.registry import Entry, sample_names

ROOT = Path(__file__).parents[4]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = [
    *("Meaning", "What customers notice", "Check in two minutes", "Fix", "Roll back", "Escalate")
]
TARGET_LABELS = {"job", "instance", "service", "role"}
FUNCTIONS = {
    *("absent", "and", "by", "changes", "deriv", "increase", "max", "min_over_time", "or", "rate"),
    *("sum", "time", "unless"),
}
CATALOGUE = entries()
METRICS: dict[str, Entry] = {name: entry for entry in CATALOGUE for name in sample_names(entry)}

SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
STRING = re.compile(r'"[^"]*"')
RANGE = re.compile(r"\[[^\]]*\]")
GROUPING = re.compile(r"\bby\s*\(([^)]*)\)")
WORD = re.compile(r"\b[a-zA-Z_][\w:]*")


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def mistakes(expr: str) -> list[str]:
    """What an expression uses that does not exist."""
    found: list[str] = []
    for name, matchers in SELECTOR.findall(expr):
        entry = METRICS.get(name)
        allowed = TARGET_LABELS | (set(entry.labels) if entry else set())
        for label, value in re.findall(r'(\w+)\s*=~?\s*"([^"]*)"', matchers):
            if label == "le" and entry is not None:
                if float(value) not in entry.buckets:
                    found.append(f"{name} has no edge {value}")
            elif label not in allowed:
                found.append(f"{name} has no label {label}")
    bare = RANGE.sub(" ", re.sub(r"\{[^}]*\}", " ", STRING.sub('""', expr)))
    known_labels = TARGET_LABELS | {label for entry in CATALOGUE for label in entry.labels}
    for grouped in GROUPING.findall(bare):
        found += [f"no label {x}" for x in WORD.findall(grouped) if x not in known_labels]
    for word in WORD.findall(GROUPING.sub(" ", bare)):
        if word not in METRICS and word not in FUNCTIONS and word != "up":
            found.append(f"no metric {word}")
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_uses_what_exists_and_names_a_runbook(rule: dict[str, Any]) -> None:
    assert mistakes(rule["expr"]) == []
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert (ROOT / rule["annotations"]["runbook"]).is_file()


@pytest.mark.parametrize(
    ("expr", "mistake"),
    [
        ("rate(concert_events_total[5m]) > 0", "no metric concert_events_total"),
        ('concert_ready{profile_id="x"} == 0', "concert_ready has no label profile_id"),
        (
            'concert_event_to_decision_seconds_bucket{le="0.7"}',
            "concert_event_to_decision_seconds has no edge 0.7",
        ),
        ("sum by (customer) (concert_fenced_total)", "no label customer"),
    ],
)
def test_the_check_itself_sees_mistakes(expr: str, mistake: str) -> None:
    assert mistake.replace("seconds has", "seconds_bucket has") in mistakes(expr)


def test_every_runbook_has_the_fixed_shape_and_is_used() -> None:
    used = {Path(rule["annotations"]["runbook"]).name for rule in rules()}
    for file in sorted(RUNBOOKS.glob("*.md")):
        text = file.read_text(encoding="utf-8")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS, file.name
        assert file.name in used, file.name


def test_runbooks_name_only_metrics_that_exist() -> None:
    known = set(METRICS) | {entry.name for entry in CATALOGUE}
    for file in sorted(RUNBOOKS.glob("*.md")):
        named = set(re.findall(r"\bconcert_\w+", file.read_text(encoding="utf-8")))
        assert named <= known, (file.name, named - known)


def test_the_page_of_metrics_links_to_every_runbook_it_names() -> None:
    linked = set(re.findall(r"\]\(([^#)][^)]*)\)", page()))
    named = {name for e in CATALOGUE for name in re.findall(r"unbook ([a-z-]+)", e.act)}
    assert linked == {f"runbooks/{name}.md" for name in named} != set()
    assert {link for link in linked if not (RUNBOOKS.parent / link).is_file()} == set()


def test_prometheus_reads_the_alerts_and_the_targets_of_the_local_stack() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    assert [(PROMETHEUS / name).is_file() for name in config["rule_files"]] == [True]
    (job,) = config["scrape_configs"]
    (found,) = job["file_sd_configs"]
    targets = (PROMETHEUS / found["files"][0]).resolve()
    assert targets == ROOT / ".concert" / "run" / "targets.json"
    assert job["sample_limit"] == 3000
