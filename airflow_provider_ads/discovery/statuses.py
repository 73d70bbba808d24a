"""
The statuses of import tasks and export tasks.

Every value of ``ImportStatus`` is in exactly one of the import sets, and in exactly one of the deletion sets. A status
that AWS adds later is in none of them, so every predicate is False for it.

https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html and
https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html explain the values.

Every value of ``ExportStatus`` is in exactly one of the export sets:
https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ExportInfo.html
"""

from __future__ import annotations

__all__ = [
    "DELETION_DONE_STATUSES",
    "DELETION_FAILED_STATUSES",
    "DELETION_RUNNING_STATUSES",
    "DELETION_STATUSES",
    "EXPORT_DONE_STATUSES",
    "EXPORT_FAILED_STATUSES",
    "EXPORT_RUNNING_STATUSES",
    "IMPORT_DONE_STATUSES",
    "IMPORT_FAILED_STATUSES",
    "IMPORT_RUNNING_STATUSES",
    "RETRYABLE_STATUSES",
    "has_failed_records",
    "is_being_deleted",
    "is_deletable",
    "is_deleted",
    "is_deletion",
    "is_deletion_failed",
    "is_deletion_running",
    "is_done",
    "is_export_done",
    "is_export_failed",
    "is_export_running",
    "is_failed",
    "is_over_deletion_limit",
    "is_retryable",
    "is_running",
]

#: The import is queued or being processed.
IMPORT_RUNNING_STATUSES = frozenset({"IMPORT_IN_PROGRESS"})

#: The import has ended and records were imported. Records can have failed under either status.
IMPORT_DONE_STATUSES = frozenset({"IMPORT_COMPLETE", "IMPORT_COMPLETE_WITH_ERRORS"})

#: The import has ended and none of its data can be relied on.
IMPORT_FAILED_STATUSES = frozenset(
    {
        "IMPORT_FAILED",
        "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED",
        "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED",
        "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE",
        "INTERNAL_ERROR",
    }
)

#: A deletion of the imported data is in progress, is complete, or has failed.
DELETION_STATUSES = frozenset(
    {"DELETE_IN_PROGRESS", "DELETE_COMPLETE", "DELETE_FAILED", "DELETE_FAILED_LIMIT_EXCEEDED"}
)

#: The imported data was deleted.
DELETION_DONE_STATUSES = frozenset({"DELETE_COMPLETE"})

#: The deletion has ended and might have left data behind.
DELETION_FAILED_STATUSES = frozenset({"DELETE_FAILED", "DELETE_FAILED_LIMIT_EXCEEDED", "INTERNAL_ERROR"})

#: The deletion is in progress, or has not started yet, so that the status is still that of the import.
DELETION_RUNNING_STATUSES = (
    IMPORT_RUNNING_STATUSES | IMPORT_DONE_STATUSES | IMPORT_FAILED_STATUSES | DELETION_STATUSES
) - (DELETION_DONE_STATUSES | DELETION_FAILED_STATUSES)

#: Failures after which another import of the same file might succeed.
RETRYABLE_STATUSES = frozenset({"IMPORT_FAILED", "INTERNAL_ERROR"})

#: The export is being prepared.
EXPORT_RUNNING_STATUSES = frozenset({"IN_PROGRESS"})

#: The export has ended, and its archive can be downloaded.
EXPORT_DONE_STATUSES = frozenset({"SUCCEEDED"})

#: The export has ended without an archive.
EXPORT_FAILED_STATUSES = frozenset({"FAILED"})


def is_running(status: str | None) -> bool:
    """Return True if the import has not ended."""
    return status in IMPORT_RUNNING_STATUSES


def is_done(status: str | None) -> bool:
    """Return True if the import has ended and records were imported."""
    return status in IMPORT_DONE_STATUSES


def is_failed(status: str | None) -> bool:
    """Return True if the import has failed."""
    return status in IMPORT_FAILED_STATUSES


def is_retryable(status: str | None) -> bool:
    """Return True if another import of the same file might succeed."""
    return status in RETRYABLE_STATUSES


def has_failed_records(status: str | None) -> bool:
    """Return True if the status means that at least one record failed."""
    return status == "IMPORT_COMPLETE_WITH_ERRORS"


def is_deletion(status: str | None) -> bool:
    """Return True if a deletion of the imported data is in progress, is complete, or has failed."""
    return status in DELETION_STATUSES


def is_being_deleted(status: str | None) -> bool:
    """Return True if the imported data is being deleted."""
    return status == "DELETE_IN_PROGRESS"


def is_deleted(status: str | None) -> bool:
    """Return True if the imported data was deleted."""
    return status in DELETION_DONE_STATUSES


def is_deletion_running(status: str | None) -> bool:
    """Return True if a requested deletion has not ended."""
    return status in DELETION_RUNNING_STATUSES


def is_deletion_failed(status: str | None) -> bool:
    """Return True if a requested deletion has failed."""
    return status in DELETION_FAILED_STATUSES


def is_over_deletion_limit(status: str | None) -> bool:
    """Return True if the deletion failed because of the account's daily limit."""
    return status == "DELETE_FAILED_LIMIT_EXCEEDED"


def is_deletable(status: str | None) -> bool:
    """Return True if the import has ended and its data is neither deleted nor being deleted."""
    return is_done(status) or is_failed(status) or (is_deletion(status) and is_deletion_failed(status))


def is_export_running(status: str | None) -> bool:
    """Return True if the export has not ended."""
    return status in EXPORT_RUNNING_STATUSES


def is_export_done(status: str | None) -> bool:
    """Return True if the export's archive can be downloaded."""
    return status in EXPORT_DONE_STATUSES


def is_export_failed(status: str | None) -> bool:
    """Return True if the export has failed."""
    return status in EXPORT_FAILED_STATUSES
