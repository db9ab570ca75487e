"""The plan of `domain.linking` in Splink's words: conditions in SQL, levels, blocks.

DuckDB's functions are meant; a column `x` of the two people of a pair is `x_l` and `x_r`.
"""

from collections.abc import Collection, Sequence
from typing import Any

from services.profile.domain.linking import Block, Comparison, Level

PEOPLE = "people"
CLOSE, ALIKE = 0.92, 0.8
"""Jaro-Winkler similarities from which texts are nearly equal, and similar."""
ITERATIONS = 25


def condition(comparison: Comparison, level: Level) -> str:
    """When a pair is at this level, given that it is at none above it."""
    left, right = f"{comparison.column}_l", f"{comparison.column}_r"
    match level.kind:
        case "equal":
            return f"{left} = {right}"
        case "close":
            return f"jaro_winkler_similarity({left}, {right}) >= {CLOSE}"
        case "alike":
            return f"jaro_winkler_similarity({left}, {right}) >= {ALIKE}"
        case "one_edit":
            return f"damerau_levenshtein({left}, {right}) <= 1"
        case "two_edits":
            return f"damerau_levenshtein({left}, {right}) <= 2"
        case "same_user":
            return f"split_part({left}, '@', 1) = split_part({right}, '@', 1)"
        case "swapped":
            return f"{left} = {comparison.swapped_with}_r"
        case "other":
            return "ELSE"


def is_missing(column: str) -> str:
    """When a trait says nothing of a pair."""
    return f"{column}_l IS NULL OR {column}_r IS NULL"


def value_of(comparison: Comparison, level: Level) -> int:
    """The number by which the result names a level: the greatest is the most alike."""
    return len(comparison.levels) - 1 - comparison.levels.index(level)


def settings(
    comparisons: Sequence[Comparison], blocks: Sequence[int], *, prior: float, trained: bool
) -> dict[str, Any]:
    """What Splink is given. `blocks` are the numbers of the key columns; without training, the
    start values are used, and the rarity of values is left aside."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "id",
        "probability_two_random_records_match": prior,
        "max_iterations": ITERATIONS,
        "retain_matching_columns": True,
        "retain_intermediate_calculation_columns": True,
        "comparisons": [_comparison(one, trained=trained) for one in comparisons],
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": agree([key_column(n)]), "sql_dialect": "duckdb"} for n in blocks
        ],
    }


def _comparison(comparison: Comparison, *, trained: bool) -> dict[str, Any]:
    levels: list[dict[str, Any]] = [
        {"sql_condition": is_missing(comparison.column), "is_null_level": True}
    ]
    for level in comparison.levels:
        levels.append(
            {
                "sql_condition": condition(comparison, level),
                "label_for_charts": level.kind,
                "m_probability": level.m,
                "u_probability": level.u,
            }
        )
        if trained and comparison.by_frequency and level.kind == "equal":
            levels[-1]["tf_adjustment_column"] = comparison.column
    return {"output_column_name": comparison.column, "comparison_levels": levels}


def agree(columns: Collection[str]) -> str:
    """The condition of a block whose pairs are equal in all columns."""
    return " AND ".join(f"l.{column} = r.{column}" for column in columns)


def key_column(number: int) -> str:
    """The column with what people of block `number` agree in; null: they are in none."""
    return f"block_{number}"


def key_expression(block: Block) -> str:
    """What people of a block agree in, as one text; null where a part is not known."""
    return " || chr(31) || ".join(block.keys)


def all_known(keys: Sequence[str]) -> str:
    """The condition that all `keys` are known."""
    return " AND ".join(f"{key} IS NOT NULL" for key in keys)
