"""The documentation builds without a warning, its links lead somewhere, and no block of code in it is untested."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("sphinx", reason="the documentation is built on the newest set")

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

import airflow_provider_ads.operators
import airflow_provider_ads.sensors
from airflow_provider_ads.emulator import AdsEmulator
from sample_inventories.cmdb_export import make_cmdb_export
from tests.support.markdown import COMMANDS_RUN, ROOT, Block, blocks_of, commands_of, links_of, pages

MAKEFILE = (ROOT / "Makefile").read_text()
REGIONS = {
    text
    for path in (ROOT / "example_dags").glob("*.py")
    for text in re.findall(r"^ *# \[START \w+\]\n(.*?)^ *# \[END", path.read_text(), re.DOTALL | re.MULTILINE)
}
BLOCKS = [block for page in pages() for block in blocks_of(page)]


# -- the build -----------------------------------------------------------------------------------------------


class Links(HTMLParser):
    """The links of a page, and the places in it that links may lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        if values.get("id"):
            self.ids.add(str(values["id"]))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built as ``make docs`` does it, but elsewhere."""
    folder = tmp_path_factory.mktemp("docs")
    (command,) = re.findall(r"^\t\$\(NEWEST\)/bin/python -m (sphinx .+)$", MAKEFILE, re.MULTILINE)
    assert {"-W", "--keep-going", "-n"} <= set(command.split())
    command = command.replace("build/doctrees", str(folder / "doctrees")).replace("build/docs", str(folder / "html"))
    run = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=ROOT,
        # No page may be fetched: what tries to has no way out.
        env={**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout
    return folder / "html"


def test_every_page_is_built_without_a_warning(built: Path) -> None:
    sources = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert {path for path in sources if not (built / path).is_file()} == set()


def test_every_link_of_the_built_pages_leads_somewhere(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parsed = {}
    for page in built.rglob("*.html"):
        parsed[page] = Links()
        parsed[page].feed(page.read_text())
    broken, checked = [], 0
    for page, found in parsed.items():
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            checked += 1
            target = (page.parent / parts.path).resolve() if parts.path else page
            lost = parts.fragment and target in parsed and parts.fragment not in parsed[target].ids
            if lost or not target.is_file():
                broken.append(f"{page.relative_to(built)}: {link}")
    with capsys.disabled():
        print(f"\n{len(parsed)} pages built, {checked:,} links within them")
    assert broken == []


def test_the_reference_has_every_public_class(built: Path) -> None:
    reference = "".join(page.read_text() for page in (built / "reference").glob("*.html"))
    for module in (airflow_provider_ads.operators, airflow_provider_ads.sensors):
        for name in module.__all__:
            assert f".{name}" in reference
    assert "AdsImportTaskTrigger" in reference
    assert "AdsHook.test_connection" in reference


# -- links as GitHub has them --------------------------------------------------------------------------------


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_into_the_repository_leads_somewhere(page: Path) -> None:
    for link in links_of(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("http", "https"), link
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), link
        assert not parts.fragment or parts.fragment in anchors_of(target), link


# -- blocks of code ------------------------------------------------------------------------------------------


def rule_for(block: Block) -> str:
    """
    What tests a block.

    :raises AssertionError: nothing does.
    """
    if block.kind.startswith("{"):
        return "directive: Sphinx builds it"
    if block.kind == "python":
        if block.text in REGIONS:
            return "python: a region of an example Dag, which tests run"
        if "def test_" in block.text:
            assert block.page.name == "testing.md", f"{block}: tests/e2e/test_testing_page.py runs tests of testing.md"
            return "python: a test, which tests/e2e/test_testing_page.py runs"
        return "python: run here"
    if block.kind == "json":
        return "json: parsed here"
    if block.kind == "text":
        return "text: compared here"
    assert block.kind in ("shell", "indented"), f"{block}: nothing tests a block of the kind {block.kind!r}"
    for command in commands_of(block):
        assert rule_for_command(block, command), f"{block}: nothing tests the command {command!r}"
    return "shell: every command is run by a test, or checked here"


def rule_for_command(block: Block, command: str) -> str | None:
    if block.page.parent.name == "guides" or command in COMMANDS_RUN:
        return "run by tests/e2e/test_guides.py"
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        assert targets, command
        assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets), command
        return "a target of the Makefile"
    if words[:2] == ["pip", "install"]:
        # That the package installs, with all that it needs, is the matter of tests/e2e/test_wheel.py.
        metadata = (ROOT / "pyproject.toml").read_text()
        for word in words[2:]:
            name, _, extra = word.rstrip("]").partition("[")
            assert name in (".", "./airflow-provider-ads", "awscli", "pytest"), command
            assert not extra or f"\n{extra} = [" in metadata, command
        return "an installation of this project"
    return None


def test_every_block_has_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = Counter(rule_for(block) for block in BLOCKS)
    commands = sum(len(commands_of(block)) for block in BLOCKS if block.kind in ("shell", "indented"))
    with capsys.disabled():
        print(f"\n{len(BLOCKS)} blocks of code on {len(pages())} pages, with {commands} shell commands:")
        for kind, count in sorted(kinds.items()):
            print(f"  {count:3}  {kind}")


def test_a_block_without_a_rule_is_noticed() -> None:
    page = ROOT / "docs" / "index.md"
    for kind, text in (("ruby", "puts 1\n"), ("", "what is this\n"), ("shell", "rm -rf everything\n")):
        with pytest.raises(AssertionError, match="nothing tests"):
            rule_for(Block(page, 1, kind, text))


def test_the_files_that_the_guides_have_saved_are_the_examples() -> None:
    saved = [block for block in BLOCKS if block.saved_as]
    assert saved
    for block in saved:
        assert block.text in (ROOT / "example_dags" / Path(str(block.saved_as)).name).read_text()


OTHER_CODE = [block for block in BLOCKS if block.kind == "python" and rule_for(block) == "python: run here"]


@pytest.mark.parametrize("block", [block for block in OTHER_CODE if "DAG(" in block.text], ids=str)
def test_a_dag_is_one_for_airflow_too(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "dag.py"
    file.write_text(block.text)
    bag = DagBag(dag_folder=str(file), safe_mode=False)
    assert bag.import_errors == {}
    assert bag.dags
    assert all(dag.tasks for dag in bag.dags.values())


@pytest.mark.parametrize("block", [block for block in OTHER_CODE if "DAG(" not in block.text], ids=str)
def test_other_code_runs(block: Block, aws_default: AdsEmulator) -> None:
    modules = (airflow_provider_ads.operators, airflow_provider_ads.sensors)
    # What imports nothing is a part of a Dag that does.
    part = not re.search(r"^(?:from|import) ", block.text, re.MULTILINE)
    names = {name: getattr(module, name) for module in modules for name in module.__all__ if part}
    with DAG(dag_id="of_a_part", schedule=None) as dag:
        exec(compile(block.text, str(block), "exec"), names)
    assert bool(dag.tasks) is part


INLINE = sorted(
    {code for page in pages() for code in re.findall(r"`(ads\.[^`]+[)\d\"]|AdsEmulator\([^`]+\))`", page.read_text())}
)


@pytest.mark.parametrize("code", INLINE)
def test_what_the_emulator_is_told_in_running_text_it_understands(code: str, ads: AdsEmulator) -> None:
    names = {
        "AdsEmulator": AdsEmulator,
        "ads": ads,
        "import_task_id": ads.add_import_task(),
        "url": "s3://migration-inventory/servers.csv",
    }
    exec(code, names)


def test_the_emulator_is_told_something_in_running_text() -> None:
    assert len(INLINE) > 8


def test_json_parses() -> None:
    blocks = [block for block in BLOCKS if block.kind == "json"]
    assert len(blocks) > 2
    for block in blocks:
        assert json.loads(block.text)["Version"] == "2012-10-17"


def test_text_is_what_is_printed() -> None:
    (header,) = [block.text.rstrip("\n") for block in BLOCKS if block.kind == "text"]
    assert header == make_cmdb_export(1).splitlines()[0]


def test_make_docs_is_described() -> None:
    assert re.search(r"^docs: .+## ", MAKEFILE, re.MULTILINE)
    assert "make docs" in (ROOT / "CONTRIBUTING.md").read_text()
