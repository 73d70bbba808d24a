"""
Retention: finding the imports that newer ones supersede.

The request token of an import that a Dag run starts ends with the time at which that run was due. Clearing
Monday's run on Wednesday requests an import of Monday's data after that of Tuesday, so the request time alone does not
show which data is newer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_task import ImportTask

__all__ = ["Superseded", "due_time", "mark_due", "reasons_against", "superseded_imports"]

#: A token that :func:`mark_due` returned for a SHA-256 digest.
_MARKED_TOKEN = re.compile(r"[0-9a-f]{64}-(\d{1,11})")


@dataclass(frozen=True)
class Superseded:
    """
    The older imports of a series; each list is sorted by request time.

    :param deletable: imports whose data is to be deleted.
    :param due_later: imports that were requested before the new ones, but for a run that was due later.
    :param deleting: imports whose data is being deleted, or was deleted after the new imports were requested, for
        example by an earlier attempt of the same task.
    :param deleted: imports whose data was deleted before that.
    :param running: imports that are still in progress.
    :param unknown: imports with a status that this version does not know, or without a request time.
    """

    deletable: list[ImportTask]
    due_later: list[ImportTask]
    deleting: list[ImportTask]
    deleted: list[ImportTask]
    running: list[ImportTask]
    unknown: list[ImportTask]


def reasons_against(superseded_by: Iterable[ImportTask], name_prefix: str, allow_failed_records: bool) -> list[str]:
    """
    Return the reasons why new imports must not supersede older ones.

    They must belong to the same series and be a complete copy of the inventory.

    :param superseded_by: the new imports.
    :param name_prefix: the prefix of every name in the series.
    :param allow_failed_records: True if records of the new imports are allowed to have failed.
    :return: a sentence for each reason; an empty list if the new imports may supersede the older ones.
    """
    reasons = []
    for task in superseded_by:
        if not (task.name or "").startswith(name_prefix):
            reasons.append(f"Correct name_prefix={name_prefix!r}: the import's name does not start with it. {task}.")
        if not statuses.is_done(task.status):
            reasons.append(f"Import the file again, because the older data is the only complete copy. {task}.")
        elif task.failed_records and not allow_failed_records:
            reasons.append(
                "Correct the failed records and import them, because older imports might have them, or set "
                f"allow_failed_records=True. {task}."
            )
        if task.import_request_time is None:
            reasons.append(f"Check the import, whose request time the service did not return. {task}.")
    return reasons


def mark_due(token: str, due: datetime | None) -> str:
    """
    Return a request token that ends with the time at which a Dag run was due.

    :param token: a SHA-256 digest.
    :param due: the time, of which only full seconds are stored; None if it is not known.
    """
    return token if due is None else f"{token}-{int(due.timestamp())}"


def due_time(task: ImportTask) -> datetime | None:
    """Return the time at which the Dag run that started an import was due; None if its token does not contain one."""
    marked = _MARKED_TOKEN.fullmatch(task.client_request_token or "")
    return datetime.fromtimestamp(int(marked[1]), UTC) if marked else None


def superseded_imports(
    import_tasks: Iterable[ImportTask], superseded_by: Sequence[ImportTask], due: datetime | None
) -> Superseded:
    """
    Classify the imports that are older than the new ones.

    An import with a due time is older if it was due earlier, or at the same time and requested before the oldest of the
    new ones. Any other import is older if it was requested before the oldest of the new ones, and before ``due``.

    :param import_tasks: the imports of the series.
    :param superseded_by: the new imports, which are never in the result.
    :param due: when the run that started the new imports was due; None if it is not known, so that only the times of
        the requests count.
    :raises ValueError: a new import has no request time.
    """
    since = min(_request_time(task) for task in superseded_by)
    new = {task.import_task_id for task in superseded_by}
    due = due and due.replace(microsecond=0)
    result = Superseded([], [], [], [], [], [])
    for task in sorted(import_tasks, key=lambda task: (task.import_request_time is not None, task.import_request_time)):
        if task.import_task_id in new:
            continue
        if task.import_request_time is None:
            result.unknown.append(task)
        elif not _is_older(task, task.import_request_time, since, due):
            if task.import_request_time < since and statuses.is_deletable(task.status):
                result.due_later.append(task)
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


def _is_older(task: ImportTask, requested: datetime, since: datetime, due: datetime | None) -> bool:
    task_due = due_time(task)
    if due is None or (task_due is not None and task_due == due):
        return requested < since
    return requested < min(since, due) if task_due is None else task_due < due


def _request_time(task: ImportTask) -> datetime:
    if task.import_request_time is None:
        raise ValueError(f"Check the import, whose request time the service did not return. {task}.")
    return task.import_request_time
