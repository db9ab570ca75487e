"""Says in which ways a new JSON Schema or OpenAPI document would break somebody who uses the old.

Adding is free, taking away is not. What counts depends on who writes the value:

- `REQUEST`: users write, we read. Everything that was accepted must still be accepted.
- `RESPONSE`: we write, users read. Everything that was promised must still be there. A new value
  of an enumeration is allowed: readers have to live with values they do not know.
- `BOTH`: a message in a topic. Old messages are read by new code and new ones by old code.

It must never pass over what it does not understand: an unknown `$ref` raises KeyError.
"""

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

REQUEST = "request"
RESPONSE = "response"
BOTH = "both"

METHODS = ("get", "put", "post", "delete", "patch")
UPPER_LIMITS = ("maxLength", "maxItems", "maximum", "exclusiveMaximum", "maxProperties")
LOWER_LIMITS = ("minLength", "minItems", "minimum", "exclusiveMinimum", "minProperties")


def breaking_schema_changes(old: Document, new: Document) -> list[str]:
    """Every way in which the message schema `new` breaks writers or readers of `old`."""
    return list(_Comparison(old, new).nodes(old, new, BOTH, ""))


def breaking_api_changes(old: Document, new: Document) -> list[str]:
    """Every way in which the OpenAPI document `new` breaks a client of `old`."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method in METHODS & methods.keys():
            where = f"{method.upper()} {path}"
            operation = new["paths"].get(path, {}).get(method)
            if operation is None:
                found.append(f"{where}: removed")
            else:
                found += _Comparison(old, new).operations(methods[method], operation, where)
    return sorted(found)


class _Comparison:
    """Two documents side by side; `seen` ends the walk through recursive schemas."""

    def __init__(self, old: Document, new: Document) -> None:
        self.old = old
        self.new = new
        self.seen: set[tuple[str, str, str]] = set()

    def operations(self, old: Document, new: Document, where: str) -> Iterator[str]:
        """Changes of one method of one path: parameters, body, answers."""
        yield from self._parameters(old.get("parameters", []), new.get("parameters", []), where)
        was, now = old.get("requestBody", {}), new.get("requestBody", {})
        if now.get("required") and not was.get("required"):
            yield f"{where}: a body became required"
        yield from self._contents(was, now, REQUEST, f"{where} body")
        for status, answer in old.get("responses", {}).items():
            if status not in new.get("responses", {}):
                yield f"{where} {status}: removed"
            else:
                there = f"{where} {status}"
                yield from self._contents(answer, new["responses"][status], RESPONSE, there)

    def nodes(self, old: Document, new: Document, side: str, where: str) -> Iterator[str]:
        """Changes of one schema node and of everything below it."""
        pair = (old.get("$ref", ""), new.get("$ref", ""), side)
        if pair in self.seen:
            return
        if pair[0] and pair[1]:
            self.seen.add(pair)
        was, now = _forms(self.old, old), _forms(self.new, new)
        yield from _changed_types(was, now, side, where)
        for before in was:
            after = _counterpart(before, was, now)
            if after is not None:
                yield from _tightened(before, after, side, where)
                yield from self._insides(before, after, side, where)

    def _parameters(self, old: list[Document], new: list[Document], where: str) -> Iterator[str]:
        was = {(given["in"], given["name"]): given for given in old}
        now = {(given["in"], given["name"]): given for given in new}
        for key, given in was.items():
            there = f"{where} {key[0]} {key[1]}"
            if key not in now:
                yield f"{there}: removed"
                continue
            if now[key].get("required") and not given.get("required"):
                yield f"{there}: became required"
            yield from self.nodes(given["schema"], now[key]["schema"], REQUEST, there)
        for key in now.keys() - was.keys():
            if now[key].get("required"):
                yield f"{where} {key[0]} {key[1]}: new and required"

    def _contents(self, old: Document, new: Document, side: str, where: str) -> Iterator[str]:
        for media, content in old.get("content", {}).items():
            if media not in new.get("content", {}):
                yield f"{where}: {media} removed"
            else:
                now = new["content"][media].get("schema", {})
                yield from self.nodes(content.get("schema", {}), now, side, where)

    def _insides(self, old: Document, new: Document, side: str, where: str) -> Iterator[str]:
        """Fields, list items and free fields of two forms that stand for the same thing."""
        was, now = old.get("properties", {}), new.get("properties", {})
        for name, schema in was.items():
            if name not in now:
                yield f"{where}/{name}: removed"
            else:
                yield from self.nodes(schema, now[name], side, f"{where}/{name}")
        had, has = set(old.get("required", ())), set(new.get("required", ()))
        if side != RESPONSE:
            yield from (f"{where}/{name}: became required" for name in sorted(has - had))
        if side != REQUEST:
            lost = sorted((had - has) & now.keys())
            yield from (f"{where}/{name}: no longer always there" for name in lost)
        if "items" in old and "items" in new:
            yield from self.nodes(old["items"], new["items"], side, f"{where}[]")
        free, left = old.get("additionalProperties"), new.get("additionalProperties")
        if free is not False and left is False and side != RESPONSE:
            yield f"{where or '/'}: unknown fields are now refused"
        if isinstance(free, dict) and isinstance(left, dict):
            yield from self.nodes(free, left, side, f"{where}/*")


def _forms(document: Document, node: Document) -> list[Document]:
    """What a node may be: its `anyOf` or `oneOf`, flat, every reference followed."""
    if "$ref" in node:
        found: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return _forms(document, found)
    for word in ("anyOf", "oneOf"):
        if word in node:
            return [form for part in node[word] for form in _forms(document, part)]
    return [node]


def _counterpart(form: Document, was: list[Document], now: list[Document]) -> Document | None:
    """The form of `now` that stands for `form`: the same title, else the only one of its type."""
    title, kind = form.get("title"), form.get("type")
    alike = [other for other in now if other.get("type") == kind]
    named = [other for other in alike if other.get("title") == title]
    if named:
        return named[0]
    alone = len([other for other in was if other.get("type") == kind]) == 1
    return alike[0] if alone and len(alike) == 1 else None


def _names(forms: list[Document]) -> set[str] | None:
    """The kinds of value the forms allow; None: any. Objects of a union go by their title."""
    found: set[str] = set()
    several = len([form for form in forms if form.get("type") == "object"]) > 1
    for form in forms:
        if "type" not in form:
            if not form.keys() & {"enum", "const"}:
                return None
            found.add("listed value")
        elif several and form["type"] == "object":
            found.add(f"object {form.get('title', '')}".strip())
        elif isinstance(form["type"], list):
            found |= set(form["type"])
        else:
            found.add(form["type"])
    return found | {"integer"} if "number" in found else found


def _changed_types(
    was: list[Document], now: list[Document], side: str, where: str
) -> Iterator[str]:
    before, after = _names(was), _names(now)
    if before == after:
        return
    if side != RESPONSE and after is not None and (before is None or before - after):
        lost = "anything" if before is None else ", ".join(sorted(before - after))
        yield f"{where or '/'}: {lost} no longer taken"
    if side != REQUEST and before is not None and (after is None or after - before):
        won = "anything" if after is None else ", ".join(sorted(after - before))
        yield f"{where or '/'}: may now be {won}"


def _tightened(old: Document, new: Document, side: str, where: str) -> Iterator[str]:
    """Limits, patterns and listed values that refuse what was accepted; of no matter in answers."""
    if side == RESPONSE:
        return
    for word in UPPER_LIMITS:
        if word in new and new[word] < old.get(word, float("inf")):
            yield f"{where or '/'}: {word} is now {new[word]}"
    for word in LOWER_LIMITS:
        if word in new and new[word] > old.get(word, float("-inf")):
            yield f"{where or '/'}: {word} is now {new[word]}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{where or '/'}: pattern is now {new['pattern']}"
    was, now = _listed(old), _listed(new)
    if now is not None and (was is None or was - now):
        lost = "others" if was is None else ", ".join(sorted(was - now))
        yield f"{where or '/'}: {lost} no longer among the values"


def _listed(form: Document) -> set[str] | None:
    """The values an enumeration allows, as text; None: no enumeration."""
    if "const" in form:
        return {repr(form["const"])}
    return {repr(value) for value in form["enum"]} if "enum" in form else None
