"""Which imports newer ones replace, and whether these may."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_ads.discovery.import_task import (
    DELETION_STATUSES,
    IMPORT_DONE_STATUSES,
    IMPORT_FAILED_STATUSES,
    IMPORT_RUNNING_STATUSES,
    ImportTask,
)

__all__ = ["Superseded", "reasons_against", "superseded_imports"]

#: Imports that have ended, or whose deletion has failed.
_DELETABLE_STATUSES = (IMPORT_DONE_STATUSES | IMPORT_FAILED_STATUSES | DELETION_STATUSES) - {
    "DELETE_IN_PROGRESS",
    "DELETE_COMPLETE",
}


@dataclass(frozen=True)
class Superseded:
    """
    The imports of a series that others replace, each list from the oldest on.

    :param deletable: those whose data are to be deleted.
    :param going: those whose data are being deleted, or were deleted since the imports that replace them were
        requested, as by an earlier try of the same task.
    :param deleted: those whose data were deleted before.
    :param running: those that are still in progress.
    :param unknown: those with a status that this version does not know, or without the time of their request.
    """

    deletable: list[ImportTask]
    going: list[ImportTask]
    deleted: list[ImportTask]
    running: list[ImportTask]
    unknown: list[ImportTask]


def reasons_against(superseded_by: Iterable[ImportTask], name_prefix: str, allow_failed_records: bool) -> list[str]:
    """
    Say why imports may not replace the older ones of their series: they must be a good copy, and of that series.

    :param superseded_by: the new imports.
    :param name_prefix: how the names of the series start.
    :param allow_failed_records: whether records of the new imports may have failed.
    :return: a sentence for each reason; none if they may.
    """
    reasons = []
    for task in superseded_by:
        if not (task.name or "").startswith(name_prefix):
            reasons.append(f"Import {task}: its name does not start with name_prefix={name_prefix!r}.")
        if task.status not in IMPORT_DONE_STATUSES:
            reasons.append(f"Import {task}: it has not ended well, so that the older data are the only good copy.")
        elif task.failed_records and not allow_failed_records:
            reasons.append(
                f"Import {task}: it lacks the records that failed, which older imports may have. Correct and import "
                "them, or set allow_failed_records=True."
            )
        if task.import_request_time is None:
            reasons.append(f"Import {task}: the service does not say when it was requested.")
    return reasons


def superseded_imports(import_tasks: Iterable[ImportTask], superseded_by: Sequence[ImportTask]) -> Superseded:
    """
    Sort out the imports that were requested before the oldest of those that replace them.

    :param import_tasks: the imports of the series.
    :param superseded_by: the new imports, each with the time of its request; they are never among the result.
    """
    since = min(_request_time(task) for task in superseded_by)
    new = {task.import_task_id for task in superseded_by}
    result = Superseded([], [], [], [], [])
    for task in sorted(import_tasks, key=lambda task: (task.import_request_time is not None, task.import_request_time)):
        if task.import_task_id in new:
            continue
        if task.import_request_time is None:
            result.unknown.append(task)
        elif task.import_request_time >= since:
            continue
        elif task.status in IMPORT_RUNNING_STATUSES:
            result.running.append(task)
        elif task.status in _DELETABLE_STATUSES:
            result.deletable.append(task)
        elif task.status == "DELETE_IN_PROGRESS" or (
            task.status == "DELETE_COMPLETE" and task.import_deleted_time and task.import_deleted_time >= since
        ):
            result.going.append(task)
        elif task.status == "DELETE_COMPLETE":
            result.deleted.append(task)
        else:
            result.unknown.append(task)
    return result


def _request_time(task: ImportTask) -> datetime:
    if task.import_request_time is None:
        raise ValueError(f"Import {task}: the service does not say when it was requested.")
    return task.import_request_time
