"""How much a template may do: steps are counted while it renders, never seconds.

A step is a part of an expression, or a small piece of data that is read or filtered: about a
microsecond. A tag is five, and a variable three on top of its data. One budget is for all fields
of one piece of content. python-liquid counts neither steps nor the length of a range outside a
loop and offers no hook for either, so `Node.render` and `RangeLiteral.evaluate` are replaced here,
for the whole process. Only rendering without `await` is bounded; nothing renders otherwise.
"""

from collections.abc import Mapping
from typing import Any, TextIO, cast

from liquid import BoundTemplate, RenderContext, Token
from liquid.ast import Node
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import LiquidValueError, ResourceLimitError
from liquid.expression import Expression

MAX_ELEMENTS = 10_000
MAX_END = 2**53
MAX_WORK = 500_000
STEPS_OF_A_TAG = 5
STEPS_OF_A_VARIABLE = 3


class Work:
    """The steps that are left."""

    def __init__(self, left: int = MAX_WORK) -> None:
        self.left = left

    def spend(self, steps: int) -> None:
        """Take the steps. Raises ResourceLimitError when there are not as many left."""
        self.left -= steps
        if self.left < 0:
            raise ResourceLimitError("the template does too much work", token=None)


class CountedContext(RenderContext):
    """A render context that pays for every tag it renders and every value it reads."""

    work = Work(0)  # until `CountedTemplate.fill` gives it one

    def step(self, node: Node) -> None:
        """Pay for one rendering of the node itself, without the nodes in it."""
        self.work.spend(cast(CountedTemplate, self.template).cost(node))

    def get(self, path: list[object], *, token: Token | None, **options: Any) -> object:
        """The value at the path."""
        value = super().get(path, token=token, **options)
        self.work.spend(STEPS_OF_A_VARIABLE + weight(value))
        return value

    def assign(self, key: str, val: Any) -> None:
        """Set a variable; the library measures all variables each time."""
        self.work.spend(1 + len(self.locals) // 8)
        super().assign(key, val)


class CountedTemplate(BoundTemplate):
    """A template that renders within a given budget."""

    context_class = CountedContext

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._costs: dict[int, int] = {}

    def fill(self, scope: Mapping[str, object], work: Work) -> str:
        """The rendered text. Raises what python-liquid raises, and ResourceLimitError."""
        context = CountedContext(self, globals=self.make_globals(scope))
        context.work = work
        buffer = self._get_buffer()
        self.render_with_context(context, buffer)
        return buffer.getvalue()

    def cost(self, node: Node) -> int:
        """The steps of a node: those of any tag, and one for each part of its expressions."""
        known = self._costs.get(id(node))  # the nodes live as long as the template
        if known is None:
            known = STEPS_OF_A_TAG + sum(_parts(part) for part in node.expressions())
            self._costs[id(node)] = known
        return known


def weight(value: object) -> int:
    """The steps of going through a value once."""
    if isinstance(value, str):
        return 1 + len(value) // 64
    if isinstance(value, range):
        return 1 + len(value) // 2
    if isinstance(value, list | tuple):
        return 1 + sum(map(weight, value))
    if isinstance(value, dict):
        return 1 + sum(map(weight, value)) + sum(map(weight, value.values()))
    return 1


def _parts(expression: Expression) -> int:
    return 1 + sum(_parts(part) for part in expression.children())


_render_node = Node.render
_evaluate_range = RangeLiteral.evaluate


def _render_counted(self: Node, context: RenderContext, buffer: TextIO) -> int:
    if isinstance(context, CountedContext):
        context.step(self)
    return _render_node(self, context, buffer)


def _evaluate_bounded(self: RangeLiteral, context: RenderContext) -> range:
    made = _evaluate_range(self, context)
    if made.stop - made.start > MAX_ELEMENTS:  # `len` fails above 2**63
        raise LiquidValueError(f"a range has at most {MAX_ELEMENTS} elements", token=self.token)
    if max(abs(made.start), abs(made.stop)) > MAX_END:
        raise LiquidValueError(f"a range has no number above {MAX_END}", token=self.token)
    if isinstance(context, CountedContext):
        context.work.spend(weight(made))
    return made


Node.render = _render_counted  # type: ignore[method-assign]
RangeLiteral.evaluate = _evaluate_bounded  # type: ignore[method-assign]
