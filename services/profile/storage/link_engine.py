"""DuckDB and Splink: takes people in, weighs the likenesses, gives pairs with their scores.

Everything here computes and blocks: call it in a thread. DuckDB keeps to its memory limit and puts
what is beyond it into files of `folder`. The same people give the same pairs and scores: what is
sampled is sampled by a hash of the ids.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from services.profile.domain.linking import (
    BLOCKS,
    CERTAIN,
    CERTAIN_FINDS,
    COLUMNS,
    COMPARISONS,
    MIN_TO_TRAIN,
    START_PRIOR,
    TRAINING,
    Comparison,
    Feature,
    Person,
    words_of,
)
from services.profile.storage.link_model import (
    PEOPLE,
    agree,
    all_known,
    key_column,
    key_expression,
    settings,
    value_of,
)
from shared.errors import Misconfigured

SEED = 20_031
U_PAIRS = 500_000
"""Pairs of two random people that are drawn to learn how common each likeness is."""
TRAINING_PAIRS = 500_000
MIN_TRAINING_PAIRS = 50
MAX_BLOCK = 1_000
"""A value that more people have than this is no hint: they are not compared for its sake."""
FETCH = 2_000
PRIORS = 1e-9, 0.05
NOT_INSTALLED = (
    "linking profiles needs splink and duckdb, which are not installed (they are large): "
    "install the extra `link`, or `python -m pip install 'splink==5.0.*'`"
)


class Pair(NamedTuple):
    """Two profiles that may be one person; `a` is the smaller id. `score` is a probability."""

    a: str
    b: str
    score: float
    features: list[Feature]


def require_engine() -> None:
    """Raises Misconfigured, saying what to install, when the extra `link` is missing."""
    if find_spec("duckdb") is None or find_spec("splink") is None:
        raise Misconfigured([NOT_INSTALLED])


class LinkEngine:
    """One run: `add` everybody, `count_pairs`, `train`, `pairs`; `close` in the end."""

    def __init__(self, folder: Path, *, memory_mb: int, threads: int) -> None:
        require_engine()
        import duckdb

        self._database = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{memory_mb}MB",
                "temp_directory": str(folder),
                "threads": threads,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        columns = ", ".join(f"{column} VARCHAR" for column in COLUMNS)
        self._database.execute(f"CREATE TABLE {PEOPLE} (id VARCHAR, {columns})")
        self._linker: Any = None
        self._compared: list[Comparison] = []

    def interrupt(self) -> None:
        """Make whatever runs raise; from any thread."""
        self._database.interrupt()

    def close(self) -> None:
        self._database.close()

    def add(self, people: Sequence[Person]) -> None:
        """Take people in; each id once."""
        import pyarrow

        rows = zip(*((one.id, *one.values) for one in people), strict=True)
        page = pyarrow.table(
            [pyarrow.array(column, pyarrow.string()) for column in rows], ["id", *COLUMNS]
        )
        self._database.register("page", page)
        self._database.execute(f"INSERT INTO {PEOPLE} SELECT * FROM page")  # noqa: S608 - ours
        self._database.unregister("page")

    def count_pairs(self) -> dict[str, int]:
        """How many pairs each block holds, by its words: cheap, and before any is made.

        A pair of several blocks is counted in each, but scored once.
        """
        keys = ", ".join(
            f"{key_expression(block)} AS {key_column(n)}" for n, block in enumerate(BLOCKS)
        )
        self._database.execute(
            f"CREATE OR REPLACE TABLE {PEOPLE} AS SELECT *, {keys} FROM {PEOPLE}"  # noqa: S608 - ours
        )
        counts = {}
        for n, block in enumerate(BLOCKS):
            key = key_column(n)
            self._database.execute(
                f"""
                UPDATE {PEOPLE} SET {key} = NULL WHERE {key} IN (
                    SELECT {key} FROM {PEOPLE} GROUP BY {key} HAVING count(*) > {MAX_BLOCK})
                """  # noqa: S608 - names of ours
            )
            counts[block.words] = self._count([key])
        return counts

    def train(self) -> None:
        """Fit the weights to the people: how common each likeness is between two of them, then by
        expectation maximisation how common it is between two records of one."""
        from splink import DuckDBAPI, Linker

        people = self._number(f"SELECT count(*) FROM {PEOPLE}")  # noqa: S608 - a name of ours
        enough = people >= MIN_TO_TRAIN
        # Fitted to one value that all share, a weight would say nothing.
        values = 2 if enough else 1
        self._compared = [one for one in COMPARISONS if self._distinct(one.column) >= values]
        blocks = [n for n in range(len(BLOCKS)) if self._count([key_column(n)])]
        if not self._compared or not blocks:
            return
        prior = self._prior(people) if enough else START_PRIOR
        logging.getLogger("splink").setLevel(logging.ERROR)
        api = DuckDBAPI(connection=self._database)
        linker = Linker(
            api.register(PEOPLE),
            settings(self._compared, blocks, prior=prior, trained=enough),
            log_level=None,
        )
        self._linker = linker
        if not enough:
            return
        training = linker.training
        training.estimate_u_using_random_sampling(max_pairs=U_PAIRS, seed=SEED)
        compared = {one.column for one in self._compared}
        for columns in TRAINING:
            if compared.issuperset(columns) and self._count(columns) >= MIN_TRAINING_PAIRS:
                training.estimate_parameters_using_expectation_maximisation(
                    agree(columns), max_pairs=TRAINING_PAIRS, record_sample_proportion=1.0
                )

    def pairs(self, threshold: float) -> Iterator[list[Pair]]:
        """Every pair with at least this score, in order of its ids, some thousand at a time."""
        if self._linker is None:
            return
        scored = self._linker.inference.predict(threshold_match_probability=threshold)
        columns = ", ".join(
            f"gamma_{one.column}, {self._weight(one, scored)}" for one in self._compared
        )
        rows = self._database.cursor().execute(
            f"""
            SELECT least(id_l, id_r) AS a, greatest(id_l, id_r) AS b, match_probability, {columns}
              FROM {scored.physical_name} ORDER BY a, b
            """  # noqa: S608 - names of ours
        )
        for page in iter(partial(rows.fetchmany, FETCH), []):
            yield [self._pair(row) for row in page]

    def _weight(self, comparison: Comparison, scored: Any) -> str:
        """What a comparison added to the match weight, with the rarity of the value."""
        parts = [f"mw_{comparison.column}"]
        rarity = f"mw_tf_adj_{comparison.column}"
        if rarity in {column.unquote().name for column in scored.columns}:
            parts.append(rarity)
        return " + ".join(parts)

    def _pair(self, row: Sequence[Any]) -> Pair:
        a, b, score, *found = row
        features = []
        for n, comparison in enumerate(self._compared):
            value, weight = found[2 * n], found[2 * n + 1]
            for level in comparison.levels:
                if value == value_of(comparison, level):
                    words = words_of(comparison, level)
                    features.append(Feature(comparison.column, words, round(weight, 2)))
        features.sort(key=lambda one: -abs(one.weight))
        return Pair(a, b, round(score, 9), features)

    def _prior(self, people: int) -> float:
        """How likely two random people are the same: what is certain, of all pairs there are."""
        certain = max(self._count(columns) for columns in CERTAIN)
        least, most = PRIORS
        return min(max(certain / CERTAIN_FINDS / (people * (people - 1) / 2), least), most)

    def _distinct(self, column: str) -> int:
        return self._number(f"SELECT count(DISTINCT {column}) FROM {PEOPLE}")  # noqa: S608 - ours

    def _count(self, keys: Sequence[str]) -> int:
        """How many pairs agree in all keys."""
        return self._number(
            f"""
            SELECT coalesce(sum(n * (n - 1) // 2), 0) FROM (
                SELECT count(*) AS n FROM {PEOPLE}
                 WHERE {all_known(keys)} GROUP BY {", ".join(keys)})
            """  # noqa: S608 - names of ours
        )

    def _number(self, statement: str) -> int:
        ((number,),) = self._database.execute(statement).fetchall()
        return int(number)
