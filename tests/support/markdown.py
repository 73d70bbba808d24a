"""Blocks of code, commands and links of the project's Markdown files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

__all__ = ["COMMANDS_RUN", "ROOT", "Block", "blocks_of", "commands_of", "links_of", "pages"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Block:
    """
    A block of code.

    :param page: the file that contains it.
    :param line: its first line.
    :param kind: the language of a fenced block; ``indented`` for an indented one.
    :param text: the code.
    :param saved_as: the file that the preceding sentence says to save it as.
    :param changes: the Dag file in which the preceding sentence says to replace a task with it.
    """

    page: Path
    line: int
    kind: str
    text: str
    saved_as: str | None = None
    changes: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return all pages for readers."""
    names = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
    return [*(ROOT / name for name in names), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """Return a page's blocks of code in their order, including those in lists."""
    blocks = []
    before = ""
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type == "inline":
            before = token.content
        if token.type in ("fence", "code_block"):
            kind = token.info.strip() if token.type == "fence" else "indented"
            saved_as = re.search(r"Save this as `([^`]+)`:\Z", before)
            changes = re.search(r"In `([^`]+)`,\s+replace\s+`\w+`\s+with\s+this:\Z", before)
            line = token.map[0] + 1 if token.map else 0
            blocks.append(Block(page, line, kind, token.content, saved_as and saved_as[1], changes and changes[1]))
            before = ""
    return blocks


def commands_of(block: Block) -> list[str]:
    """Return a block's commands without comments."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := re.sub(r"(?:^|\s)#.*", "", line).strip())]


def links_of(page: Path) -> list[str]:
    """Return the targets of a page's links and images."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text())
    links = [child for token in tokens for child in token.children or [] if child.type in ("link_open", "image")]
    return [str(link.attrs.get("href") or link.attrs.get("src")) for link in links]


def _emulator_commands() -> list[str]:
    """Return the commands of the page about the emulator that start it and call it."""
    blocks = [block for block in blocks_of(ROOT / "docs" / "testing.md") if block.kind == "shell"]
    return [command for block in blocks for command in commands_of(block)]


#: Commands of how-to pages that ``tests/e2e/test_guides.py`` runs; the first one starts the emulator.
COMMANDS_RUN = [*_emulator_commands(), "airflow providers list | grep airflow-provider-ads"]
