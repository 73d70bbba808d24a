"""Retention: finding the imports that newer ones supersede."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_task import ImportTask

__all__ = ["Superseded", "reasons_against", "superseded_imports"]


@dataclass(frozen=True)
class Superseded:
    """
    The imports of a series that were requested before the new ones; each list is sorted by request time.

    :param deletable: imports whose data is to be deleted.
    :param deleting: imports whose data is being deleted, or was deleted after the new imports were requested, for
        example by an earlier attempt of the same task.
    :param deleted: imports whose data was deleted before that.
    :param running: imports that are still in progress.
    :param unknown: imports with a status that this version does not know, or without a request time.
    """

    deletable: list[ImportTask]
    deleting: list[ImportTask]
    deleted: list[ImportTask]
    running: list[ImportTask]
    unknown: list[ImportTask]


def reasons_against(superseded_by: Iterable[ImportTask], name_prefix: str, allow_failed_records: bool) -> list[str]:
    """
    Return the reasons why new imports may not supersede older ones.

    They must belong to the same series and be a complete copy of the inventory.

    :param superseded_by: the new imports.
    :param name_prefix: the prefix of every name in the series.
    :param allow_failed_records: True if records of the new imports are allowed to have failed.
    :return: a sentence for each reason; an empty list if the new imports may supersede the older ones.
    """
    reasons = []
    for task in superseded_by:
        if not (task.name or "").startswith(name_prefix):
            reasons.append(f"Import {task}: its name does not start with name_prefix={name_prefix!r}.")
        if not statuses.is_done(task.status):
            reasons.append(f"Import {task}: it did not succeed, so the older data is the only complete copy.")
        elif task.failed_records and not allow_failed_records:
            reasons.append(
                f"Import {task}: it lacks its failed records, which older imports might have. Correct and import "
                "them, or set allow_failed_records=True."
            )
        if task.import_request_time is None:
            reasons.append(f"Import {task}: the service did not return its request time.")
    return reasons


def superseded_imports(import_tasks: Iterable[ImportTask], superseded_by: Sequence[ImportTask]) -> Superseded:
    """
    Classify the imports that were requested before the oldest of the new ones.

    :param import_tasks: the imports of the series.
    :param superseded_by: the new imports, which are never in the result.
    :raises ValueError: a new import has no request time.
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
        elif statuses.is_running(task.status):
            result.running.append(task)
        elif statuses.is_deletable(task.status):
            result.deletable.append(task)
        elif statuses.is_deleted(task.status):
            recently = task.import_deleted_time is not None and task.import_deleted_time >= since
            (result.deleting if recently else result.deleted).append(task)
        elif statuses.is_being_deleted(task.status):
            result.deleting.append(task)
        else:
            result.unknown.append(task)
    return result


def _request_time(task: ImportTask) -> datetime:
    if task.import_request_time is None:
        raise ValueError(f"Import {task}: the service did not return its request time.")
    return task.import_request_time
