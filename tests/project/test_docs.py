"""The documentation builds without warnings, its links work, and tests cover every block of code."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from textwrap import dedent
from urllib.parse import urlsplit

import pytest

pytest.importorskip("sphinx", reason="the documentation is built with the newest versions")

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

import airflow_provider_ads.operators
import airflow_provider_ads.sensors
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.provider_info import get_provider_info
from tests.support.markdown import COMMANDS_RUN, ROOT, Block, blocks_of, commands_of, links_of, pages

MAKEFILE = (ROOT / "Makefile").read_text()
REGIONS = {
    text
    for path in (ROOT / "example_dags").glob("*.py")
    for text in re.findall(r"^ *# \[START \w+\]\n(.*?)^ *# \[END", path.read_text(), re.DOTALL | re.MULTILINE)
}
BLOCKS = [block for page in pages() for block in blocks_of(page)]

#: Python that is neither a region of an example Dag nor a test.
OTHER_PYTHON = [
    block for block in BLOCKS if block.kind == "python" and block.text not in REGIONS and "def test_" not in block.text
]

#: Calls of the emulator's methods in running text.
INLINE = sorted(
    {code for page in pages() for code in re.findall(r"`(ads\.[^`]+[)\d\"]|AdsEmulator\([^`]+\))`", page.read_text())}
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the documentation with the command of ``make docs``, and return its folder."""
    folder = tmp_path_factory.mktemp("docs")
    (command,) = re.findall(r"^\t\$\(NEWEST\)/bin/python -m (sphinx .+)$", MAKEFILE, re.MULTILINE)
    assert {"-W", "--keep-going", "-n"} <= set(command.split())
    command = command.replace("build/doctrees", str(folder / "doctrees")).replace("build/docs", str(folder / "html"))
    run = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=ROOT,
        # The build must work without a network.
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


def test_the_reference_has_every_public_class(built: Path) -> None:
    reference = "".join(page.read_text() for page in (built / "reference").glob("*.html"))
    for module in (airflow_provider_ads.operators, airflow_provider_ads.sensors):
        for name in module.__all__:
            assert f".{name}" in reference
    assert "AdsImportTaskTrigger" in reference
    assert "AdsHook.test_connection" in reference


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_into_the_repository_work_on_github(page: Path) -> None:
    for link in links_of(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("http", "https"), link
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), link
        assert not parts.fragment or parts.fragment in anchors_of(target), link


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_of_code_is_tested(block: Block) -> None:
    if block.kind in ("shell", "indented"):
        for command in commands_of(block):
            assert is_tested(block, command), f"No test covers {command!r}"
    else:
        # Sphinx builds directives, which start with a brace; tests of the examples and of this file cover the others.
        assert block.kind.startswith("{") or block.kind in ("ini", "json", "python", "text")
        # tests/e2e/test_testing_page.py runs the tests of that page.
        assert "def test_" not in block.text or block.page.name == "testing.md"


def is_tested(block: Block, command: str) -> bool:
    """Return True if tests/e2e/test_guides.py or this runs a command, or if it is a make target or an installation."""
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        return bool(targets) and all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets)
    if words[:2] == ["pip", "install"]:
        # tests/e2e/test_wheel.py tests that the package installs.
        names = {word.partition("[")[0] for word in words[2:]}
        return names <= {".", "./airflow-provider-ads", "awscli", "pytest"}
    if block.page.parent.name == "guides" or command in COMMANDS_RUN:
        return True
    if words[:3] == ["python", "-m", "airflow_provider_ads.inventory"]:
        run = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True)
        return "A dry run: nothing was written." in run.stdout
    return False


def test_every_marked_region_of_an_example_is_shown() -> None:
    assert REGIONS - {block.text for block in BLOCKS} == set()


def test_files_that_the_guides_save_are_examples() -> None:
    saved = [block for block in BLOCKS if block.saved_as]
    assert saved
    for block in saved:
        assert block.text in (ROOT / "example_dags" / Path(str(block.saved_as)).name).read_text()


@pytest.mark.parametrize("block", [block for block in OTHER_PYTHON if "DAG(" in block.text], ids=str)
def test_airflow_loads_dags(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "dag.py"
    file.write_text(block.text)
    bag = DagBag(dag_folder=str(file), safe_mode=False)
    assert bag.import_errors == {}
    assert bag.dags
    assert all(dag.tasks for dag in bag.dags.values())


@pytest.mark.parametrize("block", [block for block in OTHER_PYTHON if "DAG(" not in block.text], ids=str)
def test_other_python_runs(block: Block, aws_default: AdsEmulator) -> None:
    modules = (airflow_provider_ads.operators, airflow_provider_ads.sensors)
    # A block without imports is a part of a Dag file.
    is_part = not re.search(r"^(?:from|import) ", block.text, re.MULTILINE)
    names = {name: getattr(module, name) for module in modules for name in module.__all__ if is_part}
    with DAG(dag_id="dag", schedule=None) as dag:
        exec(compile(dedent(block.text), str(block), "exec"), names)
    assert bool(dag.tasks) is is_part


@pytest.mark.parametrize("code", INLINE)
def test_calls_of_the_emulator_in_running_text_work(code: str, ads: AdsEmulator) -> None:
    names = {
        "AdsEmulator": AdsEmulator,
        "ads": ads,
        "import_task_id": ads.add_import_task(),
        "url": "s3://migration-inventory/servers.csv",
    }
    exec(code, names)


def test_json_is_a_policy_or_a_connection() -> None:
    for block in BLOCKS:
        if block.kind == "json":
            # tests/e2e/whole_airflow/test_connections.py tests the connections.
            key, value = ("conn_type", "aws") if block.page.name == "connections.md" else ("Version", "2012-10-17")
            assert json.loads(block.text)[key] == value


def test_settings_are_options_of_the_provider() -> None:
    (block,) = [block for block in BLOCKS if block.kind == "ini"]
    settings = RawConfigParser()
    settings.read_string(block.text)
    declared = get_provider_info()["config"]
    options = [(section, name) for section in settings.sections() for name in settings[section]]
    assert options == [(section, name) for section, each in declared.items() for name in each["options"]]
    page = block.page.read_text()
    assert [f"`AIRFLOW__{section}__{name}=True`".upper() in page.upper() for section, name in options] == [True]


def test_only_guides_quote_output() -> None:
    # tests/e2e/test_guides.py compares it with what is printed.
    assert {block.page.parent.name for block in BLOCKS if block.kind == "text"} == {"guides"}
