from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from airflow_provider_ads.discovery.import_task import ImportTask, judge_import

IMPORT_STATUS: Any = botocore.session.get_session().get_service_model("discovery").shape_for("ImportStatus")
README = (Path(__file__).parents[2] / "README.md").read_text()
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| (\w+)", README, re.MULTILINE))


@pytest.mark.parametrize("status", IMPORT_STATUS.enum)
def test_the_table_of_outcomes_says_what_the_code_does(status: str) -> None:
    verdict = judge_import(ImportTask(import_task_id="import-task-" + "0" * 32, status=status), max_failed_records=0)
    # The table describes the records of an import that has some that failed apart from the status.
    expected = (
        "success"
        if status == "IMPORT_COMPLETE_WITH_ERRORS"
        else {"done": "success"}.get(verdict.kind.value, verdict.kind.value)
    )
    assert ROWS[status] == {"running": "waiting"}.get(expected, expected)
