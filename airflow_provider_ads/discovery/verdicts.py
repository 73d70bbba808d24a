"""
Verdicts: the meaning of a task's status to a waiter, with advice on what to do next.

https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html explains the statuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.export_task import ExportTask
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import escaped

__all__ = ["MISSING_TASK_POLLS", "Verdict", "VerdictKind", "judge_deletion", "judge_export", "judge_import"]

#: Number of polls that do not find a task before it is reported missing. AWS does not document how soon the service
#: lists a new task.
MISSING_TASK_POLLS = 3

_FETCH_FAILED_RECORDS = (
    "AdsFailedRecordsToS3Operator fetches the failed rows and the reasons; the Imports page of the Migration Hub "
    "console offers them too"
)

#: Advice for an import of a file that AWS could read.
_CORRECT_EVERY_ROW = (
    "Correct the rows, or convert the file with AdsPrepareImportFileOperator: AWS could read {import_url}, but every "
    f"row failed. {_FETCH_FAILED_RECORDS}"
)

#: Advice by status for an import that has failed.
_IMPORT_ADVICE = {
    "IMPORT_FAILED": (
        "Check that the file exists and that the role may read it (s3:GetObject): {import_url}. It must have at most "
        "10 MB. If AWS could read it, every row failed: convert it with AdsPrepareImportFileOperator. "
        f"{_FETCH_FAILED_RECORDS}"
    ),
    "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED": (
        "Delete imports that are no longer needed, with AdsDeleteImportDataOperator, or ask AWS to raise Service "
        "Quotas code L-E92F1B88: the account's quota of imported servers is exceeded (10,000 unless raised)"
    ),
    "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED": (
        "Delete the imports that newer ones replace, with AdsPruneImportTasksOperator: every import counts its rows "
        "again, and the account's quota of 25,000 import records, which AWS does not raise, is exceeded"
    ),
    "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE": (
        "Convert the file with AdsPrepareImportFileOperator: AWS does not recognize the headers or the format of "
        "{import_url}. An importable file is a comma-separated UTF-8 CSV file with the columns of the Migration Hub "
        "import template, or a ZIP file with an RVTools export"
    ),
    "INTERNAL_ERROR": "Import the file again: the service itself failed",
    "DELETE_IN_PROGRESS": "Import the file again: the imported data is being deleted",
    "DELETE_COMPLETE": "Import the file again: the imported data was deleted",
    "DELETE_FAILED": (
        "Delete the imported data again, then import again: a deletion of it failed, so it might be incomplete"
    ),
    "DELETE_FAILED_LIMIT_EXCEEDED": (
        "Delete the imported data again tomorrow, then import again: a deletion of it exceeded the limit of 25,000 "
        "deleted records a day, so it might be incomplete"
    ),
}

#: Advice by status for a deletion that has failed.
_DELETION_ADVICE = {
    "DELETE_FAILED": "Delete the data again: part of it might be deleted",
    "DELETE_FAILED_LIMIT_EXCEEDED": (
        "Delete the data again after 00:00 UTC: the account's limit of 25,000 deleted records a day is exceeded"
    ),
    "INTERNAL_ERROR": "Delete the data again: the service itself failed",
}


class VerdictKind(Enum):
    """The meanings that a status can have to a waiter."""

    RUNNING = "running"  #: not ended, so keep waiting
    DONE = "done"  #: ended successfully
    FAILED = "failed"  #: ended with a failure
    UNKNOWN = "unknown"  #: a status that this version does not know


@dataclass(frozen=True)
class Verdict:
    """
    The meaning of one status of one import task.

    :param kind: the meaning.
    :param import_task: the task.
    :param advice: what to do next, in full sentences; empty if there is nothing to do.
    """

    kind: VerdictKind
    import_task: ImportTask
    advice: str = ""

    @property
    def try_again(self) -> bool:
        """True if another import of the same file might succeed."""
        return statuses.is_retryable(self.import_task.status)


def judge_deletion(import_task: ImportTask) -> Verdict:
    """
    Judge the status of a task whose data is to be deleted.

    :param import_task: the task as last described; only its id if the service no longer lists it, for example because
        its history was deleted too.
    :return: the verdict; UNKNOWN for a status that is in none of the sets, never RUNNING or DONE.
    """
    status = import_task.status
    if not import_task.is_listed or statuses.is_deleted(status):
        return Verdict(VerdictKind.DONE, import_task)
    if statuses.is_deletion_running(status):
        return Verdict(VerdictKind.RUNNING, import_task)
    if statuses.is_deletion_failed(status):
        return Verdict(VerdictKind.FAILED, import_task, f"{_DELETION_ADVICE[str(status)]}.")
    return _unknown(import_task, "the data was deleted")


def judge_import(import_task: ImportTask, max_failed_records: int | None) -> Verdict:
    """
    Judge the status of an import.

    :param import_task: the task as last described.
    :param max_failed_records: number of server and application records that are allowed to fail; None for any number.
    :return: the verdict; UNKNOWN for a status that is in none of the sets, never RUNNING or DONE.
    """
    status = import_task.status
    if statuses.is_running(status):
        return Verdict(VerdictKind.RUNNING, import_task)
    if statuses.is_done(status):
        failed = import_task.failed_records
        if max_failed_records is None or failed <= max_failed_records:
            return Verdict(VerdictKind.DONE, import_task, f"{_FETCH_FAILED_RECORDS}." if failed else "")
        return Verdict(
            VerdictKind.FAILED,
            import_task,
            f"Correct the failed records and import them again, or raise max_failed_records={max_failed_records} (None "
            f"allows any number). {_FETCH_FAILED_RECORDS}.",
        )
    if statuses.is_failed(status) or statuses.is_deletion(status):
        advice = _IMPORT_ADVICE[str(status)]
        if advice is _IMPORT_ADVICE["IMPORT_FAILED"] and import_task.failed_records:
            advice = _CORRECT_EVERY_ROW
        advice = advice.format(import_url=escaped(import_task.import_url or "its URL is not known"))
        return Verdict(VerdictKind.FAILED, import_task, f"{advice}.")
    return _unknown(import_task, "the import succeeded")


def judge_export(export_task: ExportTask) -> tuple[VerdictKind, str]:
    """
    Judge the status of an export.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ExportInfo.html

    :param export_task: the task as last described.
    :return: the meaning, which is UNKNOWN for a status that is in none of the sets; and what to do next with the
        service's reason, which is empty unless the export failed or its status is unknown.
    """
    status = export_task.status
    if statuses.is_export_running(status):
        return VerdictKind.RUNNING, ""
    if statuses.is_export_done(status):
        return VerdictKind.DONE, ""
    if statuses.is_export_failed(status):
        reason = escaped(export_task.status_message or "AWS gave no reason")
        return VerdictKind.FAILED, f"Run the task again, which starts another export: {reason.rstrip('.')}."
    return VerdictKind.UNKNOWN, (
        "Check the export in the Migration Hub console, and upgrade airflow-provider-ads: this version does not know "
        f"the status {status!r} and cannot tell whether the export succeeded."
    )


def _unknown(import_task: ImportTask, success: str) -> Verdict:
    return Verdict(
        VerdictKind.UNKNOWN,
        import_task,
        "Check the import in the Migration Hub console, and upgrade airflow-provider-ads: this version does not know "
        f"the status {import_task.status!r} and cannot tell whether {success}.",
    )
