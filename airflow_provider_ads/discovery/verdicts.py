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

__all__ = ["MISSING_TASK_POLLS", "Verdict", "VerdictKind", "judge_deletion", "judge_export", "judge_import"]

#: Number of polls that do not find a task before it is reported missing. AWS does not document how soon the service
#: lists a new task.
MISSING_TASK_POLLS = 3

_FETCH_FAILED_RECORDS = (
    "Fetch the failed rows and the reasons with AdsFailedRecordsToS3Operator, or download them from the Imports page "
    "of the Migration Hub console"
)

#: Advice by status for an import that has failed.
_IMPORT_ADVICE = {
    "IMPORT_FAILED": (
        "No record was imported. Check that {import_url} exists and has at most 10 MB, and that the credentials that "
        "started the import may read it (s3:GetObject). If the service could read the file, every row failed. "
        f"{_FETCH_FAILED_RECORDS}"
    ),
    "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED": (
        "The account's quota of imported servers is exceeded (10,000 unless raised). Delete imports that are no longer "
        "needed with AdsDeleteImportDataOperator, or ask AWS to raise Service Quotas code L-E92F1B88"
    ),
    "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED": (
        "The account's quota of 25,000 import records is exceeded, and AWS does not raise it. Every import counts its "
        "rows again: delete the imports that newer ones replace with AdsPruneImportTasksOperator"
    ),
    "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE": (
        "The service did not recognize {import_url}. Import a comma-separated UTF-8 CSV file with the columns of the "
        "Migration Hub import template, or a ZIP file with an RVTools export"
    ),
    "INTERNAL_ERROR": "The service itself failed. Import the file again",
    "DELETE_IN_PROGRESS": "The imported data is being deleted. Import the file again",
    "DELETE_COMPLETE": "The imported data was deleted. Import the file again",
    "DELETE_FAILED": (
        "A deletion of the imported data failed, so the data might be incomplete. Delete it again, then import again"
    ),
    "DELETE_FAILED_LIMIT_EXCEEDED": (
        "A deletion of the imported data exceeded the limit of 25,000 deleted records a day, so the data might be "
        "incomplete. Delete it again tomorrow, then import again"
    ),
}

#: Advice by status for a deletion that has failed.
_DELETION_ADVICE = {
    "DELETE_FAILED": "Part of the data might be deleted. Delete it again",
    "DELETE_FAILED_LIMIT_EXCEEDED": (
        "The account's limit of 25,000 deleted records a day is exceeded. Delete the data again after 00:00 UTC"
    ),
    "INTERNAL_ERROR": "The service itself failed. Delete the data again",
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
    :param explanation: a message for users: the import, its status and counts, and what to do next.
    """

    kind: VerdictKind
    import_task: ImportTask
    explanation: str

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
    if not import_task.is_listed:
        return Verdict(VerdictKind.DONE, import_task, f"Import {import_task.import_task_id}: no longer listed.")
    status = import_task.status
    if statuses.is_deleted(status):
        return Verdict(VerdictKind.DONE, import_task, f"Import {import_task}.")
    if statuses.is_deletion_running(status):
        return Verdict(VerdictKind.RUNNING, import_task, f"Import {import_task}.")
    if statuses.is_deletion_failed(status):
        return Verdict(VerdictKind.FAILED, import_task, f"Import {import_task}. {_DELETION_ADVICE[str(status)]}.")
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
        return Verdict(VerdictKind.RUNNING, import_task, f"Import {import_task}.")
    if statuses.is_done(status):
        failed = import_task.failed_records
        if max_failed_records is None or failed <= max_failed_records:
            advice = f" {_FETCH_FAILED_RECORDS}." if failed else ""
            return Verdict(VerdictKind.DONE, import_task, f"Import {import_task}.{advice}")
        return Verdict(
            VerdictKind.FAILED,
            import_task,
            f"Import {import_task}. The number of failed records, {failed:,}, exceeds "
            f"max_failed_records={max_failed_records}. "
            f"{_FETCH_FAILED_RECORDS}. Correct the rows and import them again, or raise max_failed_records (None "
            "allows any number).",
        )
    if statuses.is_failed(status) or statuses.is_deletion(status):
        advice = _IMPORT_ADVICE[str(status)].format(import_url=import_task.import_url)
        return Verdict(VerdictKind.FAILED, import_task, f"Import {import_task}. {advice}.")
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
        reason = export_task.status_message or "AWS gives no reason"
        return VerdictKind.FAILED, f"Run the task again, which starts another export: {reason.rstrip('.')}."
    return VerdictKind.UNKNOWN, (
        "Check the export in the Migration Hub console, and upgrade airflow-provider-ads: this version does not know "
        f"the status {status!r} and cannot tell whether the export succeeded."
    )


def _unknown(import_task: ImportTask, success: str) -> Verdict:
    return Verdict(
        VerdictKind.UNKNOWN,
        import_task,
        f"Import {import_task}. This version of airflow-provider-ads does not know the status {import_task.status!r} "
        f"and cannot tell whether {success}. Check the import in the Migration Hub console, and upgrade the provider.",
    )
