"""The state of the service: its import tasks, and the rules for starting, describing and deleting them."""

from __future__ import annotations

import binascii
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, cast
from uuid import uuid4

from botocore.model import StructureShape

from airflow_provider_ads.discovery import limits
from airflow_provider_ads.emulator.import_files import Row
from airflow_provider_ads.emulator.protocol import DISCOVERY, ServiceError
from airflow_provider_ads.emulator.quotas import DeletionQuota
from airflow_provider_ads.emulator.settings import Settings

__all__ = ["ImportTask", "ImportTasks", "current_time", "page_token", "parse_page_token"]

_FIELDS = frozenset(cast(StructureShape, DISCOVERY.shape_for("ImportTask")).members)

#: The counts of records that were imported or failed.
_COUNTS = (
    "serverImportSuccess",
    "serverImportFailure",
    "applicationImportSuccess",
    "applicationImportFailure",
)

#: The field that each filter compares.
_FILTERED_FIELDS = {
    "IMPORT_TASK_ID": "importTaskId",
    "STATUS": "status",
    "NAME": "name",
    "FILE_CLASSIFICATION": "fileClassification",
}


@dataclass(eq=False)
class ImportTask:
    """
    An import task.

    :param region: the region that holds it.
    :param fields: its fields that are set, by their names in the API.
    :param number: a number larger than that of every earlier task.
    :param has_archive: True if it has an error archive.
    :param rows: the records that the account holds from it.
    :param delete_history: True if it is no longer described once it is deleted.
    :param created: when it was created, by the monotonic clock.
    :param reason: the reason for the status of its import, which AWS does not return.
    """

    region: str
    fields: dict[str, Any]
    number: int
    has_archive: bool = False
    rows: Sequence[Row] = ()
    delete_history: bool = False
    created: float = field(default_factory=time.monotonic)
    reason: str = ""

    @property
    def id(self) -> str:
        """The task's id."""
        return str(self.fields["importTaskId"])

    @property
    def in_progress(self) -> bool:
        """True if its import is waiting or running."""
        return bool(self.fields["status"] == "IMPORT_IN_PROGRESS")


class ImportTasks:
    """
    All import tasks of the account, oldest first (the emulator's own choice), and the queue of its imports.

    Each operation expects validated request parameters and the region that the request was sent to.

    :param settings: the home region, and the seconds that imports, deletions and tokens last.
    :param deletion_quota: the number of records that can be deleted per region and day.
    :param archive_url: creates a link to the error archive of the task with a given id.
    """

    def __init__(self, settings: Settings, *, deletion_quota: int, archive_url: Callable[[str], str]) -> None:
        self._settings = settings
        self._changed = settings.changed
        self._archive_url = archive_url
        self._tasks: list[ImportTask] = []
        self._numbers = count()
        self._queue: deque[ImportTask] = deque()
        #: The tasks that are being deleted, and when each deletion began, by the monotonic clock.
        self._deletions: dict[ImportTask, float] = {}
        self._deletion_quotas: dict[str, DeletionQuota] = defaultdict(lambda: DeletionQuota(deletion_quota))
        self._closed = False

    # -- operations ------------------------------------------------------------------------------------------

    def get_home_region(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """
        Perform ``GetHomeRegion``, which works in every region.

        https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/API_GetHomeRegion.html

        :return: the response, without ``HomeRegion`` if none is set.
        """
        home_region = self._settings.home_region
        return {} if home_region is None else {"HomeRegion": home_region}

    def start_import_task(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """
        Perform ``StartImportTask``.

        A known token returns its original task, or is refused if the other parameters differ:
        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
        Imports must be started in the home region:
        https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/Welcome.html
        The counts of the new task are 0, as in AWS's sample response.
        AWS does not document how long it remembers a token. The emulator's own choice: in the token's region, for
        ``token_seconds`` from the creation of its task, and no longer than the task is described. The home region is
        checked first.

        :return: the response.
        :raises ServiceError: ``HomeRegionNotSetException`` or ``ResourceInUseException``.
        """
        with self._changed:
            home_region = self._settings.home_region
            if region != home_region:
                where = "is not set" if home_region is None else f"is {home_region}"
                raise ServiceError(
                    "HomeRegionNotSetException",
                    f"The home region {where}; StartImportTask was called in {region}.",
                )
            token = parameters.get("clientRequestToken")
            # A token that was forgotten and used again belongs to the newest of its tasks.
            for task in reversed(self._tasks):
                if token is not None and self._known_token(task) == (region, token):
                    if any(task.fields[field] != parameters[field] for field in ("name", "importUrl")):
                        raise ServiceError(
                            "ResourceInUseException",
                            f"The client request token is in use by {task.id} with other parameters.",
                        )
                    return {"task": self._describe(task)}
            task = self._add(region, {**dict.fromkeys(_COUNTS, 0), **parameters})
            self._queue.append(task)
            self._changed.notify_all()
            return {"task": self._describe(task)}

    def describe_import_tasks(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """
        Perform ``DescribeImportTasks``, which is also permitted outside of the home region.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_DescribeImportTasks.html
        https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/Welcome.html
        The emulator's own choices: without ``maxResults``, a page holds as many tasks as the API allows. An unknown id
        is not an error, but a page token that the emulator did not create is. If tasks disappear between two pages, the
        next page neither skips nor repeats a task.

        :return: the response, with ``nextToken`` if there are more tasks.
        :raises ServiceError: ``InvalidParameterValueException``.
        """
        page_size = parameters.get("maxResults", limits.IMPORT_TASK_PAGE_SIZE)
        first = parse_page_token("import-task", parameters["nextToken"]) if "nextToken" in parameters else 0
        with self._changed:
            matching = [
                task
                for task in self._tasks
                if task.number >= first
                and task.region == region
                and _matches(task.fields, parameters.get("filters", ()))
            ]
            response: dict[str, Any] = {"tasks": [self._describe(task) for task in matching[:page_size]]}
        if len(matching) > page_size:
            response["nextToken"] = page_token("import-task", matching[page_size].number)
        return response

    def batch_delete_import_data(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """
        Perform ``BatchDeleteImportData``, which is also permitted outside of the home region.

        An error of one task does not affect the others. With ``deleteHistory``, a deleted task is no longer described:
        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html
        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportDataError.html
        https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/Welcome.html
        The emulator's own choices:

        - A task whose records (``serverImportSuccess``) exceed what remains of the day's quota is ``OVER_LIMIT`` and
          does not change. Only :meth:`update_import_task` can set ``DELETE_FAILED_LIMIT_EXCEEDED``.
        - A task whose import is waiting or running is ``INTERNAL_SERVER_ERROR``, and its import continues: AWS
          documents no way to cancel one.
        - A task that is being deleted, or has been deleted, is accepted without an error, and its records do not count
          again. With ``deleteHistory``, the former disappears when it is deleted, the latter immediately.
        - A task with any other status is deleted, even if its import or an earlier deletion failed.
        - Its records count as deleted today, and the account holds them until the deletion is complete. The task keeps
          its counts.

        :return: the response; ``errors`` is empty if there are none.
        """
        delete_history = parameters.get("deleteHistory", False)
        errors = []
        with self._changed:
            now = current_time()
            for import_task_id in parameters["importTaskIds"]:
                if refusal := self._delete(region, import_task_id, delete_history, now):
                    code, description = refusal
                    errors.append({"importTaskId": import_task_id, "errorCode": code, "errorDescription": description})
        return {"errors": errors}

    # -- for tests -------------------------------------------------------------------------------------------

    def add_import_task(self, fields: Mapping[str, Any]) -> str:
        """Add a task: :meth:`airflow_provider_ads.emulator.AdsEmulator.add_import_task`."""
        _check_names(fields)
        with self._changed:
            if self._settings.home_region is None:
                raise ValueError("An import task needs a home region, and home_region is None.")
            return self._add(self._settings.home_region, fields).id

    def update_import_task(self, import_task_id: str, fields: Mapping[str, Any]) -> None:
        """Change fields of a task: :meth:`airflow_provider_ads.emulator.AdsEmulator.update_import_task`."""
        _check_names(fields)
        with self._changed:
            for task in self._tasks:
                if task.id == import_task_id:
                    task.fields.update(fields)
                    if task.fields["status"] != "DELETE_IN_PROGRESS":
                        self._deletions.pop(task, None)
                    self._changed.notify_all()
                    return
        raise KeyError(import_task_id)

    def import_tasks(self) -> list[dict[str, Any]]:
        """List the tasks of every region: :meth:`airflow_provider_ads.emulator.AdsEmulator.import_tasks`."""
        with self._changed:
            return [self._describe(task) for task in self._tasks]

    # -- for the page ----------------------------------------------------------------------------------------

    def snapshot(self) -> list[ImportTask]:
        """Copy the tasks of every region, oldest first."""
        with self._changed:
            return [replace(task, fields=task.fields.copy()) for task in self._tasks]

    def deleted_today(self, region: str) -> tuple[int, int]:
        """Return the number of records that were deleted in a region today (UTC), and the quota."""
        with self._changed:
            quota = self._deletion_quotas[region]
            return quota.used(current_time()), quota.records_per_day

    # -- for the processing threads --------------------------------------------------------------------------

    def next_import(self) -> ImportTask | None:
        """Wait for an import to process. Return the oldest one, or None once the tasks are closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            return None if self._closed else self._queue.popleft()

    def wait_import_seconds(self, task: ImportTask) -> bool:
        """Wait as long as an import takes. Return False if the task's status changed or the tasks were closed."""
        started = time.monotonic()
        with self._changed:
            while task.in_progress and not self._closed:
                remaining = started + self._settings.import_seconds - time.monotonic()
                if remaining <= 0:
                    return True
                self._changed.wait(remaining)
        return False

    def imported_rows(self, region: str) -> list[Row]:
        """List the rows that the account holds in a region, in the order in which they were imported."""
        with self._changed:
            return [row for task in self._tasks if task.region == region for row in task.rows]

    def complete(
        self, task: ImportTask, outcome: Mapping[str, Any], *, has_archive: bool = False, rows: Sequence[Row] = ()
    ) -> None:
        """Record the outcome of an import, unless the task's status has changed in the meantime."""
        with self._changed:
            if task.in_progress:
                task.fields |= {**outcome, "importCompletionTime": current_time()}
                task.has_archive = has_archive
                task.rows = rows

    def next_deletion(self) -> ImportTask | None:
        """Wait until the oldest deletion has taken its time. Return its task, or None once the tasks are closed."""
        with self._changed:
            while not self._closed:
                task, began = next(iter(self._deletions.items()), (None, 0.0))
                remaining = None if task is None else began + self._settings.delete_seconds - time.monotonic()
                if remaining is not None and remaining <= 0:
                    return task
                self._changed.wait(remaining)
        return None

    def complete_deletion(self, task: ImportTask) -> None:
        """Release the records of a deleted task, unless its status has changed in the meantime."""
        with self._changed:
            if self._deletions.pop(task, None) is not None:
                task.fields |= {"status": "DELETE_COMPLETE", "importDeletedTime": current_time()}
                task.has_archive = False
                task.rows = ()
                if task.delete_history:
                    self._tasks.remove(task)

    def close(self) -> None:
        """End the processing threads. Imports and deletions that are waiting or running stay as they are."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _add(self, region: str, fields: Mapping[str, Any]) -> ImportTask:
        import_task_id = f"import-task-{uuid4().hex}"
        defaults = {
            "importTaskId": import_task_id,
            "clientRequestToken": str(uuid4()),
            "name": import_task_id,
            "importUrl": f"s3://inventory/{import_task_id}.csv",
            "status": "IMPORT_IN_PROGRESS",
            "importRequestTime": current_time(),
        }
        task = ImportTask(region, {**defaults, **fields}, next(self._numbers))
        self._tasks.append(task)
        return task

    def _delete(self, region: str, import_task_id: str, delete_history: bool, now: datetime) -> tuple[str, str] | None:
        """Delete one task, or return the code and description of its error."""
        task = next((each for each in self._tasks if (each.region, each.id) == (region, import_task_id)), None)
        if task is None:
            return "NOT_FOUND", f"There is no such import task in {region}."
        match task.fields["status"]:
            case "IMPORT_IN_PROGRESS":
                return "INTERNAL_SERVER_ERROR", "The import is waiting or running."
            case "DELETE_IN_PROGRESS":
                task.delete_history |= delete_history
            case "DELETE_COMPLETE":
                if delete_history:
                    self._tasks.remove(task)
            case _:
                records = task.fields.get("serverImportSuccess") or 0
                if not self._deletion_quotas[region].use(records, now):
                    return (
                        "OVER_LIMIT",
                        f"Its {records:,} records exceed the number that can still be deleted today (UTC).",
                    )
                task.fields["status"] = "DELETE_IN_PROGRESS"
                task.delete_history = delete_history
                self._deletions[task] = time.monotonic()
                self._changed.notify_all()
        return None

    def _known_token(self, task: ImportTask) -> tuple[str, str] | None:
        token_seconds = self._settings.token_seconds
        if token_seconds is not None and time.monotonic() - task.created >= token_seconds:
            return None
        return task.region, task.fields["clientRequestToken"]

    def _describe(self, task: ImportTask) -> dict[str, Any]:
        """
        Copy the fields that are set. The emulator's own choice: each call creates a new link to the archive.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html
        """
        link = {"errorsAndFailedEntriesZip": self._archive_url(task.id)} if task.has_archive else {}
        return link | {name: value for name, value in task.fields.items() if value is not None}


def current_time() -> datetime:
    """Return the current time with the service's precision, milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _check_names(fields: Mapping[str, Any]) -> None:
    if unknown := sorted(fields.keys() - _FIELDS):
        raise ValueError(f"An import task has no field {', '.join(unknown)}; it has {', '.join(sorted(_FIELDS))}.")


def _matches(fields: Mapping[str, Any], filters: Sequence[Mapping[str, Any]]) -> bool:
    """
    Return True if a task matches one of the values of every filter; wildcards are not supported.

    If there is a ``STATUS`` filter, the service ignores all others:
    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTaskFilter.html
    """
    status_filters = [each for each in filters if each.get("name") == "STATUS"]
    return all(
        fields.get(_FILTERED_FIELDS[each["name"]]) in each["values"]
        for each in status_filters or filters
        if "name" in each and "values" in each
    )


def page_token(kind: str, number: int) -> str:
    """Return the token of the page that begins with the task with this number."""
    return urlsafe_b64encode(f"{kind} {number}".encode()).decode()


def parse_page_token(kind: str, token: str) -> int:
    """
    Return the number in a page token.

    :raises ServiceError: ``InvalidParameterValueException``, if :func:`page_token` did not create it for this kind.
    """
    try:
        word, number = urlsafe_b64decode(token).decode().split()
        if word == kind:
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise ServiceError("InvalidParameterValueException", "input.nextToken: this service did not create the token.")
