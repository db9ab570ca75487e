"""House rules that no linter knows: where SQL lives, how long a module and a function may be."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("services", "shared", "deploy")
LONGEST_MODULE = 320
LONGEST_FUNCTION = 60
LISTS = {"shared/observability/metrics.py", "services/profile/storage/tables.py"}
"""Modules that are one long list of declarations, where length is no complexity."""
SQL_HOMES = ("storage", "postgres")
NOT_OURS = "node_modules"


@cache
def modules() -> list[tuple[str, ast.Module, int]]:
    """(path, syntax tree, lines) of every module of the product."""
    paths = [path for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.py"))]
    sources = [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in paths]
    return [(path, ast.parse(source), source.count("\n")) for path, source in sources]


def test_no_module_is_longer_than_one_concept() -> None:
    long = [
        f"{path}: {lines}"
        for path, _, lines in modules()
        if lines > LONGEST_MODULE and path not in LISTS
    ]
    assert not long


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree, _ in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno > LONGEST_FUNCTION
    ]
    assert not long


def test_sql_is_written_in_storage_only() -> None:
    elsewhere = [
        f"{path}:{node.lineno}"
        for path, tree, _ in modules()
        if path.startswith(("services", "shared")) and not set(SQL_HOMES) & set(path.split("/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("sqlalchemy")
        and any(alias.name in ("text", "select", "insert", "update") for alias in node.names)
    ]
    assert not elsewhere


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path, tree, lines in modules() if lines > 1 and not ast.get_docstring(tree)]
    assert not silent


def test_the_end_of_a_dead_letter_topic_is_spelled_once() -> None:
    spelled = [
        f"{path}:{node.lineno}"
        for path, tree, _ in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.endswith(".dlq")
    ]
    assert [one.partition(":")[0] for one in spelled] == ["shared/contracts/topics.py"], spelled


def test_what_is_shown_in_clear_of_a_profile_is_decided_where_it_is_recorded() -> None:
    allowed = {
        "services/profile/api/sight.py",
        "services/profile/api/audience_events.py",  # a condition, of nobody's profile
    }
    elsewhere = {
        path
        for path, tree, _ in modules()
        if path.startswith("services/profile/")
        for node in ast.walk(tree)
        if (isinstance(node, ast.alias) and node.name == "may_see")
        or (isinstance(node, ast.Attribute) and node.attr == "may_see")
    }
    assert elsewhere <= allowed


def test_every_folder_of_tests_is_a_package() -> None:
    """Else two modules of one name share a place, and one of them is collected for both."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py") if NOT_OURS not in path.parts}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]
