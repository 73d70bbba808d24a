"""Tables of the README and of the documentation that repeat facts of the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest

import airflow_provider_ads
from airflow_provider_ads import exceptions
from airflow_provider_ads.discovery import limits
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.verdicts import judge_import

IMPORT_STATUS: Any = botocore.session.get_session().get_service_model("discovery").shape_for("ImportStatus")
PACKAGE = Path(airflow_provider_ads.__file__).parent
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| (\w+)", (ROOT / "docs" / "howto" / "wait.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("status", IMPORT_STATUS.enum)
def test_the_table_of_outcomes_matches_the_verdicts(status: str) -> None:
    task = ImportTask(import_task_id="import-task-" + "0" * 32, status=status)
    # The page describes failed records separately from the statuses.
    kind = judge_import(task, max_failed_records=None).kind.value
    assert ROWS[status] == {"running": "waiting", "done": "success"}.get(kind, kind)


def section(title: str, page: str = README) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_table_of_errors_has_every_code_with_advice() -> None:
    codes = section("Error codes", TROUBLESHOOTING)
    own = section("Errors of this provider", TROUBLESHOOTING)
    rows = re.findall(r"^\| (`.+?`) \|", codes, re.MULTILINE)
    assert sorted(code for row in rows for code in re.findall(r"`(\w+)`", row)) == sorted(exceptions._ADVICE)
    assert {name for name in exceptions.__all__ if name[0].isupper() and not name.isupper()} == {
        "AdsError",
        *(name for name in re.findall(r"`(\w+)`", own) if name in exceptions.__all__ and not name.isupper()),
    }


def test_the_table_of_classes_names_existing_ones() -> None:
    names = re.findall(r"^\| \[`([\w.]+)`\]\(([\w./]+)\)", section("What there is"), re.MULTILINE)
    assert len(names) > 5
    for name, file in names:
        module, _, attribute = name.rpartition(".")
        assert attribute in importlib.import_module(f"{airflow_provider_ads.__name__}.{module}").__all__
        assert f"class {attribute}" in (PACKAGE.parent / file).read_text()


def test_the_limits_match_the_code() -> None:
    text = " ".join(section("Limits").split())
    assert f"files of at most {limits.IMPORT_FILE_MAX_BYTES // 1_000_000} MB" in text
    assert f"{limits.IMPORT_RECORDS_PER_ACCOUNT:,} import records" in text
    assert f"{limits.IMPORTED_SERVERS_PER_ACCOUNT:,} imported servers" in text
    assert re.search(r"offered in (.+?)\.", text)[1].replace(" and ", ", ").split(", ") == list(limits.SERVICE_REGIONS)  # type: ignore[index]
