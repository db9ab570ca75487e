"""A channel's own fallback: what stands in for a message that cannot be delivered there.

It counts where the rule or the node names none for that itself. The same content goes to the other
channel.
"""

from collections.abc import Mapping
from dataclasses import replace

from services.orchestrator.domain.channel import Channel
from services.orchestrator.domain.journeys.journey import Act, Journey, Node
from services.orchestrator.domain.rule import ActionSpec, Fallback, Rule

UNDELIVERABLE = "undeliverable"
MESSAGE = "message"


def with_channel_fallbacks(rule: Rule, channels: Mapping[str, Channel]) -> Rule:
    """The rule as it holds on these channels."""
    actions = tuple(_completed(spec, channels) for spec in rule.actions)
    return rule if actions == rule.actions else replace(rule, actions=actions)


def journey_with_channel_fallbacks(journey: Journey, channels: Mapping[str, Channel]) -> Journey:
    """The journey as its nodes act on these channels."""
    nodes = {id_: _node(node, channels) for id_, node in journey.nodes.items()}
    return replace(journey, nodes=nodes)


def _node(node: Node, channels: Mapping[str, Channel]) -> Node:
    if not isinstance(node.does, Act):
        return node
    return replace(node, does=replace(node.does, spec=_completed(node.does.spec, channels)))


def _completed(spec: ActionSpec, channels: Mapping[str, Channel]) -> ActionSpec:
    channel = channels.get(spec.channel)
    other = None if channel is None else channels.get(channel.fallback or "")
    if spec.type != MESSAGE or other is None:
        return spec
    if any(UNDELIVERABLE in fallback.on for fallback in spec.fallback):
        return spec
    instead = replace(spec, channel=other.key, fallback=())
    return replace(spec, fallback=(*spec.fallback, Fallback(frozenset({UNDELIVERABLE}), instead)))
