"""The code of the pages in `docs/clients`: what a reader copies is what the tests run.

A page holds one block that is run. Only what is different in a test is replaced: the addresses, the
key, and the prefix of the topics.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from deploy.local.home import CHECKOUT

FOLDER = CHECKOUT / "docs" / "clients"
NODE = Path(__file__).parent / "node"
URL, KAFKA, KEY = "http://127.0.0.1:8001", "127.0.0.1:8092", "SOURCE_KEY"
PATIENCE = 300.0

_BLOCK = re.compile(r"^```(python|js|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Code(NamedTuple):
    """The block of a page and the language it is in."""

    language: str
    text: str


def code_of(page: str) -> Code:
    """The one block of `docs/clients/<page>.md` that sends events: the last one."""
    blocks = _BLOCK.findall((FOLDER / f"{page}.md").read_text(encoding="utf-8"))
    assert blocks, f"{page}.md has no code"
    return Code(*blocks[-1])


def run(code: Code, folder: Path, replaced: Mapping[str, str]) -> None:
    """Run it as a reader would, with some texts replaced; fails with what it wrote."""
    text = code.text
    for old, new in replaced.items():
        text = text.replace(old, new)
    clients = Path(os.environ["CONCERT_CLIENTS"])
    if code.language == "python":
        file, command = folder / "client.py", [str(clients / "bin" / "python")]
    elif code.language == "js":
        (folder / "node_modules").symlink_to(NODE / "node_modules")
        file, command = folder / "client.mjs", ["node"]
    else:
        file, command = folder / "client.sh", ["sh", "-eu"]
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [*command, str(file)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
