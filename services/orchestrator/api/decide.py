"""`POST /v1/decide`: what to say to this customer, here and now."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import msgspec
import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.orchestrator.domain.ask import Ask, Person
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases.next_best_action import NextBestAction, Whom, owner_of
from shared.access import Permission
from shared.contracts.identifier_form import form_of, plain
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.errors import Infrastructure, Problem, Unprocessable
from shared.http.auth import Principal, Requires, requires
from shared.http.edge import traceparent_of
from shared.http.quick import Quick
from shared.http.strict_json import api_router, decode

MAX_CONTEXT_BYTES = 16 * 1024
MAX_CONTEXT_KEYS = 100


class AskedIdentifier(BaseModel):
    """Whom the channel sees: any identifier of the person, or the id of the profile."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(
        min_length=1,
        max_length=MAX_TYPE,
        description="Such as `loyalty_id`; `profile_id` for the id of the profile.",
    )
    value: str = Field(min_length=1, max_length=MAX_VALUE)


class AskRequest(BaseModel):
    """Who asks about whom. Whoever asks for the same slot is told the same."""

    model_config = ConfigDict(extra="forbid")

    identifier: AskedIdentifier
    channel: str = Field(pattern="^[a-z0-9_]{1,64}$", description="The channel that asks.")
    slot: str = Field(
        "default",
        pattern="^[A-Za-z0-9_.:/-]{1,100}$",
        description="The place where the answer is shown; the same name on every channel.",
    )
    context: dict[str, Any] = Field(
        {}, max_length=MAX_CONTEXT_KEYS, description="What conditions read as `context.<key>`."
    )

    @field_validator("context")
    @classmethod
    def _is_small(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(orjson.dumps(value, default=str)) > MAX_CONTEXT_BYTES:
            raise ValueError(f"has more than {MAX_CONTEXT_BYTES} bytes")
        return value


class AskedActionView(BaseModel):
    """What to show on the channel that asked, until `expires_at`. What the customer does with it
    is told with `action_id`."""

    action_id: str
    rule: str
    channel: str
    content: dict[str, Any]
    expires_at: str | None


class AnswerView(BaseModel):
    """The answer: an action or none, and why in words, each beginning with a code. `kept`: it was
    given before; `valid_until`: so long it stays the same unless something changes it; `person`:
    `known`, `unknown`, or `unavailable` when the profile could not be read in time."""

    decision_id: str
    action: AskedActionView | None
    reasons: list[str]
    slot: str
    kept: bool
    valid_until: str
    person: str


ReadPerson = Callable[[str, str], Awaitable[Person | None]]
"""Whom an identifier (type, value) points at; None: nobody. Raises Gone for the id of a profile
that was erased, and Infrastructure when it cannot be said in time."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What answers asks. `ruleset` gives the configuration in force, `person` reads whom an
    identifier points at, `secret` keys the hash that stands for the identifier of somebody
    unknown."""

    next_best_action: NextBestAction
    ruleset: Callable[[], RuleSet]
    person: ReadPerson
    secret: bytes


PATH = "/v1/decide"


def decide_router(asking: Asking) -> APIRouter:
    """The route."""
    router = api_router(tags=["decide"])

    @router.post(PATH, response_model=AnswerView)
    async def decide(
        body: AskRequest,
        request: Request,
        _: Annotated[Principal, requires(Permission.SERVE)],
    ) -> Response:
        """The next best action for a slot: one answer, whichever channel asks for it."""
        return await _answer(asking, request, body)

    return router


def quick_decide(asking: Asking) -> Quick[AskRequest]:
    """The quick way of the route: somebody waits for this one."""
    return Quick("POST", PATH, Requires(Permission.SERVE), _read, partial(_answer, asking))


async def _read(request: Request) -> AskRequest | None:
    try:
        return AskRequest.model_validate(decode(await request.body()))
    except ValueError:
        return None


async def _answer(asking: Asking, request: Request, body: AskRequest) -> Response:
    if body.channel not in asking.ruleset().channels:
        problem = Problem("channel", "unknown_channel", f"there is no channel {body.channel}")
        raise Unprocessable(f"There is no channel {body.channel}.", [problem])
    asked = body.identifier
    written = plain(asked.value)
    owner = owner_of(asking.secret, asked.type, form_of(asked.type, written) or written)
    try:
        person = await asking.person(asked.type, asked.value)
    except Infrastructure:
        whom = Whom(owner, None, "unavailable")
    else:
        whom = Whom(owner, person, "unknown" if person is None else "known")
    ask = Ask(body.channel, body.slot, body.context, traceparent_of(request))
    answer = await asking.next_best_action(whom, ask)
    return Response(msgspec.json.encode(answer), media_type="application/json")
