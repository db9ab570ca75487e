"""Schemathesis drives every operation of the collector's own OpenAPI document: no answer that is
a 5xx, none that is not documented, none of another shape than documented.

`make test` sends some of what it can think of; `make fuzz` much more.
"""

import os
import sys

import pytest

from deploy.local.home import access_token
from tests.e2e.conftest import Shop

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)
STREAM = "/v1/live"
"""It ends when the client goes; `test_live.py` is about it."""
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
PHASES = "examples,coverage,fuzzing" if "FUZZ_EXAMPLES" in os.environ else "fuzzing"
PUBLISHING = ("--include-tag", "collector")
MANAGING = ("--exclude-tag", "collector")


@pytest.mark.parametrize(
    ("operations", "token"),
    [(MANAGING, "admin-token"), (PUBLISHING, "source-key")],
    ids=["managing", "publishing"],
)
async def test_no_operation_answers_5xx_or_what_it_does_not_document(
    first_run: tuple[int, str], shop: Shop, operations: tuple[str, str], token: str
) -> None:
    code, shown = await shop.run(
        sys.executable, "-m", "schemathesis.cli", "run",
        f"{shop.urls['ingest-collector']}/openapi.json", *operations, "--exclude-path", STREAM,
        "--header", f"Authorization: Bearer {access_token(shop.home / token)}",
        "--checks", ",".join(CHECKS), "--phases", PHASES,
        "--max-examples", str(EXAMPLES), "--generation-deterministic", "--continue-on-failure",
        "--request-timeout", "30", "--suppress-health-check", "all", "--warnings", "off",
    )  # fmt: skip
    assert code == 0, shown
