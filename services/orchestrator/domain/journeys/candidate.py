"""A node that wants to act as the arbiter sees it: a rule that only this run triggers.

So every gate, cap, price and quiet hour holds for journeys as for rules. What the journey decides
itself is not asked again: who enters, who is held out, and when the reason is over.
"""

from datetime import timedelta

from services.orchestrator.domain.journeys.journey import Act, Journey
from services.orchestrator.domain.rule import EngagementPolicy, ReEntry, Rule, Trigger


def rule_key(journey: str, node: str) -> str:
    """The name of a node's rule; no rule can have it, for a slash is no part of a key."""
    return f"{journey}/{node}"


def rule_of(journey: Journey, node: str) -> Rule:
    """The node as a rule. Raises KeyError where there is no such node, ValueError where it does not
    act."""
    does = journey.nodes[node].does
    if not isinstance(does, Act):
        raise ValueError(f"node {node} of journey {journey.key} does not act")
    return Rule(
        key=rule_key(journey.key, node),
        version=journey.version,
        category=journey.category,
        topic=journey.topic,
        group=journey.group,
        trigger=Trigger("", None, journey.max_duration, historical=True, kind="api"),
        engagement_policy=EngagementPolicy(None, None, None),
        re_entry=ReEntry("always", timedelta(0), None),
        worth=journey.worth,
        priority=journey.priority,
        max_actions=None,
        actions=(does.spec,),
        exit_criteria=(),
        valid_from=None,
        valid_to=None,
        costs=journey.costs,
        customer=journey.customer,
    )
