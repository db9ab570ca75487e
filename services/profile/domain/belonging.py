"""What groups a profile belongs to and what lists it is on: found out from its identifiers, told
when it changed, with what its conditions know of the groups."""

from collections.abc import Sequence

import msgspec

from services.profile.domain.assess import Change
from services.profile.domain.definitions import Definitions
from services.profile.domain.group_call import group_call, groups_of
from services.profile.domain.groups import (
    KINDS,
    GroupKind,
    Links,
    accounts_of,
    household_of,
    id_of_facts,
    lists_of,
    say,
)
from services.profile.domain.identity import IdentityRules
from services.profile.domain.standing import LinkedTo, linked_to
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.touchpoint import TouchpointEnvelope

_objects = msgspec.json.Decoder(dict[str, object])


def links_of(profile: WorkingProfile, anchor: str) -> Links:
    """What was said of groups and lists with an identifier it holds, to be added to."""
    held = profile.state.held[anchor]
    if held.links is None:
        held.links = Links()
    return held.links


def all_links(profile: WorkingProfile) -> list[Links]:
    """The same of every identifier, as far as there is any."""
    return [held.links for held in profile.state.held.values() if held.links is not None]


def link(
    profile: WorkingProfile,
    anchor: str,
    touchpoint: TouchpointEnvelope,
    named: Sequence[str],
    *,
    rules: IdentityRules,
    definitions: Definitions,
) -> tuple[list[Change], int]:
    """Link a profile to the groups that a touchpoint names, by identifiers (`named`) or as a group
    call; what changed by that, and which nodes it can concern."""
    groups = groups_of(named, rules)
    call = group_call(touchpoint, rules)
    if call is not None:
        groups.append(call.group)
    links, news = links_of(profile, anchor), False
    for group in groups:
        news |= say(links, group, touchpoint.occurred_at)
    return regroup(profile, definitions) if news else ([], 0)


def find_links(profile: WorkingProfile) -> LinkedTo:
    """Find out anew what groups it belongs to and what lists it is on; as it was before."""
    before = linked_to(profile.state.standing)
    standing, links = profile.standing, all_links(profile)
    household, accounts = household_of(links), accounts_of(links)
    now = LinkedTo(
        None if household is None else household.id,
        tuple(one.id for one in accounts),
        tuple(lists_of(links)),
    )
    profile.groups = {one.id: one for one in [*accounts, *([household] if household else [])]}
    if now != before:
        standing.household = now.household
        standing.accounts, standing.lists = list(now.accounts), list(now.lists)
        known = [*standing.group_facts.values(), *profile.spare_facts]
        standing.group_facts = {
            kind: facts
            for kind in sorted(KINDS)
            for facts in known
            if (id_ := now.group(kind)) is not None and id_of_facts(facts) == id_
        }
        profile.unheard = unheard_groups(profile)
        profile.head = None
        profile.facts_stored = False
    return before


def unheard_groups(profile: WorkingProfile) -> set[str]:
    """The groups that conditions read and of which nothing is known yet."""
    standing = profile.standing
    ids = {kind: standing.group(kind) for kind in KINDS if kind not in standing.group_facts}
    return {id_ for id_ in ids.values() if id_ is not None}


def regroup(profile: WorkingProfile, definitions: Definitions) -> tuple[list[Change], int]:
    """Find out anew what household, accounts and static lists a profile belongs to: what changed
    of the groups, and which nodes all that can concern."""
    before = find_links(profile)
    now = linked_to(profile.standing)
    if now == before:
        return [], 0
    changes = []
    if now.household != before.household:
        change = Change("household_changed", before=before.household, household=now.household)
        changes.append(change)
    linked, was = set(now.accounts), set(before.accounts)
    changes += [
        Change("account_changed", account=id_, linked=id_ in linked)
        for id_ in [*sorted(was - linked), *sorted(linked - was)]
    ]
    return changes, definitions.by_group | definitions.by_list


def hear_of_group(
    profile: WorkingProfile, kind: GroupKind, facts: bytes, definitions: Definitions
) -> tuple[list[Change], int]:
    """Take up what is known of the household, or the account, that a profile belongs to: what
    changed, and which nodes that can concern."""
    standing = profile.standing
    before = standing.group_facts.get(kind, b"{}")
    if facts == before:
        return [], 0
    standing.group_facts = dict(sorted({**standing.group_facts, kind: facts}.items()))
    profile.head = None
    profile.facts_stored = False
    was, now = _objects.decode(before), _objects.decode(facts)
    names = tuple(
        sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    )
    id_ = standing.group(kind)
    if kind == "household":
        change = Change("household_changed", household=id_, facts=names)
    else:
        change = Change("account_changed", account=id_, linked=True, facts=names)
    return [change], definitions.by_group
