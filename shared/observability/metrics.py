"""Every metric of Concert, declared once.

Use `X.labels(...)` with values of the sets below only; a channel goes through `channel_label`, a
topic through `topic_label`, a reason through `reason_label`. Import this module, never
prometheus_client. `start` is called once in each process, before the first record.
"""

from itertools import chain
from typing import Final

from shared.contracts.dead_letter import REASONS
from shared.contracts.delivery import OUTCOMES
from shared.contracts.topics import (
    DEAD_LETTERS as DEAD_LETTER_TAIL,
)
from shared.contracts.topics import (
    DECISIONS as DECISIONS_TOPIC,
)
from shared.contracts.topics import (
    DEFAULT_CHANNELS,
    OWN_CHANNEL,
    PROFILE_UPDATES,
    TOUCHPOINTS,
)
from shared.observability.lag import Lag
from shared.observability.registry import (
    OTHER,
    REGISTRY,
    Fold,
    counter,
    create_children,
    gauge,
    histogram,
)

CHANNEL_LIMIT: Final = 50
CHANNELS: Final = (*DEFAULT_CHANNELS, OWN_CHANNEL)
DOORS: Final = ("http", "kafka")
RECORD_OUTCOMES: Final = ("applied", "deduped", "dead", "gap")
BATCH_STAGES: Final = ("fetch", "handle", "commit")
TOPIC_KINDS: Final = ("channel", "touchpoints", "profile_updates", OTHER)
DEAD_REASONS: Final = (*REASONS, OTHER)
FAILURE_CLASSES: Final = ("infrastructure", "unknown")
REFUSAL_REASONS: Final = ("veto", "limit", "cap", "cannot_link", "shared")
DECISION_OUTCOMES: Final = ("sent", "deferred", "suppressed", "held_out", "task_created", "none")
STAGES: Final = (
    *("stale", "re_entry", "channel", "consent", "suppression", "eligibility", "applicability"),
    *("suitability", "holdout", "cap", "quiet_hours", "capacity", "floor", "arbitration"),
    "chosen",
)
LINK_OUTCOMES: Final = ("completed", "failed")
VERDICTS: Final = ("accepted", "rejected")
ACTION_KINDS: Final = ("send", "retract", "task", "prompt")
NOTING_RESULTS: Final = ("noted", "repeated", "unknown_action", "other_person", "not_published")
DELIVERY_RESULTS: Final = (
    "delivered", "bounced", "failed", "expired", "again", "later", "withdrawn", "lost",
)  # fmt: skip
AUTH_FAILURES: Final = ("missing", "unknown", "forbidden")

LATENCY: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
HTTP: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
TIMERS: Final = (0.1, 0.25, 0.5, 1, 2, 5, 15, 30, 60, 300, 900, 3600)
MINUTES: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)
BYTES: Final = (256, 512, 1024, 2048, 4096, 16384, 65536, 262144, 1048576, 2097152)
SIZES: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)

channel_label = Fold(CHANNELS, CHANNEL_LIMIT)
_topic_prefix = ""


def topic_label(topic: str) -> str:
    """A topic without the deployment's prefix; channels beyond the limit become `other`."""
    bare = topic.removeprefix(_topic_prefix)
    family, dot, channel = bare.removesuffix(DEAD_LETTER_TAIL).partition(".")
    if dot and family in ("channel", "actions"):
        tail = DEAD_LETTER_TAIL if bare.endswith(DEAD_LETTER_TAIL) else ""
        return f"{family}.{channel_label(channel)}{tail}"
    return bare if bare in (TOUCHPOINTS, PROFILE_UPDATES, DECISIONS_TOPIC) else OTHER


def topic_kind(topic: str) -> str:
    """One of TOPIC_KINDS for a consumed topic."""
    bare = topic.removeprefix(_topic_prefix)
    if bare.startswith("channel."):
        return "channel"
    return bare.replace(".", "_") if bare in (TOUCHPOINTS, PROFILE_UPDATES) else OTHER


def reason_label(reason: str) -> str:
    """A dead letter's reason; one that is not in the closed set becomes `other`."""
    return reason if reason in REASONS else OTHER


# --- ingest -------------------------------------------------------------------------------------
EVENTS_RECEIVED = counter(
    "events_received_total",
    "Events that arrived, before any check.",
    labels={"channel": CHANNELS, "door": DOORS},
    moves="The collector read an event from a request, or the worker one from `channel.*`.",
    act="Flat for a busy channel: ask its owner whether they still publish.",
)
EVENTS_PUBLISHED = counter(
    "events_published_total",
    "Events that Kafka acknowledged: from the collector, or as touchpoints from the worker.",
    labels={"channel": CHANNELS, "door": DOORS},
    moves="All in-sync replicas have the record.",
    act="Received without published or failed: Kafka is slow or away, see readiness.",
)
EVENTS_FAILED = counter(
    "events_failed_total",
    "Events refused for good.",
    labels={"channel": CHANNELS, "reason": DEAD_REASONS},
    moves="An event was answered with an error, or became a dead letter.",
    act="Read the dead letters of the channel and tell its owner the reason.",
)
EVENT_PAYLOAD_BYTES = histogram(
    "event_payload_bytes",
    "Size of one event as it arrived.",
    labels={"door": DOORS},
    buckets=BYTES,
    moves="With every received event.",
    act="A growing tail: a publisher sends whole documents; above 256 KiB they are refused.",
)
FAILED_EVENT_GROUPS = counter(
    "failed_event_groups_total",
    "New mistakes: failed events whose fingerprint none of those that are kept has.",
    labels={"channel": CHANNELS},
    moves="The role `failures` stored the first failed event of a group.",
    act="Runbook failed-events: one mistake may stand for many events.",
)

# --- consume: lag, watermark and assignment are read from LAG at each scrape ----------------------
LAG = Lag(topic_label, REGISTRY)
REBALANCES = counter(
    "rebalances_total",
    "Changes of the partitions this process owns.",
    moves="Partitions were assigned or taken away.",
    act="Several a minute: a member is dying or too slow to poll; see its log.",
)
STUCK_PARTITIONS = gauge(
    "stuck_partitions",
    "Owned partitions that have records waiting and do not move.",
    moves="The watchdog looks every few seconds; a stopped partition counts too.",
    act="Runbook stuck-partition.",
)
BATCH_RECORDS = histogram(
    "batch_records",
    "Records in one batch.",
    buckets=SIZES,
    moves="With every batch.",
    act="Always full: the process is behind. Always 1: bisecting after an error, see the log.",
)
BATCH_SECONDS = histogram(
    "batch_seconds",
    "Time of one batch by stage.",
    labels={"stage": BATCH_STAGES},
    buckets=SHORT,
    moves="With every batch.",
    act="`commit` slow: the disk of PostgreSQL or the acks of Kafka; `handle` slow: locks or SQL.",
)
RECORDS = counter(
    "records_total",
    "Records by what became of them; they add up to the offsets passed.",
    labels={"outcome": RECORD_OUTCOMES},
    moves="When their batch has committed.",
    act="`dead` rising: runbook dead-letters. `deduped` rising: a publisher sends twice.",
)
RETRIES = counter(
    "retries_total",
    "Batches that were tried again, by class of failure.",
    labels={"failure": FAILURE_CLASSES},
    moves="A batch failed and was rolled back.",
    act="`infrastructure`: see readiness. `unknown`: a bug, the log has its stack.",
)
FENCED = counter(
    "fenced_total",
    "Batches rolled back because another process owns the partition.",
    moves="The compare-and-set on the lease row found no row.",
    act="A few at a rebalance are normal; steady growth means two owners fight, see rebalances.",
)
GAPS = counter(
    "gap_total",
    "Offsets that the broker did not deliver and that are no records (compaction, markers).",
    moves="The next record's offset is higher than expected.",
    act="Runbook offset-gap.",
)
SEQUENCE_GAPS = counter(
    "sequence_gap_total",
    "Profile updates missing from the sequence of a profile: messages were lost.",
    moves="A receiver saw `seq` higher than the last one plus one.",
    act="Runbook sequence-gap. It must stay 0.",
)
DEAD_LETTERS = counter(
    "dead_letters_total",
    "Records put on a dead-letter topic.",
    labels={"topic": TOPIC_KINDS, "reason": DEAD_REASONS},
    moves="The dead letter is safe: acknowledged, or committed to the outbox.",
    act="Runbook dead-letters.",
)

# --- outbox and relay ---------------------------------------------------------------------------
OUTBOX_PENDING = gauge(
    "outbox_pending_frames",
    "Frames that are committed and not yet published.",
    moves="The relay counts them every second.",
    act="Growing: runbook outbox-stalled.",
)
OUTBOX_OLDEST = gauge(
    "outbox_oldest_age_seconds",
    "Age of the oldest frame that is not yet published; 0 when there is none.",
    moves="The relay looks every second.",
    act="Runbook outbox-stalled.",
)
OUTBOX_PUBLISHED = counter(
    "outbox_published_messages_total",
    "Messages of frames that Kafka acknowledged.",
    labels={
        "topic": (
            *(TOUCHPOINTS, PROFILE_UPDATES, DECISIONS_TOPIC),
            *(f"actions.{channel}" for channel in DEFAULT_CHANNELS),
        )
    },
    moves="All messages of a frame have their acknowledgement.",
    act="Flat while frames are pending: runbook outbox-stalled.",
)
OUTBOX_ERRORS = counter(
    "outbox_publish_errors_total",
    "Frames whose sending failed; they are sent again.",
    moves="Kafka refused a frame or did not answer.",
    act="See the readiness of Kafka and the log.",
)
RELAY_RESENT = counter(
    "relay_resent_total",
    "Messages sent again after an error or by a new owner; receivers drop them by `seq`.",
    moves="A frame is sent that may have been sent before.",
    act="Nothing, if it stops; steady growth: acknowledgements are lost, see Kafka's log.",
)

# --- timers -------------------------------------------------------------------------------------
TIMERS_PENDING = gauge(
    "timers_pending",
    "Timers that wait.",
    moves="The poller counts them every few seconds.",
    act="Nothing; it follows what is planned.",
)
TIMERS_OVERDUE = gauge(
    "timers_overdue",
    "Timers that are due and were not fired; counted up to 10,000.",
    moves="The poller counts them every few seconds.",
    act="Runbook timers-overdue.",
)
RUNS_STUCK = gauge(
    "runs_stuck",
    "Runs of journeys that should have gone on by themselves over five minutes ago.",
    moves="The poller counts them every few seconds.",
    act="Runbook runs-stuck.",
)
TIMER_FIRE_DELAY = histogram(
    "timer_fire_delay_seconds",
    "How late a timer fired, in the database's time.",
    buckets=TIMERS,
    moves="A timer's effect was committed.",
    act="The 99th percentile above 2 s: start another poller, or see PostgreSQL.",
)

# --- audience events ----------------------------------------------------------------------------
AUDIENCE_JOBS_OPEN = gauge(
    "audience_jobs_open",
    "Events on their way to an audience: waiting or running.",
    moves="The sweeper counts them every few seconds.",
    act="Growing: start another sweeper, or see `/v1/audience-events` for a large one.",
)
AUDIENCE_COPIES = counter(
    "audience_copies_total",
    "Copies of events for the members of an audience.",
    moves="The copies of one page of profiles were committed to the outbox.",
    act="Flat while jobs are open: nobody is meant, or the outbox is full, runbook outbox-stalled.",
)

# --- segments -----------------------------------------------------------------------------------
DEADLINES_OVERDUE = gauge(
    "deadlines_overdue",
    "Profiles that time alone may have moved into or out of a segment and that were not looked at.",
    moves="The sweeper counts them every few seconds.",
    act="Runbook deadlines-overdue.",
)
DEADLINE_DELAY = histogram(
    "deadline_delay_seconds",
    "How late a profile was looked at after time alone changed it, in the database's time.",
    buckets=TIMERS,
    moves="The look was committed.",
    act="The 99th percentile above 2 s: start another sweeper, or see PostgreSQL.",
)
DEFINITION_JOBS_OPEN = gauge(
    "definition_jobs_open",
    "Changes of segments, personas and event leaves on their way to all profiles.",
    moves="The sweeper counts them every few seconds.",
    act="Growing: see `/v1/segments/{key}/backfill`; a full outbox holds them up.",
)
SEGMENT_CHANGES = counter(
    "segment_changes_total",
    "Memberships that began or ended and personas that changed without a touchpoint.",
    moves="A look of the sweeper was committed.",
    act="Nothing; it follows definitions and the passing of time.",
)

# --- profile ------------------------------------------------------------------------------------
TOUCHPOINTS_SUPPRESSED = counter(
    "touchpoints_suppressed_total",
    "Touchpoints of erased people that came too late and were not stored.",
    moves="An old record of somebody who was erased was published, replayed or delivered late.",
    act="Nothing; for long after an erasure: a publisher still holds the person's data.",
)
PRIVACY_REQUESTS_OPEN = gauge(
    "privacy_requests_open",
    "Access, rectification and erasure requests that are not finished.",
    moves="The sweeper counts them every few seconds.",
    act="Not back to 0: `GET /v1/privacy-requests` says in `problem` what each waits for.",
)
PRIVACY_OLDEST_SECONDS = gauge(
    "privacy_oldest_request_seconds",
    "Age of the oldest privacy request that is not finished.",
    moves="The sweeper measures it every few seconds.",
    act="Runbook privacy-request-waits.",
)
RETENTION_REMOVED = counter(
    "retention_removed_total",
    "What was removed because its time was over.",
    labels={"what": ("touchpoints", "profiles", "exports", "receipts")},
    moves="The sweeper found something older than the retention settings allow.",
    act="Nothing. At 0 for days with retention set, see that a sweeper is at work.",
)
PROFILES_CREATED = counter(
    "profiles_created_total",
    "Profiles created.",
    moves="A touchpoint had no known identifier.",
    act="A jump without more traffic: an identifier is written in a new form.",
)
MERGES = counter(
    "merges_total",
    "Profiles merged into another.",
    moves="One touchpoint, or a person, said that profiles are the same person.",
    act="A jump: look for a new shared identifier in the latest merges.",
)
MERGES_REFUSED = counter(
    "merge_refused_total",
    "Merges or attachments that identity rules forbade.",
    labels={"reason": REFUSAL_REASONS},
    moves="A veto, a limit, a cap, a recorded split or a shared identifier stood against it.",
    act="A jump of `limit` or `cap`: an identifier is shared by many persons, see the source.",
)
IDENTIFIERS_DEMOTED = counter(
    "identifiers_demoted_total",
    "Identifiers of a touchpoint that were left aside while it was resolved.",
    moves="The weakest identifier was dropped to keep the identity rules.",
    act="As for refused merges.",
)

SIMULATIONS = counter(
    "simulations_total",
    "Rehearsals of drafts over recorded updates.",
    labels={"outcome": LINK_OUTCOMES},
    moves="A simulation was completed or failed.",
    act="`failed`: `GET /v1/simulations/{id}` says why.",
)
SIMULATION_SECONDS = histogram(
    "simulation_seconds",
    "How long a completed simulation took.",
    buckets=MINUTES,
    moves="A simulation was completed.",
    act="Much longer than before: ask for shorter periods, or start the role once more.",
)
SIMULATED_UPDATES = counter(
    "simulated_updates_total",
    "Recorded updates that rehearsals went through.",
    moves="A rehearsal is under way.",
    act="No movement while a simulation runs: look at its process.",
)
LINK_RUNS = counter(
    "link_runs_total",
    "Batches that looked for profiles that may be one person.",
    labels={"outcome": LINK_OUTCOMES},
    moves="A batch was completed or failed.",
    act="`failed`: `GET /v1/link-suggestions:run` says why.",
)
LINK_RUN_SECONDS = histogram(
    "link_run_seconds",
    "How long a completed batch took.",
    buckets=MINUTES,
    moves="A batch was completed.",
    act="Much longer than before: more pairs are compared, see the docs on link suggestions.",
)
LINK_PAIRS = counter(
    "link_pairs_total",
    "Pairs of profiles in the blocks of completed batches.",
    moves="A batch was completed.",
    act="A jump: a value is shared by many, see what the batch says of its blocks.",
)
LINK_VERDICTS = counter(
    "link_verdicts_total",
    "Suggestions that people decided on.",
    labels={"verdict": VERDICTS},
    moves="A suggestion was accepted or rejected.",
    act="Many `rejected`: ask for a higher threshold.",
)

# --- decide -------------------------------------------------------------------------------------
DECISIONS = counter(
    "decisions_total",
    "Decisions by outcome and by the stage that decided.",
    labels={"outcome": DECISION_OUTCOMES, "stage": STAGES},
    moves="A decision was committed.",
    act="All `suppressed` at one stage: ask whether the rule or the policy is meant so.",
)
ASKS = counter(
    "asks_total",
    "Asks for the next best action: whether the person was known, what was answered, and whether "
    "it had been answered before.",
    labels={
        "person": ("known", "unknown", "unavailable"),
        "answer": ("action", "none"),
        "kept": ("kept", "new"),
    },
    moves="`POST /v1/decide` was answered.",
    act="`unavailable` grows: the profile API does not answer within 30 ms; see its latency.",
)
ACTIONS = counter(
    "actions_total",
    "Actions put on their channel's topic.",
    labels={"channel": tuple(DEFAULT_CHANNELS), "kind": ACTION_KINDS},
    moves="The action was committed to the outbox.",
    act="A jump: pause the rule that sends, then look at its decisions.",
)
RETRACTIONS = counter(
    "retractions_total",
    "Actions taken back before or after they were published.",
    moves="The reason for the action ended, or consent did.",
    act="Nothing; it shows that channels agree with each other.",
)
EVENT_TO_DECISION = histogram(
    "event_to_decision_seconds",
    "From the receipt of an event to its decision's commit.",
    buckets=LATENCY,
    moves="A decision caused by a live touchpoint was committed.",
    act="Runbook decision-latency.",
)
RULES_ACTIVE = gauge(
    "rules_active",
    "Published rules that this process knows.",
    moves="The rule index was loaded.",
    act="Different between workers for more than 2 s: the one behind has lost PostgreSQL.",
)
JOURNEYS_ACTIVE = gauge(
    "journeys_active",
    "Journeys that this process knows: those that let people in, or have runs.",
    moves="The rule index was loaded.",
    act="Different between workers for more than 2 s: the one behind has lost PostgreSQL.",
)
EXPERIMENTS_RUNNING = gauge(
    "experiments_running",
    "Experiments that are published and not over, as this process knows them.",
    moves="The rule index was loaded.",
    act="Less than were published: one was stopped because it did harm, or called; its audit log "
    "says which.",
)
RULE_INDEX_VERSION = gauge(
    "rule_index_version",
    "Version of the rule index in use; it grows with every publication.",
    moves="The rule index was loaded.",
    act="As for the active rules.",
)
DELIVERY_EVENTS = counter(
    "delivery_events_total",
    "What was said of actions, by outcome and by what it changed.",
    labels={"outcome": OUTCOMES, "result": NOTING_RESULTS},
    moves="A touchpoint that names an action was answered.",
    act="Many `other_person` or `unknown_action`: a channel system echoes the wrong ids.",
)
TASKS_ENDED = counter(
    "tasks_ended_total",
    "Tasks that people completed, by whether they still had them.",
    labels={"result": ("completed", "too_late")},
    moves="A task was completed.",
    act="Many `too_late`: leases or expiries are too short for the work.",
)

DELIVERIES = counter(
    "deliveries_total",
    "Tries of built-in connectors and what was found of them, by how they ended.",
    labels={"channel": tuple(DEFAULT_CHANNELS), "result": DELIVERY_RESULTS},
    moves="A result was committed. `again`: it is tried once more; `later`: Concert could not try; "
    "`lost`: somebody else had it by then.",
    act="Runbook delivery-failing.",
)
DELIVERY_SECONDS = histogram(
    "delivery_seconds",
    "How long a try took, whatever came of it.",
    labels={"channel": tuple(DEFAULT_CHANNELS)},
    buckets=LATENCY,
    moves="A try ended.",
    act="Close to the channel's time-out: the receiver hangs.",
)
DELIVERIES_WAITING = gauge(
    "deliveries_waiting",
    "Deliveries that wait on a channel; at most 10,000 are counted.",
    labels={"channel": tuple(DEFAULT_CHANNELS)},
    moves="Counted every two seconds.",
    act="Growing: the channel is off, its rate too low, or runbook delivery-failing.",
)
DELIVERY_OLDEST = gauge(
    "delivery_oldest_seconds",
    "For how long the oldest waiting delivery of a channel has been due.",
    labels={"channel": tuple(DEFAULT_CHANNELS)},
    moves="Read every two seconds.",
    act="Runbook delivery-failing. A file batch waits for its cut-off.",
)
DELIVERY_CIRCUIT = gauge(
    "delivery_circuit_open",
    "1 when nothing is sent on a channel because it failed or asked for a pause, 0.5 while one "
    "delivery tries alone, 0 when all is well.",
    labels={"channel": tuple(DEFAULT_CHANNELS)},
    moves="Read every two seconds.",
    act="Runbook delivery-failing.",
)

# --- HTTP ---------------------------------------------------------------------------------------
# The label sets are the routes of the API: created by its app factory when the process starts.
HTTP_REQUESTS = counter(
    "http_requests_total",
    "Requests answered, by route template, never by URL.",
    labels={"method": (), "route": (), "status": ()},
    moves="With every answer.",
    act="5xx: the log has the trace id of the answer.",
)
HTTP_SECONDS = histogram(
    "http_request_seconds",
    "Time to the answer.",
    labels={"method": (), "route": ()},
    buckets=HTTP,
    moves="With every answer.",
    act="Reads above 50 ms at the 99th percentile: see the pool and PostgreSQL.",
)
AUTH_FAILURES_TOTAL = counter(
    "auth_failures_total",
    "Requests turned away.",
    labels={"reason": AUTH_FAILURES},
    moves="An answer was 401 or 403.",
    act="A jump of `unknown`: a revoked token is still used, or somebody guesses; see the log.",
)

# --- the process --------------------------------------------------------------------------------
READY = gauge(
    "ready",
    "1 when the process can do its work, 0 when not.",
    moves="Asked anew at each scrape and each probe.",
    act="Runbook not-ready; `/readyz` gives the reason.",
)
EVENT_LOOP_LAG = histogram(
    "event_loop_lag_seconds",
    "How late the event loop ran a task that was due.",
    buckets=SHORT,
    moves="Sampled twice a second.",
    act="Above 0.25 s: something computes too long at a time, or the machine has no CPU left.",
)
DB_POOL_IN_USE = gauge(
    "db_pool_in_use",
    "Database connections in use.",
    moves="Read from the pool at each scrape.",
    act="At the pool's size: requests wait; see slow transactions in PostgreSQL.",
)
BUILD_INFO = gauge(
    "build_info",
    "Always 1; says which program this is.",
    labels={"service": (), "role": (), "version": ()},
    moves="Never.",
    act="Two versions for long: a rollout stopped half-way.",
)


def start(service: str, role: str, version: str, topic_prefix: str = "") -> None:
    """Create all children with known labels, so that the first error of a kind is seen."""
    global _topic_prefix
    _topic_prefix = topic_prefix
    create_children()
    BUILD_INFO.labels(service=service, role=role, version=version).set(1)


def start_routes(routes: list[tuple[str, str]]) -> None:
    """Create the HTTP children of an API: `routes` are (method, route template)."""
    for method, route in chain(routes, [("GET", OTHER)]):
        HTTP_SECONDS.labels(method=method, route=route)
        for status in ("200", "500"):
            HTTP_REQUESTS.labels(method=method, route=route, status=status)
