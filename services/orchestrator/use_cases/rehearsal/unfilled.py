"""Contents that are not filled in: a rehearsal for somebody who sees personal data masked.

Whether a content can be rendered depends on the person, and its author decides how: a template that
fails for names with an A would tell who has one, by its failures. So whatever a draft or a template
would fill in of the person stands there as a dash.
"""

from dataclasses import replace
from typing import Any

import msgspec

from services.orchestrator.storage.saved import Saved
from services.orchestrator.use_cases.rehearsal.inputs import Inputs

RENDERED = ("content", "queue")
"""The fields of a document whose texts are rendered."""
DASH = "-"


def unfilled(inputs: Inputs) -> Inputs:
    """The same without anything to render, in the draft and in every template."""
    templates = [_plain_template(one) for one in inputs.live.templates]
    body: dict[str, Any] = _without(inputs.body)
    return msgspec.structs.replace(
        inputs, body=body, live=replace(inputs.live, templates=templates)
    )


def _plain_template(one: Saved) -> Saved:
    body: dict[str, Any] = _without(one.body)
    return replace(one, body=body)


def _without(value: Any) -> Any:
    """A document, with what its contents would fill in left out."""
    if isinstance(value, list):
        return [_without(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _plain(part) if name in RENDERED else _without(part) for name, part in value.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return DASH if isinstance(value, str) and "{" in value else value
