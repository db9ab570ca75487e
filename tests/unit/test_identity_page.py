"""The page about identity names tests: every one of them is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(test_\w+?)(\.py)?`")


def test_the_page_names_tests_that_exist() -> None:
    named = NAMED.findall((ROOT / "docs/identity.md").read_text(encoding="utf-8"))
    paths = list((ROOT / "tests").rglob("test_*.py"))
    functions = {
        node.name
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(named) > 20
    assert {name for name, of_file in named if not of_file} <= functions
    assert {f"{name}.py" for name, of_file in named if of_file} <= {path.name for path in paths}
