from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from airflow_provider_ads.discovery.import_task import (
    DELETION_FAILED_STATUSES,
    DELETION_RUNNING_STATUSES,
    DELETION_STATUSES,
    IMPORT_DONE_STATUSES,
    IMPORT_FAILED_STATUSES,
    IMPORT_RUNNING_STATUSES,
    TRY_AGAIN_STATUSES,
    ImportTask,
    VerdictKind,
    check_client_request_token,
    check_import_task_ids,
    check_import_url,
    check_max_failed_records,
    check_name,
    judge_deletion,
    judge_import,
    newest_by_name,
)

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


@pytest.fixture(scope="module")
def model() -> Any:
    return botocore.session.get_session().get_service_model("discovery")


def task(status: str | None, **fields: Any) -> ImportTask:
    return ImportTask.from_response({"importTaskId": ID, "status": status, **fields})


class TestStatuses:
    def test_the_sets_partition_the_statuses_of_the_service(self, model: Any) -> None:
        sets = [IMPORT_RUNNING_STATUSES, IMPORT_DONE_STATUSES, IMPORT_FAILED_STATUSES, DELETION_STATUSES]
        assert sorted(status for statuses in sets for status in statuses) == sorted(
            model.shape_for("ImportStatus").enum
        )

    def test_of_a_deletion_partition_them_too(self, model: Any) -> None:
        sets = [DELETION_RUNNING_STATUSES, DELETION_FAILED_STATUSES, {"DELETE_COMPLETE"}]
        assert sorted(status for statuses in sets for status in statuses) == sorted(
            model.shape_for("ImportStatus").enum
        )

    def test_only_failures_may_be_tried_again(self) -> None:
        assert TRY_AGAIN_STATUSES < IMPORT_FAILED_STATUSES


class TestImportTask:
    def test_has_every_field_of_the_service(self, model: Any) -> None:
        read = ImportTask.from_response(RESPONSE).summary().keys() | {
            "clientRequestToken",
            "errorsAndFailedEntriesZip",
        }
        assert read == model.shape_for("ImportTask").members.keys()

    def test_reads_a_response_into_python_names(self) -> None:
        read = ImportTask.from_response(RESPONSE)
        assert read.import_task_id == ID
        assert read.server_import_failure == 2
        assert read.import_deleted_time is None
        assert read.errors_and_failed_entries_zip == RESPONSE["errorsAndFailedEntriesZip"]

    def test_leaves_out_fields_that_it_does_not_know(self) -> None:
        assert ImportTask.from_response({**RESPONSE, "newField": 1}) == ImportTask.from_response(RESPONSE)

    def test_cannot_be_changed(self) -> None:
        with pytest.raises(FrozenInstanceError):
            task("IMPORT_COMPLETE").status = "IMPORT_FAILED"  # type: ignore[misc]

    def test_summary_is_json_with_zoned_times(self) -> None:
        summary = json.loads(json.dumps(ImportTask.from_response(RESPONSE).summary()))
        assert summary["importRequestTime"] == "2026-01-02T03:04:05.678000+00:00"
        assert summary["importDeletedTime"] is None
        assert summary["serverImportFailure"] == 2

    def test_summary_is_read_back(self) -> None:
        summary = ImportTask.from_response(RESPONSE).summary()
        assert ImportTask.from_response(json.loads(json.dumps(summary))).summary() == summary

    @pytest.mark.parametrize("show", [repr, str, lambda t: json.dumps(t.summary())])
    def test_shows_neither_the_archive_nor_the_token(self, show: Any) -> None:
        shown = show(ImportTask.from_response(RESPONSE))
        assert "secret" not in shown
        assert "the-token" not in shown

    def test_text_says_which_import_and_how_it_stands(self) -> None:
        assert str(ImportTask.from_response(RESPONSE)) == (
            f"{ID} ('cmdb'): IMPORT_COMPLETE_WITH_ERRORS, servers imported 7, servers failed 2, "
            "applications imported 1, applications failed 1"
        )

    def test_failed_records_are_servers_and_applications(self) -> None:
        assert ImportTask.from_response(RESPONSE).failed_records == 3

    def test_with_errors_but_without_counts_at_least_one_record_failed(self) -> None:
        assert task("IMPORT_COMPLETE_WITH_ERRORS").failed_records == 1


class TestJudgeDeletion:
    @pytest.mark.parametrize("status", sorted(DELETION_RUNNING_STATUSES))
    def test_before_and_during_the_deletion_it_runs(self, status: str) -> None:
        assert judge_deletion(task(status)).kind is VerdictKind.RUNNING

    def test_deleted_is_done(self) -> None:
        assert judge_deletion(task("DELETE_COMPLETE")).kind is VerdictKind.DONE

    def test_not_listed_any_more_is_done(self) -> None:
        verdict = judge_deletion(task(None))
        assert verdict.kind is VerdictKind.DONE
        assert verdict.explanation == f"Import {ID}: not listed any more."

    def test_listed_without_a_status_is_unknown(self) -> None:
        assert judge_deletion(task(None, name="cmdb")).kind is VerdictKind.UNKNOWN

    @pytest.mark.parametrize("status", sorted(DELETION_FAILED_STATUSES))
    def test_failed_says_what_to_do(self, status: str) -> None:
        verdict = judge_deletion(task(status, name="cmdb"))
        assert verdict.kind is VerdictKind.FAILED
        assert all(part in verdict.explanation for part in (ID, "cmdb", status, "Delete it again"))

    def test_a_status_of_the_future_is_unknown(self) -> None:
        verdict = judge_deletion(task("DELETE_PAUSED"))
        assert verdict.kind is VerdictKind.UNKNOWN
        assert "cannot say whether the data are deleted" in verdict.explanation


class TestJudgeImport:
    def test_in_progress_is_running(self) -> None:
        assert judge_import(task("IMPORT_IN_PROGRESS"), 0).kind is VerdictKind.RUNNING

    @pytest.mark.parametrize("status", sorted(IMPORT_DONE_STATUSES))
    @pytest.mark.parametrize(
        ("failures", "limit", "kind"),
        [(0, None, "DONE"), (1, 0, "FAILED"), (3, 3, "DONE"), (4, 3, "FAILED"), (4, None, "DONE")],
    )
    def test_the_limit_counts_under_both_ends(self, status: str, failures: int, limit: int | None, kind: str) -> None:
        assert judge_import(task(status, serverImportFailure=failures), limit).kind is VerdictKind[kind]

    def test_complete_without_failures_is_done(self) -> None:
        assert judge_import(task("IMPORT_COMPLETE"), 0).kind is VerdictKind.DONE

    def test_complete_may_hide_failed_records(self) -> None:
        verdict = judge_import(task("IMPORT_COMPLETE", applicationImportFailure=1), 0)
        assert verdict.kind is VerdictKind.FAILED
        assert "max_failed_records" in verdict.explanation

    @pytest.mark.parametrize("status", sorted(IMPORT_FAILED_STATUSES | DELETION_STATUSES))
    def test_failed_and_deleted_imports_are_failed_whatever_the_limit(self, status: str) -> None:
        verdict = judge_import(task(status, name="cmdb"), None)
        assert verdict.kind is VerdictKind.FAILED
        assert verdict.try_again is (status in TRY_AGAIN_STATUSES)
        assert all(part in verdict.explanation for part in (ID, "cmdb", status))
        assert verdict.explanation.count(". ") >= 1, "the explanation lacks the next step"

    @pytest.mark.parametrize("status", ["IMPORT_PAUSED", "", None])
    def test_a_status_of_the_future_is_unknown(self, status: str | None) -> None:
        verdict = judge_import(task(status), None)
        assert verdict.kind is VerdictKind.UNKNOWN
        assert repr(status) in verdict.explanation
        assert not verdict.try_again


class TestChecks:
    @pytest.mark.parametrize("name", ["a", "x" * 255, " a "])
    def test_good_names(self, name: str) -> None:
        assert check_name(name) == name

    @pytest.mark.parametrize("name", ["", "  \t", "x" * 256, None, 7])
    def test_bad_names(self, name: Any) -> None:
        with pytest.raises(ValueError, match="name must be a text of 1 to 255 characters, one of them not a space"):
            check_name(name)

    @pytest.mark.parametrize("url", ["s3://bucket/key", "https://bucket.s3.amazonaws.com/a b.csv", "s3://b/ k"])
    def test_good_urls(self, url: str) -> None:
        assert check_import_url(url) == url

    @pytest.mark.parametrize(
        "url", ["bucket/key.csv", "s3://bucket", "s3://bucket/", "s3:///key", "s3://b/" + "k" * 3994, None]
    )
    def test_bad_urls(self, url: Any) -> None:
        with pytest.raises(ValueError, match=r"s3://bucket/key.*4,000 characters"):
            check_import_url(url)

    @pytest.mark.parametrize("token", ["", "t" * 101, None])
    def test_bad_tokens_are_not_repeated_in_the_message(self, token: Any) -> None:
        with pytest.raises(ValueError, match="client_request_token must be a text of 1 to 100") as error:
            check_client_request_token(token)
        assert "ttt" not in str(error.value)

    @pytest.mark.parametrize("ids", [ID, [ID], (ID,), iter([ID]), {ID: 1}.keys()])
    def test_ids_arrive_in_many_shapes(self, ids: Any) -> None:
        assert check_import_task_ids(ids) == [ID]

    def test_order_and_repetition_of_ids_are_kept(self) -> None:
        other = "import-task-" + "0" * 32
        assert check_import_task_ids([ID, other, ID]) == [ID, other, ID]

    @pytest.mark.parametrize("ids", ["import-task-1", "", None, 7, [None], [ID, "x"], f"{ID}\n"])
    def test_what_is_no_id_is_refused_with_the_rule(self, ids: Any) -> None:
        with pytest.raises(ValueError, match="'import-task-' and 32 hexadecimal digits"):
            check_import_task_ids(ids)

    def test_no_id_at_all_is_refused(self) -> None:
        with pytest.raises(ValueError, match="empty list"):
            check_import_task_ids([])

    @pytest.mark.parametrize("text", [f"['{ID}']", f"('{ID}',)", "LazyXComSequence(...)", "<LazyXCom>"])
    def test_a_rendered_list_is_told_apart(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"pass the task's \.output"):
            check_import_task_ids(text)

    @pytest.mark.parametrize("limit", [None, 0, 25])
    def test_good_limits(self, limit: int | None) -> None:
        assert check_max_failed_records(limit) == limit

    @pytest.mark.parametrize("limit", [-1, 1.5, "3", True])
    def test_bad_limits(self, limit: Any) -> None:
        with pytest.raises(ValueError, match="max_failed_records must be a whole number of 0 or more, or None"):
            check_max_failed_records(limit)


class TestNewestByName:
    def test_is_the_one_that_was_requested_last(self) -> None:
        tasks = [
            ImportTask(import_task_id=id_, name=name, import_request_time=datetime(2026, 1, day, tzinfo=UTC))
            for id_, day in (("a", 2), ("b", 3), ("c", 1))
            for name in ("cmdb", "CMDB")
        ]
        newest = newest_by_name(tasks)
        assert {name: task.import_task_id for name, task in newest.items()} == {"cmdb": "b", "CMDB": "b"}

    def test_is_the_same_one_in_whichever_order_they_come(self) -> None:
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        tasks = [ImportTask(import_task_id=id_, name="cmdb", import_request_time=moment) for id_ in ("a", "b")]
        assert newest_by_name(tasks) == newest_by_name(reversed(tasks))

    def test_one_without_a_time_is_older_than_all_others(self) -> None:
        dated = ImportTask(import_task_id="a", name="cmdb", import_request_time=datetime(2026, 1, 1, tzinfo=UTC))
        assert newest_by_name([dated, ImportTask(import_task_id="b", name="cmdb")]) == {"cmdb": dated}

    def test_what_has_no_name_is_left_out(self) -> None:
        assert newest_by_name([ImportTask(import_task_id="a")]) == {}
