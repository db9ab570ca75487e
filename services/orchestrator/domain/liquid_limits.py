"""The Liquid environment of Concert: every limit set, nothing that reads files, clocks or chance.

Templates are written by editors and filled with customers' data, so a template must not be able to
run long, grow large or reach anything but the values it is given.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from liquid import Environment
from liquid.exceptions import FilterArgumentError
from liquid.filter import sequence_filter, with_context

from services.orchestrator.domain.liquid_work import (
    MAX_ELEMENTS,
    CountedContext,
    CountedTemplate,
    weight,
)

MAX_OUTPUT = 65_536
MAX_PRODUCT = 8_000_000
MAX_BITS = 4_096


class BoundedEnvironment(Environment):
    """python-liquid with all its limits set; the numbers are per rendered field."""

    context_depth_limit = 20
    block_nesting_limit = 20
    loop_iteration_limit = 1_000
    local_namespace_limit = 65_536
    output_stream_limit = MAX_OUTPUT
    template_class = CountedTemplate


def bounded_environment(*, html: bool) -> BoundedEnvironment:
    """An environment; with `html` every value is escaped unless the template marks it safe."""
    environment = BoundedEnvironment(autoescape=html, strict_filters=True)
    for tag in ("include", "render"):  # there is nothing to load, and no loader
        del environment.tags[tag]
    environment.filters |= {"date": date, "concat": concat}
    for name, function in list(environment.filters.items()):
        environment.filters[name] = _bounded(name, function)
    return environment


def date(value: object, form: object = "%Y-%m-%d") -> str:
    """The `date` filter for RFC 3339 texts and Unix seconds; anything else comes back unchanged.

    Liquid's own also takes "now", which would make the same decision render differently later.
    """
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            instant = datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError):
            return str(value)
    else:
        return "" if value is None else str(value)
    return instant.strftime(str(form)[:100])


@sequence_filter
def concat(left: Iterable[object], right: object) -> list[object]:
    """The `concat` filter: both lists as one; Liquid's own fails to say what is wrong."""
    if not isinstance(right, list | tuple):
        raise FilterArgumentError("concat: what is added must be a list", token=None)
    return [*left, *right]


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, paid for in steps, refusing to make a result that is too large.

    `replace` and `join` multiply, so they are refused before they do. `uniq` compares all pairs.
    """
    multiplies = name.startswith("replace") or name == "join"

    @wraps(function)
    def call(
        left: object, *arguments: object, context: CountedContext, **options: object
    ) -> object:
        steps = 2 + weight(left) + weight(arguments)
        context.work.spend(steps * steps // 20 if name == "uniq" else steps)
        if (
            multiplies
            and _size(left) * max((_size(part) for part in arguments), default=0) > MAX_PRODUCT
        ):
            raise FilterArgumentError(f"{name}: the result would be too large", token=None)
        result: object = function(left, *arguments, **options)
        if (
            (isinstance(result, str) and len(result) > MAX_OUTPUT)
            or (isinstance(result, list | tuple) and len(result) > MAX_ELEMENTS)
            or (isinstance(result, int) and result.bit_length() > MAX_BITS)
        ):
            raise FilterArgumentError(f"{name}: the result is too large", token=None)
        return result

    return with_context(call)


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 40
