"""The naive model of a run: single-threaded, without timers, numbers or generations.

It is told everything once, in the order in which it was done; it looks at the clock itself, and
walks over the JSON document. It must share nothing with what it judges.
"""

from collections.abc import Callable
from typing import Any

LOST = ("bounced", "failed", "expired")
AWAITED = {"clicked", "bounced", "accepted"}
"""Outcomes of actions for which runs wait."""


class Naive:
    """One run. `now` is in hours; `segments` are the person's; `verdict` says by node and step what
    the arbiter will answer."""

    def __init__(
        self,
        document: dict[str, Any],
        now: float,
        segments: set[str],
        verdict: Callable[[str, int], str],
    ) -> None:
        self.documents = [document]
        self.segments, self.verdict, self.paused = segments, verdict, False
        self.entered = now
        self.ends = now + _hours(document["max_duration"])
        self.version = self.latest = 0
        self.at: str | None = None
        self.due: float | None = None
        self.step = 0
        self.over: str | None = None
        self.frozen = False
        self.held: tuple[str, str] | None = None
        self.goals = 0
        self.asked: list[tuple[str, int]] = []
        self.said: list[tuple[str, int]] = []
        self.reached: set[str] = set()
        self.spared: dict[str, set[str]] = {}

    # What happens

    def enter(self, now: float) -> None:
        if self._unwanted():
            return
        if self.paused:
            self.held = ("start", "")
        else:
            self._go(self._first(), now)

    def event(self, name: str, id_: str, now: float) -> None:
        document = self.documents[self.version]
        goal = document.get("goal")
        if (
            goal and not self.goals and not self.frozen and goal["event"] == name
            and now < self.entered + _hours(goal["within"])
        ):  # fmt: skip
            self.goals = 1
            if goal["exits"] and not self.over:
                self.over = "goal"
        for one in document["exit_criteria"]:
            if not self.over and one.get("event") == name and _fits(one, id_):
                self.over, self.frozen = f"exit: {name}", False
        if self.over or self.frozen or self._unwanted() or self.held:
            return
        until = self._node().get("until", {}) if self.at else {}
        is_it = until.get("event") == name and _fits(until, id_)
        if is_it or until.get("segment") in self.segments:
            self._leave("next", now)

    def clock(self, now: float) -> None:
        """Whoever looks after the run is awake: is anything over?"""
        if self._asleep() or self._unwanted():
            return
        if now >= self.ends:
            self.over = "max_duration"
        elif not self.held and self.due is not None and now >= self.due:
            node = self._node()
            if node["type"] == "message":
                self._leave("next", now)
            elif "until" in node and node["until"].get("segment") not in self.segments:
                self._leave("timeout_next", now)
            else:
                self._leave("next", now)

    def outcome(self, said: str, now: float) -> None:
        """What became of the last action, if the run stands there still."""
        node = self._node() if self.at else {}
        if self._asleep() or self._unwanted() or self.held or node.get("type") != "message":
            return
        self._answer(node, said, now)

    def skip(self, now: float) -> None:
        if self.at and not self._asleep() and not self._unwanted():
            self.held = None
            self._leave("next", now)

    def move(self, target: str, now: float) -> None:
        latest = self.documents[max(self.latest, self.version)]["nodes"]
        named = [node for node in latest if target in (node["id"], *node.get("replaces", ()))]
        if named and not self._asleep() and not self._unwanted():
            self.held = None
            self._to(target, now)

    def resume(self, now: float) -> None:
        if self._asleep() or self.paused or self.held is None or self._unwanted():
            return
        (kind, name), self.held = self.held, None
        if kind == "edge":
            self._leave(name, now)
            return
        if kind == "start" and now - self.entered > 24:
            self.over = "stale"
            return
        found = self._in_latest(self._first() if kind == "start" else name)
        if found:
            self._go(found, now)

    def publish(self, document: dict[str, Any]) -> None:
        self.documents.append(document)
        if not self.over and not self.frozen:
            self.catch_up()

    def catch_up(self) -> None:
        """Apply the publications that were not looked at yet."""
        for number in range(self.version + 1, len(self.documents)):
            document = self.documents[number]
            if document["version_policy"] == "pin" or number <= self.version or self.over:
                continue
            self.latest = number
            moved = self.held is not None and self.held[0] == "node"
            if moved or self.at is None or _same(self._node(), self._find(number, self.at)):
                self.version = number
            elif document["removed_nodes"] == "exit":
                self.over = "node_removed"

    def look(self) -> None:
        """Look whether the person is still wanted."""
        if not self._asleep():
            self._unwanted()

    # How it walks

    def _go(self, target: str, now: float) -> None:
        if self.paused:
            self.held, self.due = ("node", target), None
            return
        self.at, self.due, self.step = target, None, self.step + 1
        node = self._node()
        match _kind(node):
            case "message":
                self._message(node, now)
            case "lasting":
                self.due = now + _hours(node["duration"])
            case "event":
                self.due = now + _hours(node["timeout"])
            case "segment" if node["until"]["segment"] in self.segments:
                self._leave("next", now)
            case "segment":
                self.due = now + _hours(node["timeout"])
            case "branch":
                met = node["cases"][0]["when"]["segment"] in self.segments
                self._to(node["cases"][0]["next"] if met else node["else"], now)
            case "update_profile":
                self.said.append((target, self.step))
                self._leave("next", now)
            case _:
                self.over = "completed"

    def _message(self, node: dict[str, Any], now: float) -> None:
        if any(node["id"] in nodes for nodes in self.spared.values()):
            for nodes in self.spared.values():
                nodes.discard(node["id"])
            self._leave("next", now)
            return
        self.asked.append((node["id"], self.step))
        self.due = now + 7 * 24
        self._answer(node, self.verdict(node["id"], self.step), now)

    def _answer(self, node: dict[str, Any], said: str, now: float) -> None:
        outcomes = node.get("outcomes", {})
        refused = said in ("no_consent", "capped")
        if said == "sent":
            self.reached.add(node["id"])
        if said in outcomes:
            self._leave_to(said, outcomes[said], now)
        elif (refused or said in LOST) and node["on_failure"] == "exit":
            self.over = said
        elif refused or said in LOST or (said == "sent" and not AWAITED & {*outcomes}):
            self._leave("next", now)

    def _leave(self, edge: str, now: float) -> None:
        node = self._node() if self.at else {}
        target = node.get(edge) or node.get("outcomes", {}).get(edge) or node.get("next")
        self._leave_to(edge, target, now)

    def _leave_to(self, edge: str, target: str | None, now: float) -> None:
        if self.paused:
            self.held, self.due = ("edge", edge), None
        elif target is None:
            self.over = "node_removed"
        else:
            self._to(target, now)

    def _to(self, target: str, now: float) -> None:
        found = self._in_latest(target)
        if found:
            self._go(found, now)

    def _in_latest(self, target: str) -> str | None:
        if self.latest > self.version:
            self.version = self.latest
        for node in self.documents[self.version]["nodes"]:
            if node["id"] == target:
                return target
        for node in self.documents[self.version]["nodes"]:
            if target in node.get("replaces", ()):
                return str(node["id"])
        self.over = "node_removed"
        return None

    def _asleep(self) -> bool:
        return self.over is not None or self.frozen

    def _unwanted(self) -> bool:
        for one in self.documents[self.version]["exit_criteria"]:
            if not self._asleep() and one.get("segment") in self.segments:
                self.over = "exit: segment"
        return self._asleep()

    def _first(self) -> str:
        return str(self.documents[self.version]["nodes"][0]["id"])

    def _node(self) -> dict[str, Any]:
        return self._find(self.version, self.at)

    def _find(self, version: int, id_: str | None) -> dict[str, Any]:
        nodes = self.documents[version]["nodes"]
        return next((node for node in nodes if node["id"] == id_), {})


def _kind(node: dict[str, Any]) -> str:
    """What a node does, and for waits, in which form."""
    if node.get("type") != "wait":
        return str(node.get("type"))
    return "lasting" if "duration" in node else "segment" if "segment" in node["until"] else "event"


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    kinds = {"event": "until", "segment": "until"}
    return kinds.get(_kind(one), _kind(one)) == kinds.get(_kind(other), _kind(other))


def _fits(one: dict[str, Any], id_: str) -> bool:
    return "key" not in one or id_ == "1"


def _hours(text: str) -> int:
    return int(text.removeprefix("PT").removesuffix("H"))
