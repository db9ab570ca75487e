"""docs/configuration.md has every variable of every process, with its default and its meaning."""

import re
from pathlib import Path

import pytest

from deploy.demo.concert import Access
from services.ingest.settings import IngestSettings
from services.orchestrator.settings import OrchestratorSettings
from services.profile.settings import ProfileSettings
from shared.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs/configuration.md").read_text(encoding="utf-8")


FIELDS = {
    **IngestSettings.model_fields,
    **ProfileSettings.model_fields,
    **OrchestratorSettings.model_fields,
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_setting_is_on_the_page_as_it_is(name: str) -> None:
    field = FIELDS[name]
    if field.is_required():
        default = "required"
    elif field.default in (None, ""):
        default = "none" if field.default is None else "empty"
    else:
        value = field.default
        default = f"`{str(value).lower() if isinstance(value, bool) else value}`"
    assert f"| `CONCERT_{name.upper()}` | {default} | {field.description} |" in PAGE


def test_every_variable_of_the_page_is_one_that_is_read() -> None:
    known = {f"CONCERT_{name.upper()}" for name in (*FIELDS, *_others())}
    assert set(re.findall(r"CONCERT_[A-Z_]+", PAGE)) == known


def _others() -> set[str]:
    """Variables that no process of a service reads: the local stack's, the demo's, the tests'."""
    stack = {"port_base", "cache", "crash", "pause", "test_home", "kafka_forwarded"}
    return stack | (set(Access.model_fields) - set(Settings.model_fields))
