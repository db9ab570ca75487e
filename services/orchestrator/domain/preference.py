"""Which channel a customer likes best: the order in which the options of an action are tried."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from services.orchestrator.domain.contact_policy import ContactPolicy
from services.orchestrator.domain.history import History
from services.orchestrator.domain.rule import ActionSpec
from services.orchestrator.domain.update import Moment

LAST_ENGAGED = "last_engaged"
"""The channel on which the customer last opened, clicked or accepted something."""
TRAIT = "profile."
ENGAGED = ("opened", "clicked", "accepted")
ENGAGED_WITHIN = timedelta(days=90)
"""What is longer ago says nothing any more."""


def ordered(
    policies: Iterable[ContactPolicy],
    specs: Sequence[ActionSpec],
    moment: Moment,
    history: History,
) -> list[int]:
    """The places of the options in the order in which they are tried: the channels that the
    preferences of the policies name first, all others as they were written."""
    order: list[int] = []
    preference = [said for policy in policies for said in policy.channel_preference or ()]
    for channel in _channels(preference, moment, history):
        order += [
            place
            for place, spec in enumerate(specs)
            if spec.channel == channel and place not in order
        ]
    return order + [place for place in range(len(specs)) if place not in order]


def _channels(preference: Sequence[str], moment: Moment, history: History) -> Iterator[str]:
    for said in preference:
        if said == LAST_ENGAGED:
            engaged = [one for one in history.outcomes if one.outcome in ENGAGED]
            if engaged:
                yield max(engaged, key=lambda one: one.at).channel
            continue
        value = moment.profile.traits.get(said.removeprefix(TRAIT))
        named = value if isinstance(value, list) else [value]
        yield from (one for one in named if isinstance(one, str))
