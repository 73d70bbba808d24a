from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest

from airflow_provider_ads.discovery.import_task import ImportTask, newest_by_name

ID = "import-task-0123456789abcdef0123456789ABCDEF"

RESPONSE: dict[str, Any] = {
    "importTaskId": ID,
    "clientRequestToken": "the-token",
    "name": "cmdb",
    "importUrl": "s3://bucket/key.csv",
    "status": "IMPORT_COMPLETE_WITH_ERRORS",
    "importRequestTime": datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    "importCompletionTime": datetime(2026, 1, 2, 3, 5, tzinfo=UTC),
    "fileClassification": "IMPORT_TEMPLATE",
    "serverImportSuccess": 7,
    "serverImportFailure": 2,
    "applicationImportSuccess": 1,
    "applicationImportFailure": 1,
    "errorsAndFailedEntriesZip": "https://bucket.example/archive.zip?X-Amz-Signature=secret",
}


def task(status: str | None, **fields: Any) -> ImportTask:
    return ImportTask.from_response({"importTaskId": ID, "status": status, **fields})


class TestImportTask:
    def test_has_every_field_of_the_service(self) -> None:
        model: Any = botocore.session.get_session().get_service_model("discovery")
        read = ImportTask.from_response(RESPONSE).summary().keys() | {"clientRequestToken", "errorsAndFailedEntriesZip"}
        assert read == model.shape_for("ImportTask").members.keys()

    def test_a_response_is_read_into_snake_case_fields_and_unknown_fields_are_ignored(self) -> None:
        read = ImportTask.from_response({**RESPONSE, "newField": 1})
        assert read == ImportTask.from_response(RESPONSE)
        assert (read.import_task_id, read.server_import_failure, read.import_deleted_time) == (ID, 2, None)
        assert read.errors_and_failed_entries_zip == RESPONSE["errorsAndFailedEntriesZip"]

    def test_summary_is_json_safe_with_times_in_utc(self) -> None:
        summary = json.loads(json.dumps(ImportTask.from_response(RESPONSE).summary()))
        assert summary["importRequestTime"] == "2026-01-02T03:04:05.678000+00:00"
        assert summary["importDeletedTime"] is None
        assert summary["serverImportFailure"] == 2

    def test_a_summary_can_be_read_back(self) -> None:
        summary = ImportTask.from_response(RESPONSE).summary()
        assert ImportTask.from_response(json.loads(json.dumps(summary))).summary() == summary

    @pytest.mark.parametrize("show", [repr, str, lambda t: json.dumps(t.summary())])
    def test_neither_the_archive_url_nor_the_token_is_shown(self, show: Any) -> None:
        shown = show(ImportTask.from_response(RESPONSE))
        assert "secret" not in shown
        assert "the-token" not in shown

    def test_str_begins_with_status_and_counts_and_ends_with_the_id(self) -> None:
        task = ImportTask.from_response(RESPONSE)
        counts = "7 imported, 2 failed, 1 applications imported, 1 applications failed"
        assert str(task) == f"IMPORT_COMPLETE_WITH_ERRORS: {counts}. key.csv ('cmdb', {ID})"
        no_applications = replace(task, application_import_success=0, application_import_failure=0)
        assert str(no_applications) == f"IMPORT_COMPLETE_WITH_ERRORS: 7 imported, 2 failed. key.csv ('cmdb', {ID})"

    @pytest.mark.parametrize(
        ("fields", "line"),
        [
            ({}, f"not listed: {ID}"),
            ({"status": "DELETE_COMPLETE"}, f"DELETE_COMPLETE: {ID}"),
            ({"name": "cmdb"}, f"no status: 'cmdb' ({ID})"),
            ({"import_url": "s3://b/k.csv", "server_import_success": 0}, f"no status: 0 imported. k.csv ({ID})"),
            ({"import_url": "s3://b/a\n\x1b[31m", "name": "a\nb"}, rf"no status: a\n\x1b[31m ('a\nb', {ID})"),
        ],
    )
    def test_str_omits_unknown_fields(self, fields: dict[str, Any], line: str) -> None:
        assert str(ImportTask(import_task_id=ID, **fields)) == line

    @pytest.mark.parametrize(
        ("counts", "line"),
        [
            ((0, 0), f"IMPORT_IN_PROGRESS: {ID}"),
            ((5, 0), f"IMPORT_IN_PROGRESS: 5 imported, 0 failed. {ID}"),
            ((0, 1), f"IMPORT_IN_PROGRESS: 0 imported, 1 failed. {ID}"),
        ],
    )
    def test_a_running_import_shows_counts_once_one_exceeds_0(self, counts: tuple[int, int], line: str) -> None:
        imported, failed = counts
        running = task("IMPORT_IN_PROGRESS", serverImportSuccess=imported, serverImportFailure=failed)
        assert str(running) == line

    def test_details_follow_the_counts_and_the_url_replaces_the_files_name(self) -> None:
        task = ImportTask(import_task_id=ID, status="NEW", server_import_success=1605, import_url="s3://b/k.csv")
        assert task.describe("started", with_url=True) == f"NEW: 1,605 imported, started. s3://b/k.csv ({ID})"

    def test_the_age_counts_from_the_request(self) -> None:
        task = ImportTask(import_task_id=ID, import_request_time=datetime.now(UTC) - timedelta(days=2))
        assert timedelta(days=2) <= (task.age or timedelta()) < timedelta(days=3)
        assert ImportTask(import_task_id=ID).age is None

    def test_is_listed_if_more_than_the_id_is_known(self) -> None:
        assert task("IMPORT_COMPLETE").is_listed
        assert not task(None).is_listed

    def test_failed_records_include_servers_and_applications_and_the_status_alone_means_one(self) -> None:
        assert ImportTask.from_response(RESPONSE).failed_records == 3
        assert task("IMPORT_COMPLETE_WITH_ERRORS").failed_records == 1


class TestNewestByName:
    def test_returns_the_task_requested_last_for_each_name(self) -> None:
        tasks = [
            ImportTask(import_task_id=id_, name=name, import_request_time=datetime(2026, 1, day, tzinfo=UTC))
            for id_, day in (("a", 2), ("b", 3), ("c", 1))
            for name in ("cmdb", "CMDB")
        ]
        newest = newest_by_name(tasks)
        assert {name: task.import_task_id for name, task in newest.items()} == {"cmdb": "b", "CMDB": "b"}

    def test_does_not_depend_on_the_order(self) -> None:
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        tasks = [ImportTask(import_task_id=id_, name="cmdb", import_request_time=moment) for id_ in ("a", "b")]
        assert newest_by_name(tasks) == newest_by_name(reversed(tasks))

    def test_a_task_without_a_request_time_is_the_oldest(self) -> None:
        dated = ImportTask(import_task_id="a", name="cmdb", import_request_time=datetime(2026, 1, 1, tzinfo=UTC))
        assert newest_by_name([dated, ImportTask(import_task_id="b", name="cmdb")]) == {"cmdb": dated}

    def test_a_task_without_a_name_is_ignored(self) -> None:
        assert newest_by_name([ImportTask(import_task_id="a")]) == {}
