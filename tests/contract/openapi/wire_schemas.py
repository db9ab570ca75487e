"""JSON Schemas of the messages in topics, made from the models in `shared/contracts`.

Unknown fields are always allowed: consumers keep them. Two models leave a part undecoded on
purpose (`msgspec.Raw`); what stands there is written in by hand below, from its own model.
"""

from typing import Any

import msgspec

from shared.contracts.action import Action
from shared.contracts.decision import Decision
from shared.contracts.profile_update import ProfileSnapshot, ProfileUpdate
from shared.contracts.touchpoint import Touchpoint
from tests.contract.openapi.compatible import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"

MESSAGES: dict[str, type[Any]] = {
    "touchpoint": Touchpoint,
    "profile-update": ProfileUpdate,
    "action": Action,
    "decision": Decision,
}
"""File name in `docs/contracts/` (without `.schema.json`) and its model."""

OTHER_CAUSE: Document = {
    "title": "OtherCause",
    "description": "Something other than a touchpoint, by its kind; more fields go with the kind.",
    "type": "object",
    "properties": {"kind": {"type": "string"}},
    "required": ["kind"],
}


def wire_schemas() -> dict[str, Document]:
    """Every message schema by its name, complete and standing alone."""
    schemas: dict[str, Document] = {}
    for name, model in MESSAGES.items():
        schema = msgspec.json.schema(model)
        if model is ProfileUpdate:
            _write_in_raw_parts(schema)
        schemas[name] = {"$schema": DIALECT, **schema}
    return schemas


def _write_in_raw_parts(schema: Document) -> None:
    _, parts = msgspec.json.schema_components(
        (Touchpoint, ProfileSnapshot), ref_template="#/$defs/{name}"
    )
    schema["$defs"] |= parts | {"OtherCause": OTHER_CAUSE}
    fields = schema["$defs"]["ProfileUpdate"]["properties"]
    fields["cause"] = {"anyOf": [{"$ref": "#/$defs/Touchpoint"}, {"$ref": "#/$defs/OtherCause"}]}
    fields["profile"] = {"$ref": "#/$defs/ProfileSnapshot"}
