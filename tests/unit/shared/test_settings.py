"""Settings are read from the environment alone, say what is wrong, and never show a value."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.errors import Misconfigured
from shared.settings import Settings, load, read_secret_file


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("CONCERT_"):
            monkeypatch.delenv(name)


def test_production_is_the_default_and_unknown_variables_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONCERT_DATABASE_URL", "postgresql://concert@db/concert")
    monkeypatch.setenv("CONCERT_PORT_BASE", "8000")
    settings = load(Settings)
    assert settings.mode == "production"
    assert settings.topic_prefix == ""


def test_every_mistake_is_named_by_its_variable_and_no_value_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONCERT_MODE", "hunter2")
    monkeypatch.setenv("CONCERT_HTTP_PORT", "99999")
    with pytest.raises(Misconfigured) as caught:
        load(Settings)
    named = {problem.split(":")[0] for problem in caught.value.problems}
    assert named == {"CONCERT_DATABASE_URL", "CONCERT_MODE", "CONCERT_HTTP_PORT"}
    assert "hunter2" not in str(caught.value)


def test_settings_cannot_be_changed_and_do_not_print_the_database_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONCERT_DATABASE_URL", "postgresql://concert:hunter2@db/concert")
    settings = load(Settings)
    assert "hunter2" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.mode = "test"  # type: ignore[misc]


def test_a_secret_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("cst_x\n", encoding="utf-8")
    assert read_secret_file(tmp_path / "token") == "cst_x"


def test_a_missing_or_empty_secret_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n", encoding="utf-8")
    for name in ("empty", "missing"):
        with pytest.raises(Misconfigured, match=name):
            read_secret_file(tmp_path / name)
