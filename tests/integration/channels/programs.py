"""The consumers of docs/channels.md, run as their readers would: one process each, to be killed."""

import json
import os
import queue
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from deploy.local.home import CHECKOUT

PAGE = CHECKOUT / "docs" / "channels.md"
_PROGRAM = re.compile(r"^## (\w[\w ]*)\n.*?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def program(title: str) -> str:
    """The code below a heading of the page."""
    found: dict[str, str] = dict(_PROGRAM.findall(PAGE.read_text(encoding="utf-8")))
    assert title in found, f"docs/channels.md has no program under {title}"
    return found[title]


@dataclass(slots=True)
class Program:
    """One of them, with what it printed so far. Its state outlives it."""

    title: str
    folder: Path
    kafka: str
    prefix: str
    environment: dict[str, str] = field(default_factory=dict)
    said: list[Any] = field(default_factory=list)
    _lines: "queue.Queue[str]" = field(default_factory=queue.Queue)
    _process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Start it, again if it ran before."""
        file = self.folder / f"{self.title.replace(' ', '_')}.py"
        file.write_text(program(self.title), encoding="utf-8")
        with (self.folder / "stderr.txt").open("a") as stderr:
            self._process = self._run(file, stderr)
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def _run(self, file: Path, stderr: IO[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(file)],
            env={
                **os.environ,
                "KAFKA": self.kafka,
                "PREFIX": self.prefix,
                "STATE": str(self.folder / "state.db"),
                **self.environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._lines.put(line)

    def heard(self) -> list[Any]:
        """Everything it printed, decoded."""
        while not self._lines.empty():
            self.said.append(json.loads(self._lines.get()))
        return self.said

    def type(self, line: str) -> None:
        """What a person types into it."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            assert self._process.stdin is not None
            self._process.stdin.close()

    def trouble(self) -> str:
        """What it wrote to stderr."""
        return (self.folder / "stderr.txt").read_text(encoding="utf-8")[-2000:]
