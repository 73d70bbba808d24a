from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ads.discovery.export_task import ExportTask


def test_a_response_is_read_into_snake_case_fields() -> None:
    task = ExportTask.from_response({"exportId": "e-1", "exportStatus": "SUCCEEDED", "isTruncated": True})
    assert (task.export_id, task.export_status, task.is_truncated, task.status_message) == (
        "e-1",
        "SUCCEEDED",
        True,
        None,
    )
    assert (task.id, task.status) == (task.export_id, task.export_status)


@pytest.mark.parametrize(
    ("fields", "details", "line"),
    [
        ({"exportStatus": "SUCCEEDED"}, ["2 files"], "EXPORT: SUCCEEDED, 2 files (e-1)"),
        ({"exportStatus": "IN_PROGRESS", "statusMessage": "busy"}, [], "EXPORT: IN_PROGRESS (e-1)"),
        ({}, [], "EXPORT: no status (e-1)"),
    ],
)
def test_a_log_line_begins_with_the_outcome_and_ends_with_the_id(
    fields: dict[str, Any], details: list[str], line: str
) -> None:
    task = ExportTask.from_response({"exportId": "e-1", **fields})
    assert task.describe(*details) == line
    assert details or str(task) == line


def test_a_link_in_the_services_words_is_redacted() -> None:
    link = (
        "https://bucket.s3.amazonaws.com/export.zip?X-Amz-Expires=60&X-Amz-Signature=0123abcd&X-Amz-Security-Token=IQoJ"
    )
    task = ExportTask(export_id="export-1", status_message=f"Could not write {link}.")
    shown = f"{task!r} {task.summary()}"
    assert "Could not write https://bucket.s3.amazonaws.com/export.zip" in shown
    assert "0123abcd" not in shown
    assert "IQoJ" not in shown
