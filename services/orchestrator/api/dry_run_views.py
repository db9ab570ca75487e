"""Bodies and answers of dry runs of journeys."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from services.orchestrator.domain.journeys.dry_run import Chosen
from services.orchestrator.domain.update import CHANGED, Cause
from services.orchestrator.use_cases.dry_run_journey import (
    Happening,
    Script,
    Sent,
    Tried,
)
from shared.conditions.duration import parse_duration
from shared.contracts.delivery import OutcomeName
from shared.contracts.profile_update import Consent, ProfileSnapshot
from shared.contracts.times import rfc3339
from shared.contracts.zones import is_zone
from shared.http.drafts import NEWEST

LONGEST = timedelta(days=1_098)
YEARS = range(1970, 2201)
MAX_NAMES = 1_000
MAX_FIELDS = 200
MAX_NODES = 200
MAX_OUTCOMES = 20
MAX_HAPPENINGS = 500


def _duration(value: object) -> timedelta:
    if value == "PT0S":
        return timedelta(0)
    found = parse_duration(value) if isinstance(value, str) else None
    if found is None or found > LONGEST:
        raise ValueError(f"is an ISO 8601 duration of at most P{LONGEST.days}D")
    return found


def _zone(name: str) -> str:
    if not is_zone(name):
        raise ValueError("is an IANA time zone")
    return name


def _within_reason(value: object) -> object:
    if isinstance(value, str) and value[:4].isdigit() and int(value[:4]) not in YEARS:
        raise ValueError(f"is an instant from {YEARS.start} to {YEARS.stop - 1}")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Values = Annotated[dict[str, Any], Field(max_length=MAX_FIELDS)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ConsentBody(_Body):
    """What the person allowed or refused; `channel` `*` is every channel."""

    purpose: Name
    channel: Name
    status: Literal["granted", "denied", "pending", "expired"]


class ProfileBody(_Body):
    """The person, as a snapshot has them. Splits go by `id`: with that of a profile, the way is
    that of its real runs."""

    id: UUID = UUID(int=0)
    traits: Values = {}
    computed: Values = {}
    segments: list[Name] = Field([], max_length=MAX_NAMES)
    persona: Name | None = None
    consents: list[ConsentBody] = Field([], max_length=MAX_FIELDS)
    timezone: Annotated[Name, AfterValidator(_zone)] | None = None


class EventBody(_Body):
    """A touchpoint."""

    type: Name
    channel: Name | None = None
    source: Name | None = None
    properties: Values = {}
    context: Values = {}


class OutcomeBody(_Body):
    """What the channel tells of an action so long after it was sent."""

    after: Duration
    outcome: OutcomeName


class AnswerBody(_Body):
    """What becomes of the action of a node, each time: the arbiter's `answer`, and if it is `sent`
    the `outcomes`. At a throttle, `turn` is how long is to be waited."""

    answer: Literal[
        "sent", "undeliverable", "no_consent", "capped", "quiet", "held_out", "refused"
    ] = "sent"
    outcomes: list[OutcomeBody] = Field([], max_length=MAX_OUTCOMES)
    turn: Duration = timedelta(0)


class HappensBody(_Body):
    """What happens so long after the beginning: an event, traits and segments that are others from
    then on."""

    after: Duration
    event: EventBody | None = None
    traits: Values = {}
    segments: list[Name] | None = Field(None, max_length=MAX_NAMES)


class DryRunRequest(_Body):
    """Who goes through the draft, or a `version`, from `at` (now) until so long after: let in by
    `event`, or without one by whatever lets people in. `answers` and `arms` are by node."""

    version: int | None = Field(None, ge=1, le=NEWEST)
    profile: ProfileBody = ProfileBody()
    event: EventBody | None = None
    at: Annotated[AwareDatetime, BeforeValidator(_within_reason)] | None = None
    until: Duration = timedelta(days=90)
    answers: dict[str, AnswerBody] = Field({}, max_length=MAX_NODES)
    arms: dict[str, Name] = Field({}, max_length=MAX_NODES)
    happens: list[HappensBody] = Field([], max_length=MAX_HAPPENINGS)


class SentView(BaseModel):
    """What would be sent; `problem`: why its content could not be."""

    channel: str
    type: str
    template: str | None
    content: dict[str, Any] | None
    problem: str | None


class StepView(BaseModel):
    """What happened at an instant at a node, and the word for it, as in the log of a run; `asks`
    has the `action`, `says` what is said of the person, `jumps` the journey, `exposed` the arm."""

    at: datetime
    kind: str
    node: str | None
    occurrence: int
    word: str
    action: SentView | None


class RefusedView(BaseModel):
    """Why the person may not enter."""

    stage: str
    reason: str
    condition: str


class EndView(BaseModel):
    """Where the run stands in the end, and why, in one sentence."""

    status: Literal["active", "waiting", "completed", "exited"]
    node: str | None
    reason: str | None
    wakes_at: datetime | None
    ended_at: datetime | None
    goal_at: datetime | None
    sentence: str


class DryRunView(BaseModel):
    """Every step in its order; `complete`: none was left out. `refused` and `run`: one is null."""

    key: str
    version: int | None
    refused: RefusedView | None
    steps: list[StepView]
    complete: bool
    run: EndView | None


def script_of(body: DryRunRequest) -> Script:
    """What is to be gone through."""
    return Script(
        version=body.version,
        profile=_snapshot(body.profile),
        cause=_cause(body.event, 0),
        at=body.at,
        lasts=body.until,
        chosen={
            node: Chosen(
                one.answer, tuple((said.after, said.outcome) for said in one.outcomes), one.turn
            )
            for node, one in body.answers.items()
        },
        arms=body.arms,
        happenings=tuple(
            Happening(
                one.after,
                _cause(one.event, number),
                one.traits,
                None if one.segments is None else tuple(one.segments),
            )
            for number, one in enumerate(body.happens, 1)
        ),
    )


def _snapshot(body: ProfileBody) -> ProfileSnapshot:
    never = rfc3339(datetime(YEARS.start, 1, 1, tzinfo=UTC))
    return ProfileSnapshot(
        id=str(body.id),
        status="active",
        identifiers=[],
        identifiers_total=0,
        traits=body.traits,
        computed=body.computed,
        consents=[Consent(one.purpose, one.channel, one.status) for one in body.consents],
        segments=list(body.segments),
        persona=None if body.persona is None else {"key": body.persona},
        created_at=never,
        last_seen_at=never,
        timezone=body.timezone,
    )


def _cause(event: EventBody | None, number: int) -> Cause:
    id_ = str(UUID(int=number))
    if event is None:
        return Cause(kind=CHANGED, id=id_)
    return Cause(
        id=id_,
        type=event.type,
        channel=event.channel,
        source=event.source,
        properties=event.properties,
        context=event.context,
    )


def dry_run_view(key: str, version: int | None, tried: Tried) -> DryRunView:
    """What was found, as it is shown."""
    made, run, drop = tried.made, tried.made.run, tried.made.refused
    return DryRunView(
        key=key,
        version=version,
        refused=None
        if drop is None
        else RefusedView(stage=drop.stage, reason=drop.reason, condition=drop.condition),
        steps=[
            StepView(
                at=line.at,
                kind=line.kind,
                node=line.node,
                occurrence=line.occurrence,
                word=line.word,
                action=_action(sent),
            )
            for line, sent in zip(made.lines, tried.sent, strict=True)
        ],
        complete=made.complete,
        run=None
        if run is None
        else EndView(
            status=run.status,
            node=run.node,
            reason=run.reason,
            wakes_at=run.wakes_at,
            ended_at=run.ended_at,
            goal_at=run.goal_at,
            sentence=tried.sentence or "",
        ),
    )


def _action(sent: Sent | None) -> SentView | None:
    if sent is None:
        return None
    return SentView(
        channel=sent.channel,
        type=sent.type,
        template=sent.template,
        content=None if sent.content is None else dict(sent.content),
        problem=sent.problem,
    )
