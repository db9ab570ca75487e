"""Counts the history of a profile again, for streams that it did not know before."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.profile.domain.assess import facts_of_event
from services.profile.domain.definitions import Stream
from services.profile.domain.instants import instant_in
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.touchpoint import TouchpointEnvelope, envelope_decoder


class Happened(NamedTuple):
    """A touchpoint of the past."""

    type: str
    touchpoint: TouchpointEnvelope

    @classmethod
    def read(cls, body: bytes) -> "Happened":
        """From its JSON as it came."""
        touchpoint = envelope_decoder.decode(body)
        return cls(touchpoint.type, touchpoint)


def forget(profile: WorkingProfile, streams: Iterable[Stream]) -> None:
    """Drop what is counted of streams, before their history is counted again."""
    keys = [stream.key for stream in streams]
    for held in profile.state.held.values():
        if held.events is not None:
            for key in keys:
                held.events.pop(key, None)
    for key in keys:
        profile.forget_tally(key)


def recount(
    profile: WorkingProfile, streams: Sequence[Stream], past: Iterable[tuple[str, Happened]]
) -> None:
    """Count touchpoints, each with the identifier it hangs on, in those of the streams that they
    belong to."""
    for anchor, happened in past:
        facts = None
        for stream in streams:
            if stream.leaf.event != happened.type:
                continue
            if stream.where is not None:
                facts = facts or facts_of_event(happened.touchpoint)
                if not stream.where(facts):
                    continue
            instant = instant_in(happened.touchpoint.occurred_at)
            profile.count_event(anchor, stream.key, instant, stream.keep)
