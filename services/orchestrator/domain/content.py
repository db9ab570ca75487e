"""What a customer reads: Liquid templates per locale, filled from profile, event and context.

Compiled once when the configuration is loaded; rendering is pure. Only fields named `html` or
`…_html` are escaped, because everything else (subjects, SMS, push) is not HTML. A value that is
missing renders as the declared fallback, and as nothing without one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from liquid.exceptions import LiquidError

from services.orchestrator.domain.liquid_limits import bounded_environment
from services.orchestrator.domain.liquid_source import source_problem
from services.orchestrator.domain.liquid_work import CountedTemplate, Work
from shared.conditions.document import Fields
from shared.conditions.facts import Facts, reader
from shared.conditions.mistakes import Mistakes, shown
from shared.conditions.operands import read_attribute
from shared.errors import Unprocessable

MAX_FIELDS = 50
MAX_DEPTH = 4
MAX_LOCALES = 100
MAX_CONTENT = 100_000
"""All rendered fields of one action together, in characters."""

_TEXT = bounded_environment(html=False)
_HTML = bounded_environment(html=True)
_RENDER_ERRORS = (
    LiquidError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""python-liquid lets some builtin errors of its filters through."""

Node = CountedTemplate | dict[str, "Node"] | list["Node"] | int | float | bool | None
Locales = dict[str, dict[str, Node]]


class ContentFailed(Exception):  # noqa: N818  says what happened, like the errors of the tree
    """The content cannot be rendered for this profile; `str()` says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """Compiled content: fields by locale, the locale that is taken when none fits, fallbacks."""

    locales: Locales
    default_locale: str
    fallbacks: Mapping[str, object]

    def locale_for(self, wanted: str | None) -> str:
        """The locale that fits best: the same one, then the same language, then the default."""
        if wanted is None:
            return self.default_locale
        tag = wanted.replace("_", "-").lower()
        language = tag.partition("-")[0]
        by_tag = {locale.lower(): locale for locale in self.locales}
        for candidate in (tag, language):
            if candidate in by_tag:
                return by_tag[candidate]
        same = sorted(name for low, name in by_tag.items() if low.partition("-")[0] == language)
        return same[0] if same else self.default_locale

    def render(self, facts: Facts, locale: str | None) -> dict[str, object]:
        """The fields, rendered. Raises ContentFailed."""
        scope = self._scope(facts)
        try:
            rendered = _render(self.locales[self.locale_for(locale)], scope, Work())
        except _RENDER_ERRORS as error:
            raise ContentFailed(_first_line(error)) from error
        if not isinstance(rendered, dict) or _characters(rendered) > MAX_CONTENT:
            raise ContentFailed(f"the content has more than {MAX_CONTENT} characters")
        return rendered

    def _scope(self, facts: Facts) -> dict[str, dict[str, object]]:
        scope: dict[str, dict[str, object]] = {
            "profile": {**facts.profile, "computed": dict(facts.computed)},
            "event": {
                **facts.event,
                "type": facts.event_type,
                "channel": facts.event_channel,
                "source": facts.event_source,
            },
            "context": dict(facts.context),
        }
        for name, value in self.fallbacks.items():
            root, _, key = name.partition(".")
            part = scope[root]
            if part.get(key) in (None, ""):
                part[key] = value
        return scope


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A saved template; `channel` None means that it may be used on any."""

    key: str
    version: int
    channel: str | None
    content: Content


def parse_template(document: object, *, key: str, version: int) -> Template:
    """The template of a decoded JSON document. Raises Unprocessable, one problem per mistake."""
    mistakes = Mistakes()
    known = (
        "key",
        "version",
        "name",
        "description",
        "channel",
        "content",
        "default_locale",
        "fallbacks",
    )
    fields = Fields(mistakes, document, "", known)
    fields.same_key(key)
    channel = fields.key("channel")
    locales: Locales = {}
    given = fields.value("content")
    if fields.required("content") and (not isinstance(given, dict) or not given):
        fields.wrong("content", "type", 'must be an object of locales: {"en": {"body": "…"}}')
    elif isinstance(given, dict):
        for locale, value in list(given.items())[:MAX_LOCALES]:
            locales[locale] = compile_fields(mistakes, value, f"content.{locale[:20]}")
        if len(given) > MAX_LOCALES:
            fields.wrong("content", "max_items", f"at most {MAX_LOCALES} locales")
    default = fields.text("default_locale") or next(iter(locales), "")
    if locales and default not in locales:
        fields.wrong("default_locale", "choice", f"is none of {', '.join(locales)}")
    fallbacks = read_fallbacks(fields)
    if mistakes.problems:
        raise Unprocessable("the template breaks rules", mistakes.problems)
    return Template(key, version, channel, Content(locales, default, fallbacks))


def inline_content(mistakes: Mistakes, value: object, path: str) -> Content:
    """The content that stands in a rule itself: one object of fields, for every locale."""
    return Content({"": compile_fields(mistakes, value, path)}, "", {})


def read_fallbacks(fields: Fields) -> dict[str, object]:
    """`fallbacks` with each name made complete: `first_name` is `profile.first_name`."""
    given = fields.value("fallbacks")
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > MAX_FIELDS:
        fields.wrong("fallbacks", "type", f"must be an object of at most {MAX_FIELDS} names")
        return {}
    fallbacks: dict[str, object] = {}
    for name, value in given.items():
        root, dot, rest = str(name).partition(".")
        if isinstance(value, dict | list) or value is None:
            fields.wrong(f"fallbacks.{name[:60]}", "type", "must be a text, a number or a boolean")
        elif not dot:
            fallbacks[f"profile.{root}"] = value
        elif root in ("profile", "event", "context") and "." not in rest:
            fallbacks[str(name)] = value
        else:
            fields.wrong(
                f"fallbacks.{name[:60]}",
                "choice",
                "is profile.<trait>, event.<property> or context.<key>",
            )
    return fallbacks


def read_locale(mistakes: Mistakes, path: str, value: object) -> str | None:
    """A locale (`fr`), or the attribute that has it (`profile.locale`), as it is written."""
    if isinstance(value, str) and "." in value:
        return read_attribute(mistakes, path, value)
    if isinstance(value, str) and 0 < len(value) <= 35:
        return value
    mistakes.add(path, "type", f"must be a locale or an attribute, not {shown(value)}")
    return None


def locale_of(spelled: str, facts: Facts) -> str | None:
    """The locale that `read_locale`'s text stands for."""
    if "." not in spelled:
        return spelled
    value = reader(spelled)(facts)
    return value if isinstance(value, str) and value else None


def compile_fields(mistakes: Mistakes, value: object, path: str) -> dict[str, Node]:
    """The compiled form of an object of fields; notes every mistake in its templates."""
    if not isinstance(value, dict) or not value:
        mistakes.add(path, "type", f"must be an object of fields, not {shown(value)}")
        return {}
    compiled = _compile(mistakes, value, path, html=False, depth=1)
    return compiled if isinstance(compiled, dict) else {}


def _compile(mistakes: Mistakes, value: object, path: str, *, html: bool, depth: int) -> Node:
    if isinstance(value, str):
        return _compile_text(mistakes, value, path, html=html)
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH or len(value) > MAX_FIELDS:
            mistakes.add(path, "max_items", f"at most {MAX_FIELDS} fields, {MAX_DEPTH} levels deep")
            return None
        if isinstance(value, list):
            return [
                _compile(mistakes, part, f"{path}[{place}]", html=html, depth=depth + 1)
                for place, part in enumerate(value)
            ]
        return {
            name: _compile(
                mistakes,
                part,
                f"{path}.{name[:60]}",
                html=html or name == "html" or name.endswith("_html"),
                depth=depth + 1,
            )
            for name, part in value.items()
        }
    if value is None or isinstance(value, bool | int | float):
        return value
    mistakes.add(path, "type", f"must be a JSON value, not {shown(value)}")
    return None


def _compile_text(mistakes: Mistakes, source: str, path: str, *, html: bool) -> Node:
    problem = source_problem(source)
    if problem is not None:
        mistakes.add(path, *problem)
        return None
    environment = _HTML if html else _TEXT
    try:
        template = cast(CountedTemplate, environment.from_string(source))
        used = template.analyze().filters
    except _RENDER_ERRORS as error:
        mistakes.add(path, "liquid", _first_line(error))
        return None
    for name in used:
        if name not in environment.filters:
            mistakes.add(path, "liquid", f'there is no filter "{name[:60]}"')
    return template


def _render(node: Node, scope: Mapping[str, object], work: Work) -> object:
    if isinstance(node, CountedTemplate):
        return str(node.fill(scope, work))
    if isinstance(node, dict):
        return {name: _render(part, scope, work) for name, part in node.items()}
    if isinstance(node, list):
        return [_render(part, scope, work) for part in node]
    return node


def _characters(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_characters(part) for part in value.values())
    if isinstance(value, list):
        return sum(_characters(part) for part in value)
    return 0


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
