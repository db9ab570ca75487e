"""How far an action came on its channel: found from everything that was said of it.

Delivery events come late, twice and in any order. So where an action stands is a function of the
set of outcomes that were said of it, each with the latest instant at which it happened; nothing
depends on which of them was heard first. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from services.orchestrator.domain.rule import TASK
from shared.contracts.delivery import DELIVERY, OUTCOMES, RESPONSES

Said = Mapping[str, datetime]
"""The outcomes that were said of an action, with the latest instant of each."""

LOST = frozenset({"bounced", "failed", "expired"})
"""What says that the customer was not reached."""
SETTLED = frozenset({"accepted", "declined", "redeemed"})
"""Answers after which there is nothing left to take back."""

_FORCE: Mapping[str, int] = {"failed": 0, "expired": 1, "bounced": 2, "delivered": 2}
"""Delivered beats failed and expired, whenever they were said. A message may bounce after a server
took it, and may come through after a first try bounced: of these two the later one holds."""
_WEIGHT: Mapping[str, int] = {"ignored": 0, "opened": 1, "clicked": 2}
"""An answer weighs more than a look, and a look more than nothing; of two answers the later one
holds."""
_ANSWER = 3
_NEVER = datetime.min.replace(tzinfo=UTC)

_REASONS: Mapping[str | None, str] = {
    "bounced": "undeliverable", "failed": "undeliverable", "expired": "expired",
    "declined": "declined", "ignored": "ignored",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """`delivery` is what became of the message, `response` the most that the customer did with it;
    `over` says that nothing of it can be taken back any more."""

    delivery: str | None = None
    response: str | None = None
    over: bool = False

    @property
    def is_lost(self) -> bool:
        """Whether the customer was not reached, as far as is known."""
        return self.delivery in LOST

    @property
    def reasons(self) -> frozenset[str]:
        """For what a fallback may be taken, in the words of a rule's `on`."""
        found = (_REASONS.get(self.delivery), _REASONS.get(self.response))
        return frozenset(reason for reason in found if reason is not None)


def standing(said: Said) -> Standing:
    """Where an action stands of which this was said. Whoever responded was reached, whatever else
    was said of the delivery."""
    responses = [one for one in said if one in RESPONSES]
    deliveries = [one for one in said if one in DELIVERY]
    response = max(responses, key=lambda one: _weight(one, said), default=None)
    delivery = max(deliveries, key=lambda one: _force(one, said), default=None)
    if response is not None:
        delivery = "delivered"
    over = delivery in LOST or not SETTLED.isdisjoint(said)
    return Standing(delivery, response, over)


def status_of(stands: Standing, status: str, kind: str) -> str:
    """What becomes of the status of an action of a kind: taken back is taken back, whatever is said
    later; a task that reached the customer is done."""
    if status in ("pending", "retracted"):
        return status
    if stands.is_lost:
        return "expired" if stands.delivery == "expired" else "failed"
    if stands.over or (kind == TASK and stands.delivery == "delivered"):
        return "done"
    return status if status == "done" else "published"


def _weight(outcome: str, said: Said) -> tuple[int, datetime, int]:
    weight = _WEIGHT.get(outcome, _ANSWER)
    return weight, said[outcome] if weight == _ANSWER else _NEVER, OUTCOMES.index(outcome)


def _force(outcome: str, said: Said) -> tuple[int, datetime, bool]:
    return _FORCE[outcome], said[outcome], outcome == "delivered"
