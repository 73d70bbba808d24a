"""The import tasks: what the service keeps about them, and its rules for starting, describing and deleting them."""

from __future__ import annotations

import binascii
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from threading import Condition
from typing import Any, cast
from uuid import uuid4

from botocore.model import StructureShape

from airflow_provider_ads.discovery import limits
from airflow_provider_ads.emulator.arguments import is_number
from airflow_provider_ads.emulator.errors import ServiceError
from airflow_provider_ads.emulator.import_quotas import DeletionQuota
from airflow_provider_ads.emulator.import_rows import Row
from airflow_provider_ads.emulator.protocol import SERVICES

__all__ = ["ImportTask", "ImportTasks"]

_FIELDS = frozenset(cast(StructureShape, SERVICES["AWSPoseidonService_V2015_11_01"].shape_for("ImportTask")).members)

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
    One import task.

    :param region: the region that holds it.
    :param fields: its fields that are set, by their names in the API.
    :param number: larger than that of every earlier task.
    :param has_archive: whether there is an error archive of it.
    :param rows: the records that the account holds from it.
    :param delete_history: whether it is described no more once it is deleted.
    :param made: when it was made, by the monotonic clock.
    """

    region: str
    fields: dict[str, Any]
    number: int
    has_archive: bool = False
    rows: Sequence[Row] = ()
    delete_history: bool = False
    made: float = field(default_factory=time.monotonic)

    @property
    def id(self) -> str:
        """The task's id."""
        return str(self.fields["importTaskId"])

    @property
    def in_progress(self) -> bool:
        """Whether its import waits or runs."""
        return bool(self.fields["status"] == "IMPORT_IN_PROGRESS")


class ImportTasks:
    """
    Every import task of the account, oldest first (the emulator's own choice), and the queue of its imports.

    Each operation takes the request's parameters, checked already, and the region it was sent to.

    :param home_region: the Migration Hub home region; None: not set.
    :param import_seconds: seconds that each import takes.
    :param delete_seconds: seconds that each deletion takes.
    :param deletion_quota: records that may be deleted in a region a day.
    :param archive_url: makes a link to the error archive of the task with this id.
    :param token_seconds: seconds for which a client request token is known, from the start of its import on; None: for
        ever.
    :raises ValueError: if ``import_seconds``, ``delete_seconds`` or ``token_seconds`` is not a finite number of 0 or
        more.
    """

    def __init__(
        self,
        *,
        home_region: str | None,
        import_seconds: float,
        delete_seconds: float,
        deletion_quota: int,
        archive_url: Callable[[str], str],
        token_seconds: float | None = None,
    ) -> None:
        self.home_region = home_region
        self._archive_url = archive_url
        self._tasks: list[ImportTask] = []
        self._numbers = count()
        self._queue: deque[ImportTask] = deque()
        #: The tasks that are being deleted, and when that began, by the monotonic clock.
        self._deletions: dict[ImportTask, float] = {}
        self._deletion_quotas: dict[str, DeletionQuota] = defaultdict(lambda: DeletionQuota(deletion_quota))
        self._closed = False
        self._changed = Condition()
        self.import_seconds = import_seconds
        self.delete_seconds = delete_seconds
        self.token_seconds = token_seconds

    @property
    def import_seconds(self) -> float:
        """Seconds that each import takes; a change also concerns the one that is running."""
        return self._import_seconds

    @import_seconds.setter
    def import_seconds(self, seconds: float) -> None:
        if not is_number(seconds) or seconds < 0:
            raise ValueError(f"import_seconds is a finite number of 0 or more, not {seconds!r}.")
        with self._changed:
            self._import_seconds = seconds
            self._changed.notify_all()

    @property
    def delete_seconds(self) -> float:
        """Seconds that each deletion takes; a change also concerns those that are running."""
        return self._delete_seconds

    @delete_seconds.setter
    def delete_seconds(self, seconds: float) -> None:
        if not is_number(seconds) or seconds < 0:
            raise ValueError(f"delete_seconds is a finite number of 0 or more, not {seconds!r}.")
        with self._changed:
            self._delete_seconds = seconds
            self._changed.notify_all()

    @property
    def token_seconds(self) -> float | None:
        """Seconds after its import was started for which a client request token is known; None: for ever."""
        return self._token_seconds

    @token_seconds.setter
    def token_seconds(self, seconds: float | None) -> None:
        if seconds is not None and (not is_number(seconds) or seconds < 0):
            raise ValueError(f"token_seconds is None or a finite number of 0 or more, not {seconds!r}.")
        self._token_seconds = seconds

    # -- the operations --------------------------------------------------------------------------------------

    def get_home_region(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """
        Answer ``GetHomeRegion``, from every region.

        https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/API_GetHomeRegion.html

        :return: the answer, without ``HomeRegion`` if none is set.
        """
        home_region = self.home_region
        return {} if home_region is None else {"HomeRegion": home_region}

    def start_import_task(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """
        Answer ``StartImportTask``.

        A token that is known returns its original task, or is refused if the other parameters differ:
        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
        Imports belong in the home region:
        https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/Welcome.html
        AWS does not document how long a token is known. The emulator's own choice: in its region, for
        :attr:`token_seconds` from when its task was made, and no longer than the task is described; the home region is
        checked first.

        :return: the answer.
        :raises ServiceError: ``HomeRegionNotSetException`` or ``ResourceInUseException``.
        """
        with self._changed:
            if region != self.home_region:
                where = "is not set" if self.home_region is None else f"is {self.home_region}"
                raise ServiceError(
                    "HomeRegionNotSetException",
                    f"The home region {where}; StartImportTask was called in {region}.",
                )
            token = parameters.get("clientRequestToken")
            for task in reversed(self._tasks):  # a token that was forgotten and used again is its last task's
                if token is not None and self._known_token(task) == (region, token):
                    if any(task.fields[field] != parameters[field] for field in ("name", "importUrl")):
                        raise ServiceError(
                            "ResourceInUseException",
                            f"The client request token is in use by {task.id} with other parameters.",
                        )
                    return {"task": self._describe(task)}
            task = self._add(region, dict(parameters))
            self._queue.append(task)
            self._changed.notify_all()
            return {"task": self._describe(task)}

    def describe_import_tasks(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """
        Answer ``DescribeImportTasks``, which is permitted outside of the home region too.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_DescribeImportTasks.html
        https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/Welcome.html
        The emulator's own choice: a page holds as many tasks as the API allows if ``maxResults`` is not
        given, an id that is not known is no error, and a token that this service did not make is one. Tasks that
        vanish between two pages make the next one neither skip a task nor repeat one.

        :return: the answer, with ``nextToken`` if there are more tasks.
        :raises ServiceError: ``InvalidParameterValueException``.
        """
        page_size = parameters.get("maxResults", limits.IMPORT_TASK_PAGE_SIZE)
        first = _parse_page_token(parameters["nextToken"]) if "nextToken" in parameters else 0
        with self._changed:
            matching = [
                task
                for task in self._tasks
                if task.number >= first
                and task.region == region
                and _matches(task.fields, parameters.get("filters", ()))
            ]
            answer: dict[str, Any] = {"tasks": [self._describe(task) for task in matching[:page_size]]}
        if len(matching) > page_size:
            answer["nextToken"] = _page_token(matching[page_size].number)
        return answer

    def batch_delete_import_data(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """
        Answer ``BatchDeleteImportData``, which is permitted outside of the home region too.

        What is wrong with one task does not keep the others; with ``deleteHistory`` a task that is deleted is not
        described any more:
        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html
        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportDataError.html
        https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/Welcome.html
        The emulator's own choice:

        - A task with more records (its ``serverImportSuccess``) than may still be deleted today is ``OVER_LIMIT`` and
          stays as it is. Nothing becomes ``DELETE_FAILED_LIMIT_EXCEEDED``, except by :meth:`update_import_task`.
        - A task whose import waits or runs is ``INTERNAL_SERVER_ERROR``, and its import goes on: AWS documents no way
          to cancel one.
        - A task that is being deleted, or is deleted, is taken without an error, and its records do not count again.
          With ``deleteHistory`` the first vanishes when it is deleted, the second at once.
        - A task of any other status is deleted, also one whose import or earlier deletion failed.
        - Its records count as deleted today, and the account holds them until the deletion is done. The task goes on to
          tell how many they were.

        :return: the answer; ``errors`` is empty if there are none.
        """
        delete_history = parameters.get("deleteHistory", False)
        errors = []
        with self._changed:
            now = _now()
            for import_task_id in parameters["importTaskIds"]:
                if refusal := self._delete(region, import_task_id, delete_history, now):
                    code, description = refusal
                    errors.append({"importTaskId": import_task_id, "errorCode": code, "errorDescription": description})
        return {"errors": errors}

    # -- for tests -------------------------------------------------------------------------------------------

    def add_import_task(self, fields: Mapping[str, Any]) -> str:
        """
        Put a task into the home region as if it had been there; nothing is imported.

        :param fields: fields by their names in the API.
        :return: the task's id.
        :raises ValueError: if a field's name is not known or no home region is set.
        """
        _check_names(fields)
        with self._changed:
            if self.home_region is None:
                raise ValueError("An import task needs a home region, and home_region is None.")
            return self._add(self.home_region, fields).id

    def update_import_task(self, import_task_id: str, fields: Mapping[str, Any]) -> None:
        """
        Change fields of a task; with another status, an import or a deletion that waits or runs is given up.

        :param import_task_id: the task's id.
        :param fields: fields by their names in the API.
        :raises ValueError: if a field's name is not known.
        :raises KeyError: if there is no such task.
        """
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
        """
        List the tasks of every region.

        :return: what ``DescribeImportTasks`` answers about each; times are aware datetimes.
        """
        with self._changed:
            return [self._describe(task) for task in self._tasks]

    # -- for the import processor ----------------------------------------------------------------------------

    def next_import(self) -> ImportTask | None:
        """
        Wait for an import to do.

        :return: the task that was started first, or None once closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            return None if self._closed else self._queue.popleft()

    def wait_import_seconds(self, task: ImportTask) -> bool:
        """
        Wait as long as an import takes.

        :param task: the task that is being imported.
        :return: whether to go on; not if closed or if the task's status was changed meanwhile.
        """
        started = time.monotonic()
        with self._changed:
            while task.in_progress and not self._closed:
                remaining = started + self._import_seconds - time.monotonic()
                if remaining <= 0:
                    return True
                self._changed.wait(remaining)
        return False

    def imported_rows(self, region: str) -> list[Row]:
        """
        List the records that the account holds from imports.

        :param region: the region that holds them.
        :return: the rows of the import files, in the order they were imported.
        """
        with self._changed:
            return [row for task in self._tasks if task.region == region for row in task.rows]

    def complete(
        self, task: ImportTask, outcome: Mapping[str, Any], *, has_archive: bool = False, rows: Sequence[Row] = ()
    ) -> None:
        """
        Note how an import ended, unless the task's status was changed meanwhile.

        :param task: the task that was imported.
        :param outcome: its fields from now on.
        :param has_archive: whether an error archive was written.
        :param rows: the rows that were imported.
        """
        with self._changed:
            if task.in_progress:
                task.fields |= {**outcome, "importCompletionTime": _now()}
                task.has_archive = has_archive
                task.rows = rows

    # -- for the import deleter ------------------------------------------------------------------------------

    def next_deletion(self) -> ImportTask | None:
        """
        Wait until the time of a deletion is up.

        :return: the task whose deletion was asked for first, or None once closed.
        """
        with self._changed:
            while not self._closed:
                task, began = next(iter(self._deletions.items()), (None, 0.0))
                remaining = None if task is None else began + self._delete_seconds - time.monotonic()
                if remaining is not None and remaining <= 0:
                    return task
                self._changed.wait(remaining)
        return None

    def complete_deletion(self, task: ImportTask) -> None:
        """
        Give back what the account holds from a task, unless the task's status was changed meanwhile.

        :param task: the task to delete.
        """
        with self._changed:
            if self._deletions.pop(task, None) is not None:
                task.fields |= {"status": "DELETE_COMPLETE", "importDeletedTime": _now()}
                task.has_archive = False
                task.rows = ()
                if task.delete_history:
                    self._tasks.remove(task)

    def close(self) -> None:
        """Let the import processor and the import deleter end; what waits or runs stays as it is."""
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
            "importRequestTime": _now(),
        }
        task = ImportTask(region, {**defaults, **fields}, next(self._numbers))
        self._tasks.append(task)
        return task

    def _delete(self, region: str, import_task_id: str, delete_history: bool, now: datetime) -> tuple[str, str] | None:
        """Delete one task, or return code and description of the error that it gets."""
        task = next((each for each in self._tasks if (each.region, each.id) == (region, import_task_id)), None)
        if task is None:
            return "NOT_FOUND", f"There is no such import task in {region}."
        match task.fields["status"]:
            case "IMPORT_IN_PROGRESS":
                return "INTERNAL_SERVER_ERROR", "The import waits or runs."
            case "DELETE_IN_PROGRESS":
                task.delete_history |= delete_history
            case "DELETE_COMPLETE":
                if delete_history:
                    self._tasks.remove(task)
            case _:
                records = task.fields.get("serverImportSuccess") or 0
                if not self._deletion_quotas[region].take(records, now):
                    return "OVER_LIMIT", f"It has {records:,} records, more than may still be deleted today (UTC)."
                task.fields["status"] = "DELETE_IN_PROGRESS"
                task.delete_history = delete_history
                self._deletions[task] = time.monotonic()
                self._changed.notify_all()
        return None

    def _known_token(self, task: ImportTask) -> tuple[str, str] | None:
        if self._token_seconds is not None and time.monotonic() - task.made >= self._token_seconds:
            return None
        return task.region, task.fields["clientRequestToken"]

    def _describe(self, task: ImportTask) -> dict[str, Any]:
        """
        Copy the fields that are set. The link is made anew each time: the emulator's own choice.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html
        """
        link = {"errorsAndFailedEntriesZip": self._archive_url(task.id)} if task.has_archive else {}
        return link | {name: value for name, value in task.fields.items() if value is not None}


def _now() -> datetime:
    """Tell the time, as exactly as the service's answers do."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _check_names(fields: Mapping[str, Any]) -> None:
    if unknown := sorted(fields.keys() - _FIELDS):
        raise ValueError(f"An import task has no field {', '.join(unknown)}; it has {', '.join(sorted(_FIELDS))}.")


def _matches(fields: Mapping[str, Any], filters: Sequence[Mapping[str, Any]]) -> bool:
    """
    Tell whether a task passes every filter by one of its values; wildcards are not supported.

    With a ``STATUS`` filter the service ignores all the others:
    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTaskFilter.html
    """
    status_filters = [each for each in filters if each.get("name") == "STATUS"]
    return all(
        fields.get(_FILTERED_FIELDS[each["name"]]) in each["values"]
        for each in status_filters or filters
        if "name" in each and "values" in each
    )


def _page_token(number: int) -> str:
    return urlsafe_b64encode(f"import-task {number}".encode()).decode()


def _parse_page_token(token: str) -> int:
    try:
        word, number = urlsafe_b64decode(token).decode().split()
        if word == "import-task":
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise ServiceError("InvalidParameterValueException", "input.nextToken: not a token of this service.")
