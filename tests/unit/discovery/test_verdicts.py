from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ads.discovery.export_task import ExportTask
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.statuses import (
    DELETION_FAILED_STATUSES,
    DELETION_RUNNING_STATUSES,
    DELETION_STATUSES,
    IMPORT_DONE_STATUSES,
    IMPORT_FAILED_STATUSES,
    RETRYABLE_STATUSES,
)
from airflow_provider_ads.discovery.verdicts import VerdictKind, judge_deletion, judge_export, judge_import

ID = "import-task-0123456789abcdef0123456789ABCDEF"


def task(status: str | None, **fields: Any) -> ImportTask:
    return ImportTask.from_response({"importTaskId": ID, "status": status, **fields})


class TestJudgeDeletion:
    @pytest.mark.parametrize("status", sorted(DELETION_RUNNING_STATUSES))
    def test_before_and_during_the_deletion_it_is_running(self, status: str) -> None:
        assert judge_deletion(task(status)).kind is VerdictKind.RUNNING

    def test_deleted_data_is_done(self) -> None:
        assert judge_deletion(task("DELETE_COMPLETE")).kind is VerdictKind.DONE

    def test_a_task_that_is_no_longer_listed_is_done(self) -> None:
        assert judge_deletion(task(None)).kind is VerdictKind.DONE

    def test_a_listed_task_without_a_status_is_unknown(self) -> None:
        assert judge_deletion(task(None, name="cmdb")).kind is VerdictKind.UNKNOWN

    @pytest.mark.parametrize("status", sorted(DELETION_FAILED_STATUSES))
    def test_a_failed_deletion_has_advice(self, status: str) -> None:
        verdict = judge_deletion(task(status, name="cmdb"))
        assert verdict.kind is VerdictKind.FAILED
        assert verdict.advice.startswith("Delete the data again")

    def test_a_new_status_is_unknown(self) -> None:
        verdict = judge_deletion(task("DELETE_PAUSED"))
        assert verdict.kind is VerdictKind.UNKNOWN
        assert "cannot tell whether the data was deleted" in verdict.advice


class TestJudgeImport:
    def test_an_import_in_progress_is_running(self) -> None:
        assert judge_import(task("IMPORT_IN_PROGRESS"), 0).kind is VerdictKind.RUNNING

    @pytest.mark.parametrize("status", sorted(IMPORT_DONE_STATUSES))
    @pytest.mark.parametrize(
        ("failures", "limit", "kind"),
        [(0, None, "DONE"), (1, 0, "FAILED"), (3, 3, "DONE"), (4, 3, "FAILED"), (4, None, "DONE")],
    )
    def test_the_limit_of_failed_records_applies_to_both_statuses(
        self, status: str, failures: int, limit: int | None, kind: str
    ) -> None:
        assert judge_import(task(status, serverImportFailure=failures), limit).kind is VerdictKind[kind]

    def test_failed_application_records_count_too(self) -> None:
        verdict = judge_import(task("IMPORT_COMPLETE", applicationImportFailure=1), 0)
        assert verdict.kind is VerdictKind.FAILED
        assert verdict.advice.startswith(
            "Correct the failed records and import them again, or raise max_failed_records=0"
        )

    def test_tolerated_failed_records_have_advice(self) -> None:
        assert "AdsFailedRecordsToS3Operator" in judge_import(task("IMPORT_COMPLETE", serverImportFailure=1), 1).advice
        assert judge_import(task("IMPORT_COMPLETE", serverImportFailure=0), 1).advice == ""

    @pytest.mark.parametrize("status", sorted(IMPORT_FAILED_STATUSES | DELETION_STATUSES))
    def test_a_failed_or_deleted_import_is_failed_no_matter_the_limit(self, status: str) -> None:
        verdict = judge_import(task(status, name="cmdb"), None)
        assert verdict.kind is VerdictKind.FAILED
        assert verdict.try_again is (status in RETRYABLE_STATUSES)
        assert verdict.advice.split()[0] in {"Check", "Convert", "Delete", "Import"}
        assert len(verdict.advice.splitlines()) == 1

    def test_the_advice_is_to_correct_the_rows_if_aws_could_read_the_file(self) -> None:
        url = "s3://bucket/servers.csv"
        unread = judge_import(task("IMPORT_FAILED", importUrl=url, serverImportFailure=0), None)
        assert unread.advice.startswith(
            f"Check that the file exists and that the role may read it (s3:GetObject): {url}"
        )
        read = judge_import(task("IMPORT_FAILED", importUrl=url, serverImportFailure=2), None)
        assert read.advice.startswith("Correct the rows, or convert the file with AdsPrepareImportFileOperator")
        assert (read.kind, read.try_again) == (VerdictKind.FAILED, True)

    @pytest.mark.parametrize("status", ["IMPORT_PAUSED", "", None])
    def test_a_new_status_is_unknown(self, status: str | None) -> None:
        verdict = judge_import(task(status), None)
        assert verdict.kind is VerdictKind.UNKNOWN
        assert repr(status) in verdict.advice
        assert not verdict.try_again


class TestJudgeExport:
    @staticmethod
    def judge(status: str | None, message: str | None = None) -> tuple[VerdictKind, str]:
        return judge_export(ExportTask(export_id="e-1", export_status=status, status_message=message))

    def test_a_running_or_successful_export_needs_no_advice(self) -> None:
        assert self.judge("IN_PROGRESS", "busy") == (VerdictKind.RUNNING, "")
        assert self.judge("SUCCEEDED", "done") == (VerdictKind.DONE, "")

    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            ("No servers found.", "No servers found."),
            ("No\n\x1b[31mservers", r"No\n\x1b[31mservers."),
            (None, "AWS gave no reason."),
            ("", "AWS gave no reason."),
        ],
    )
    def test_a_failed_export_has_advice_and_the_reason_of_aws(self, message: str | None, reason: str) -> None:
        advice = f"Run the task again, which starts another export: {reason}"
        assert self.judge("FAILED", message) == (VerdictKind.FAILED, advice)

    @pytest.mark.parametrize("status", ["EXPORT_OF_THE_FUTURE", None])
    def test_an_unknown_status_is_neither_running_nor_successful(self, status: str | None) -> None:
        kind, advice = self.judge(status)
        assert kind is VerdictKind.UNKNOWN
        assert f"this version does not know the status {status!r}" in advice
