"""YAML as JSON's values: only `true`, `false`, `null` and numbers are not texts.

YAML 1.1, which PyYAML reads by default, takes `on` for true, `21:00` for a number and `2026-11-01`
for a date; all three stand in configuration as texts. These are the scalars of the core schema of
YAML 1.2 (section 10.3.2), without octal and hexadecimal numbers.
"""

import re
from typing import Any

import yaml

_BOOLEAN, _NULL = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"
_INTEGER, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_SCALARS = (
    (_BOOLEAN, re.compile(r"^(?:true|false)$"), list("tf")),
    (_NULL, re.compile(r"^(?:null|~|)$"), ["n", "~", ""]),
    (_INTEGER, re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789")),
    (
        _FLOAT,
        re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?$"),
        list("-+0123456789."),
    ),
)
MAX_BYTES = 2 * 1024 * 1024


class NotYaml(ValueError):  # noqa: N818  says what it is, like the errors of the tree
    """The text cannot be read; `str()` says where and why."""


class _Loader(yaml.SafeLoader):
    """Reads the core schema; the same key twice is a mistake."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  PyYAML's own way to say it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = set()
        for name, _ in node.value:
            if name.value in names:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name.value!r} stands there twice", name.start_mark
                )
            names.add(name.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes the core schema, lists indented."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


for _tag, _form, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, _form, _first)
    _Dumper.add_implicit_resolver(_tag, _form, _first)


def read_yaml(text: str) -> Any:
    """The value of a YAML text: objects, lists, texts, numbers, booleans, None. Raises NotYaml."""
    if len(text) > MAX_BYTES:
        raise NotYaml(f"is longer than {MAX_BYTES} characters")
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise NotYaml(f"{where}{error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise NotYaml(str(error).partition("\n")[0]) from None


def write_yaml(value: Any) -> str:
    """The text of a value; `read_yaml` gives the same value again."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
