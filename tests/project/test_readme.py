"""The README is short, and it and the documentation repeat facts of the code correctly."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

import airflow_provider_ads
from airflow_provider_ads import exceptions
from airflow_provider_ads.discovery import limits
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.verdicts import judge_import
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.waiting import MAX_DEFERRED_IMPORTS
from tests.support.markdown import blocks_of
from tests.support.task_runs import run_task

IMPORT_STATUS: Any = botocore.session.get_session().get_service_model("discovery").shape_for("ImportStatus")
PACKAGE = Path(airflow_provider_ads.__file__).parent
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()
QUOTAS = (ROOT / "docs" / "explanation" / "quotas.md").read_text()
FAILURES = (ROOT / "docs" / "explanation" / "failures.md").read_text()
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| (\w+)", FAILURES, re.MULTILINE))
#: Words of the README, its code included.
MOST_WORDS = 600


@pytest.mark.parametrize("status", IMPORT_STATUS.enum)
def test_the_table_of_outcomes_matches_the_verdicts(status: str) -> None:
    task = ImportTask(import_task_id="import-task-" + "0" * 32, status=status)
    # The page describes failed records separately from the statuses.
    kind = judge_import(task, max_failed_records=None).kind.value
    assert ROWS[status] == {"running": "waiting", "done": "success"}.get(kind, kind)


def section(title: str, page: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_table_of_errors_has_every_code_with_advice() -> None:
    codes = section("AWS refused the call, or was not reached", TROUBLESHOOTING)
    own = section("Errors of this provider", TROUBLESHOOTING)
    rows = re.findall(r"^\| (`.+?`) \|", codes, re.MULTILINE)
    assert sorted(code for row in rows for code in re.findall(r"`(\w+)`", row)) == sorted(exceptions._ADVICE)
    assert {name for name in exceptions.__all__ if name[0].isupper() and not name.isupper()} == {
        "AdsError",
        *(name for name in re.findall(r"`(\w+)`", own) if name in exceptions.__all__ and not name.isupper()),
    }


def test_the_table_of_classes_names_existing_ones() -> None:
    index = ROOT / "docs" / "reference" / "index.md"
    names = re.findall(r"^\| \[`([\w.]+)`\]\(([\w.]+)\)", index.read_text(), re.MULTILINE)
    assert len(names) > 5
    for name, page in names:
        module, _, attribute = name.rpartition(".")
        assert attribute in importlib.import_module(f"{airflow_provider_ads.__name__}.{module}").__all__
        # An automodule directive includes all classes of its module.
        assert re.search(
            rf"\.{attribute}$|automodule:: \w+\.{module}$", (index.parent / page).read_text(), re.MULTILINE
        )


@pytest.mark.parametrize(
    ("row", "limit"),
    [
        ("size of an import file", f"{limits.IMPORT_FILE_MAX_BYTES // 1_000_000} MB"),
        ("import records", f"{limits.IMPORT_RECORDS_PER_ACCOUNT:,}"),
        ("imported servers", f"{limits.IMPORTED_SERVERS_PER_ACCOUNT:,}"),
        ("deleted records a day", f"{limits.IMPORT_RECORD_DELETIONS_PER_DAY:,}"),
        ("applications", f"{limits.APPLICATIONS_PER_ACCOUNT:,}"),
        ("servers of an application", f"{limits.SERVERS_PER_APPLICATION}"),
        ("tags of a server", f"{limits.TAGS_PER_SERVER}"),
    ],
)
def test_the_table_of_quotas_matches_the_code(row: str, limit: str) -> None:
    assert re.search(rf"^\| {row} \| {limit}(,| \|)", QUOTAS, re.MULTILINE)


def test_the_other_limits_match_the_code() -> None:
    regions = re.search(r"available in (.+?)\.", QUOTAS)
    assert regions
    assert regions[1].replace(" and ", ", ").split(", ") == list(limits.SERVICE_REGIONS)
    for page in (QUOTAS, README):
        assert f"{limits.IMPORT_RECORDS_PER_ACCOUNT // 2:,} rows" in page
    assert f"{limits.IMPORT_RECORDS_PER_ACCOUNT * 2 // 3:,} rows" in QUOTAS
    assert f"at most {MAX_DEFERRED_IMPORTS:,} files" in QUOTAS


def test_the_readme_is_short() -> None:
    words = len(README.split())
    print(f"README.md: {words} words")
    assert words <= MOST_WORDS


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the Dag is for Airflow 3")
def test_the_dag_of_the_readme_imports_its_file(aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = (block for block in blocks_of(ROOT / "README.md") if block.kind == "python")
    names: dict[str, Any] = {}
    exec(block.text.replace("catchup=False):", "catchup=False) as dag:"), names)
    (task,) = names["dag"].tasks
    aws_default.upload(task.import_url, "ExternalId\n1\n")
    task.name, task.poll_interval = "cmdb", 0.05
    run = run_task(task, monkeypatch)
    assert run.state == "success"
    assert len(run.deferrals) == 1
    assert run.xcoms["import_task"]["serverImportSuccess"] == 1


def test_the_readme_repeats_the_benchmark_of_1000_waits() -> None:
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text().partition("1,000 waits, one poll")[2]
    ours, peer = (
        float(re.findall(rf"^\| {name} \| \S+ \| \S+ \| (\S+) ", benchmarks, re.MULTILINE)[0].replace(",", ""))
        for name in ("ours", "peer")
    )
    assert f"{ours:.0f} MB, where a trigger for each takes {peer / 1000:.1f} GB" in README
