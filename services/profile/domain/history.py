"""Counts the history of a profile again, for streams that it did not know before."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.profile.domain.definitions import Declared, Definitions, Stream
from services.profile.domain.derive import add_to_declared, told_of
from services.profile.domain.instants import instant_in
from services.profile.domain.streams import Happening, count_in_stream
from services.profile.domain.survivorship import RECTIFICATION, Saying, usable_values
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


class Lacking(NamedTuple):
    """What a profile lacks the history of."""

    streams: Sequence[Stream]
    declared: Sequence[Declared]

    @property
    def types(self) -> set[str]:
        """The types of touchpoints that its streams are about."""
        return {stream.leaf.event for stream in self.streams}


def lacking(definitions: Definitions, epoch: int) -> Lacking:
    """What a profile of an epoch lacks."""
    return Lacking(
        [stream for stream in definitions.streams.values() if stream.since > epoch],
        [one for one in definitions.declared.values() if one.kept_since > epoch],
    )


def forget(profile: WorkingProfile, lacks: Lacking, definitions: Definitions) -> None:
    """Drop what is counted of streams, before their history is counted again; and of those that
    nobody asks for any more.

    The last words on declared traits that are known stay, should the history have lost them.
    """
    again = {stream.key for stream in lacks.streams} | {one.stream for one in lacks.declared}
    in_force = definitions.streams.keys() | {one.stream for one in definitions.declared.values()}
    for anchor, held in profile.state.held.items():
        for key in [one for one in held.events or () if one in again or one not in in_force]:
            del (held.events or {})[key]
            profile.forget_tally(key)
        for said in held.traits or ():
            for one in lacks.declared:
                if said.source == RECTIFICATION:
                    continue
                if one.trait.name in said.values and one.trait.policy != "most_frequent":
                    add_to_declared(profile, anchor, one, told_of(said, one.trait.name))


def recount(profile: WorkingProfile, lacks: Lacking, past: Iterable[tuple[str, Happened]]) -> None:
    """Count touchpoints, each with the identifier it hangs on, in those of the streams that they
    belong to."""
    for anchor, happened in past:
        happening = Happening(happened.touchpoint)
        for stream in lacks.streams:
            if stream.leaf.event == happened.type:
                instant = instant_in(happened.touchpoint.occurred_at)
                count_in_stream(profile, anchor, stream, happening, instant)
        if lacks.declared and happened.touchpoint.traits:
            _recount_traits(profile, anchor, lacks.declared, happened.touchpoint)


def _recount_traits(
    profile: WorkingProfile,
    anchor: str,
    declared: Sequence[Declared],
    touchpoint: TouchpointEnvelope,
) -> None:
    said = Saying(
        touchpoint.source,
        touchpoint.occurred_at,
        touchpoint.id,
        touchpoint.source in profile.policy.verified_sources,
        usable_values(touchpoint.traits),
    )
    corrections = profile.corrections()
    for one in declared:
        correction = corrections.get(one.trait.name)
        if correction is not None and correction.covers(said.occurred_at):
            continue
        if one.trait.name in said.values:
            add_to_declared(profile, anchor, one, told_of(said, one.trait.name))
