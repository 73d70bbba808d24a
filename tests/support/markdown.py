"""What the project's Markdown files hold: headings, links, blocks of code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

__all__ = ["COMMANDS_RUN", "ROOT", "Block", "blocks_of", "commands_of", "emulator_commands", "links_of", "pages"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Block:
    """
    A block of code.

    :param page: the file that it stands in.
    :param line: where it begins.
    :param kind: the word behind the fence; ``indented`` if it has none, because it is indented instead.
    :param text: the code.
    :param saved_as: the file that the sentence before it says to save it as.
    """

    page: Path
    line: int
    kind: str
    text: str
    saved_as: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page that readers are led to."""
    return [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    ]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of code of a page, from the first to the last, also those in lists."""
    blocks = []
    before = ""
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type == "inline":
            before = token.content
        if token.type not in ("fence", "code_block"):
            continue
        kind = token.info.strip() if token.type == "fence" else "indented"
        saved_as = re.search(r"Save this as `([^`]+)`:\Z", before)
        line = token.map[0] + 1 if token.map else 0
        blocks.append(Block(page, line, kind, token.content, saved_as[1] if saved_as else None))
        before = ""
    return blocks


def commands_of(block: Block) -> list[str]:
    """The commands of a block, without what only explains them."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := re.sub(r"(?:^|\s)#.*", "", line).strip())]


def emulator_commands() -> list[str]:
    """The commands with which the README shows the emulator: one that starts it, and some that ask it."""
    section = (ROOT / "README.md").read_text().partition("\n## The emulator\n")[2].partition("\n## ")[0]
    blocks = [block for block in blocks_of(ROOT / "README.md") if block.text.splitlines()[0] in section]
    commands = [command for block in blocks for command in commands_of(block)]
    return [command for command in commands if command.split()[0] in ("python", "aws", "curl")]


def links_of(page: Path) -> list[str]:
    """Where the links of a page lead to."""
    links = []
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        for child in token.children or []:
            if child.type in ("link_open", "image"):
                links.append(str(child.attrs.get("href") or child.attrs.get("src")))
    return links


#: What ``tests/e2e/test_guides.py`` runs beside the guides.
COMMANDS_RUN = [*emulator_commands(), "airflow providers list | grep airflow-provider-ads"]
