"""Configuration as files: YAML that means JSON, and what has to be done."""

import argparse
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.files import command
from services.orchestrator.files.folder import read_folder, write_folder
from services.orchestrator.files.kinds import KINDS
from services.orchestrator.files.plan import Change, Present, Wanted, plan
from services.orchestrator.files.remote import Refused, Remote
from services.orchestrator.files.yaml_text import NotYaml, read_yaml, write_yaml
from shared.errors import Misconfigured
from tests.unit.orchestrator.build import rule_json
from tests.unit.orchestrator.journeys.build import document, end

TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=30
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(["on", "no", "21:00", "2026-11-01", "1e3", "0x1f", "null", "true", "~", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert read_yaml(write_yaml(value)) == value


def test_words_and_times_are_texts() -> None:
    text = "on: [undeliverable]\nfrom: 21:00\nvalid: 2026-11-01\nn: 1.5\nb: true\nnothing:\n"
    assert read_yaml(text) == {
        "on": ["undeliverable"],
        "from": "21:00",
        "valid": "2026-11-01",
        "n": 1.5,
        "b": True,
        "nothing": None,
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2\n", "line 2, column 1: the key 'a' stands there twice"),
        ("a: [", "line 1"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: " + "[" * 5_000, "recursion"),
    ],
)
def test_what_is_no_configuration_is_refused(text: str, says: str) -> None:
    with pytest.raises(NotYaml, match=says.replace("[", r"\[")):
        read_yaml(text)


LIVE = {"a": 1}
THERE = Present(LIVE, "live", LIVE, '"1"')


@pytest.mark.parametrize(
    ("there", "file", "prune", "title"),
    [
        (None, Wanted({"a": 1}), False, "+ rules/r: create"),
        (None, Wanted({"a": 1}, "paused"), False, "+ rules/r: create, pause"),
        (THERE, Wanted({"a": 1}), False, None),
        (THERE, Wanted({"a": 2}), False, "~ rules/r: change"),
        (THERE, Wanted({"a": 1}, "paused"), False, "~ rules/r: pause"),
        (Present(LIVE, "paused", LIVE, '"1"'), Wanted({"a": 1}), False, "~ rules/r: resume"),
        (Present(LIVE, "paused", LIVE, '"1"'), Wanted({"a": 1}, "paused"), False, None),
        (Present(LIVE, "paused", LIVE, '"1"'), Wanted({"a": 2}), False,
         "~ rules/r: change, resume"),
        (Present(LIVE, "paused", LIVE, '"1"'), Wanted({"a": 2}, "paused"), False,
         "~ rules/r: change, pause"),
        (Present(LIVE, "archived", LIVE, '"1"'), Wanted({"a": 1}), False, "+ rules/r: create"),
        (Present(LIVE, "live", {"a": 3}, '"1"'), Wanted({"a": 2}), False,
         "~ rules/r: change (an unpublished draft is lost)"),
        (Present(None, "draft", {"a": 2}, '"1"'), Wanted({"a": 2}), False, "+ rules/r: create"),
        (THERE, None, False, None),
        (THERE, None, True, "- rules/r: archive"),
        (Present(None, "draft", LIVE, '"1"'), None, True, None),
    ],
)  # fmt: skip
def test_the_plan_is_what_differs(
    there: Present | None, file: Wanted | None, prune: bool, title: str | None
) -> None:
    changes = plan(
        "rules",
        {} if there is None else {"r": there},
        {} if file is None else {"r": file},
        prune=prune,
    )
    assert [change.title for change in changes] == ([] if title is None else [title])


def test_a_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    rules = {"one": Wanted(rule_json()), "two": Wanted(rule_json("Else"), "paused")}
    documents: dict[str, dict[str, Wanted]] = {kind.folder: {} for kind in KINDS} | {"rules": rules}
    assert write_folder(tmp_path, documents) == 2
    assert read_folder(tmp_path) == documents
    assert write_folder(tmp_path, {**documents, "rules": {"two": rules["two"]}}) == 1
    assert [path.name for path in (tmp_path / "rules").iterdir()] == ["two.yaml"]


def test_journeys_that_name_each_other_are_all_saved_before_one_is_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, other in (("ping", "pong"), ("pong", "ping")):
        jump = {"id": "on", "type": "enter_journey", "journey": other, "next": "end"}
        path = tmp_path / "journeys" / f"{key}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(write_yaml(document(jump, end())))
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"items": [], "next_cursor": None})
        asked.append(f"{request.method} {request.url.path}")
        return httpx.Response(200, json={}, headers={"ETag": '"1"'})

    def remote(url: str, token: str) -> Remote:
        return Remote(url, token, httpx.MockTransport(answer))

    monkeypatch.setattr(command, "Remote", remote)
    token = tmp_path / "token"
    token.write_text("token")
    arguments = argparse.ArgumentParser()
    command.add_apply(arguments)
    given = ["--token-file", str(token), str(tmp_path)]
    token.chmod(0o600)
    assert command.run_apply(arguments.parse_args(given)) == command.SAME
    assert asked == [
        "PUT /v1/journeys/ping",
        "PUT /v1/journeys/pong",
        "POST /v1/journeys/ping:publish",
        "POST /v1/journeys/pong:publish",
    ]
    assert "2 changed" in capsys.readouterr().out


def test_every_mistake_of_every_file_is_named(tmp_path: Path) -> None:
    for name, text in {
        "rules/a.yaml": "trigger: {type: event}\nactions: []\nactons: 1\n",
        "rules/b.yaml": "key: c\n",
        "rules/c.yml": "",
        "ruels/d.yaml": "a: 1\n",
        "templates/t.yaml": "status: paused\ncontent: {en: {body: '{% nothing %}'}}\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(Misconfigured) as caught:
        read_folder(tmp_path)
    told = "\n".join(caught.value.problems)
    for part in ("actons", "a.yaml: trigger.event", "b.yaml: key", "c.yml", "ruels", "t.yaml: st"):
        assert part in told, told


@pytest.mark.parametrize("drafted", [True, False])
@pytest.mark.parametrize(
    ("tag", "header"), [(None, ("if-none-match", "*")), ('"4"', ("if-match", '"4"'))]
)
def test_what_was_read_is_what_is_replaced(
    tag: str | None, header: tuple[str, str], drafted: bool
) -> None:
    """So of two that apply at once, one is told."""
    asked: list[httpx.Request] = []
    late = False

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        status = 412 if late else 200
        return httpx.Response(status, json={"detail": "too late"}, headers={"ETag": '"5"'})

    remote = Remote("http://concert", "token", httpx.MockTransport(answer))
    change = Change("rules", "r", ("create",), None, {"a": 1}, tag)
    remote.carry_out(change, drafted=drafted)
    assert asked[0].headers[header[0]] == header[1]
    if drafted:
        assert asked[1].headers["if-match"] == '"5"'
    late = True
    with pytest.raises(Refused, match="somebody else changed it meanwhile"):
        remote.carry_out(change, drafted=drafted)
    remote.close()
