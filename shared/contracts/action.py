"""The action on `actions.<channel>`: what a channel system has to do, or to undo, for a profile.

`idempotency_key` is the `action_id`, and for a `retract` `<action_id>:retract`: a channel system
that saw a key once must not act on it again.
"""

from typing import Any

import msgspec

from shared.contracts.touchpoint import Identifier


class Action(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """`kind` is send, retract, task or prompt; `content` is rendered; times are RFC 3339 UTC.
    What a journey does names the run and the node as well; its rule is `<journey>/<node>`.
    A `test` was asked for by a person: it is sent like the others, and is about no decision."""

    action_id: str
    idempotency_key: str
    kind: str
    profile_id: str
    channel: str
    category: str
    to: Identifier | None = None
    rule: str | None = None
    rule_version: int | None = None
    journey: str | None = None
    run: str | None = None
    node: str | None = None
    decision_id: str
    content: dict[str, Any] = {}
    queue: str | None = None
    reason: str | None = None
    not_before: str | None = None
    expires_at: str | None = None
    trace: str | None = None
    test: bool = False


action_encoder = msgspec.json.Encoder()
action_decoder = msgspec.json.Decoder(Action)
