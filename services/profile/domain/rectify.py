"""A correction that a person asked for: a fact of the highest authority, and evidence like others.

What was said of the trait before is forgotten, wherever it hangs; what is said late of the time
before is not kept either. What is said of later loses against the correction.
"""

import msgspec

from services.profile.domain.definitions import NONE, Definitions
from services.profile.domain.derive import derive_declared
from services.profile.domain.survivorship import RECTIFICATION, Saying
from services.profile.domain.working_profile import WorkingProfile


class Rectification(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="rectification"):
    """What a person had corrected, complete. `values` are canonical JSON, `null` for a trait that
    is removed; they hang on the identifier `anchor`. `at` is RFC 3339 UTC."""

    id: str
    profile: str
    anchor: str
    values: dict[str, bytes]
    at: str


class RectifiedCause(msgspec.Struct, gc=False, kw_only=True):
    """Why an update was sent: traits were corrected; which ones, never what they were."""

    kind: str = "trait_changed"
    id: str
    at: str
    actor: str
    traits: list[str]
    rectified: bool = True


def rectify(
    profile: WorkingProfile, correction: Rectification, definitions: Definitions = NONE
) -> None:
    """Carry a correction out; the policy of a declared trait does not stand against it.

    Raises KeyError when the profile does not hold the anchor.
    """
    values = dict(correction.values)
    declared = [one for name, one in definitions.declared.items() if name in values]
    said = Saying(RECTIFICATION, correction.at, correction.id, True, values)
    profile.rectify(correction.anchor, said, [one.stream for one in declared])
    derive_declared(profile, declared, definitions)
