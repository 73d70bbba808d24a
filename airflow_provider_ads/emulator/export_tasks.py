"""
The state of the service's export tasks, and the rules for starting and describing them.

Where AWS documents nothing, the emulator's own choices are:

- An export must be started in the home region, like an import, and can be described in every region.
- Exports run at the same time. AWS documents limits only for exports of a single agent, five at a time and two a day,
  and the emulator has no agents: such an export is refused.
- An export contains what the account holds when it ends. AWS's exports can lag behind imports; the emulator's do not.
- Preferences with ``enabled`` false have no effect.
- An id is ``export-`` and a UUID. Exports stay listed, oldest first. The archives of the newest 20 are kept.
- A page holds 1 to 100 tasks. More than 100 ids are refused, and an unknown id is not an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, cast
from uuid import uuid4

from botocore.model import StructureShape

from airflow_provider_ads.discovery import limits
from airflow_provider_ads.emulator.import_tasks import current_time, page_token, parse_page_token
from airflow_provider_ads.emulator.protocol import DISCOVERY, ServiceError
from airflow_provider_ads.emulator.settings import Settings

__all__ = ["ExportTask", "ExportTasks"]

_FIELDS = frozenset(cast(StructureShape, DISCOVERY.shape_for("ExportInfo")).members)

#: The message of each status, unless a fault sets another one. AWS does not document today's messages; an early AWS SDK
#: for Java describes the statuses with such words.
_MESSAGES = {"IN_PROGRESS": "Export in progress", "SUCCEEDED": "Export was successful", "FAILED": "Export failed"}


@dataclass(eq=False)
class ExportTask:
    """
    An export task.

    :param region: the region that holds it.
    :param fields: its fields that are set, by their names in the API.
    :param number: a number larger than that of every earlier task.
    :param outcome: the fields that it gets when it ends.
    :param preferences: the preferences of EC2 recommendations; None for a summary.
    :param has_archive: True if it has an archive.
    :param created: when it was created, by the monotonic clock.
    """

    region: str
    fields: dict[str, Any]
    number: int
    outcome: Mapping[str, Any] = field(default_factory=dict)
    preferences: Mapping[str, Any] | None = None
    has_archive: bool = False
    created: float = field(default_factory=time.monotonic)

    @property
    def id(self) -> str:
        """The task's id."""
        return str(self.fields["exportId"])

    @property
    def in_progress(self) -> bool:
        """True if it has not ended."""
        return bool(self.fields["exportStatus"] == "IN_PROGRESS")


class ExportTasks:
    """
    All export tasks of the account, oldest first (the emulator's own choice).

    Each operation expects validated request parameters and the region that the request was sent to.

    :param settings: the home region, and the seconds that exports last.
    :param archive_url: creates a link to the archive of the task with a given id.
    """

    def __init__(self, settings: Settings, *, archive_url: Callable[[str], str]) -> None:
        self._settings = settings
        self._changed = settings.changed
        self._archive_url = archive_url
        self._tasks: list[ExportTask] = []
        self._numbers = count()
        self._closed = False

    # -- operations ------------------------------------------------------------------------------------------

    def start_export_task(
        self, parameters: Mapping[str, Any], region: str, outcome: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """
        Perform ``StartExportTask``.

        Without preferences, the export is a summary of all servers; with them, it contains EC2 recommendations. Without
        a filter, ``startTime`` and ``endTime`` are ignored:
        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartExportTask.html

        :param outcome: fields that a fault sets when the export ends.
        :return: the response.
        :raises ServiceError: ``HomeRegionNotSetException`` or ``InvalidParameterValueException``.
        """
        with self._changed:
            home_region = self._settings.home_region
            if region != home_region:
                where = "is not set" if home_region is None else f"is {home_region}"
                raise ServiceError(
                    "HomeRegionNotSetException", f"The home region {where}; StartExportTask was called in {region}."
                )
            _check_agent_filters(parameters.get("filters", ()), {"agentIds"})
            if filters := parameters.get("filters"):
                raise ServiceError("InvalidParameterValueException", f"There is no agent {filters[0]['values'][0]}.")
            preferences = parameters.get("preferences", {}).get("ec2RecommendationsPreferences", {})
            task = self._add(region, {})
            task.preferences = preferences if preferences.get("enabled") else None
            task.outcome = outcome or {}
            self._changed.notify_all()
            return {"exportId": task.id}

    def describe_export_tasks(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """
        Perform ``DescribeExportTasks``.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_DescribeExportTasks.html
        AWS's pages call the filter by agent ``agentIds`` and ``AgentId``. The emulator's own choice: it accepts both,
        and they match no task.

        :return: the response, with ``nextToken`` if there are more tasks.
        :raises ServiceError: ``InvalidParameterValueException``.
        """
        ids = parameters.get("exportIds", ())
        if len(ids) > limits.EXPORT_TASK_PAGE_SIZE:
            raise ServiceError(
                "InvalidParameterValueException",
                f"input.exportIds: {len(ids):,} exceeds the maximum of {limits.EXPORT_TASK_PAGE_SIZE}.",
            )
        page_size = parameters.get("maxResults", limits.EXPORT_TASK_PAGE_SIZE)
        if not 1 <= page_size <= limits.EXPORT_TASK_PAGE_SIZE:
            raise ServiceError(
                "InvalidParameterValueException",
                f"input.maxResults: {page_size} is not 1 to {limits.EXPORT_TASK_PAGE_SIZE}.",
            )
        filters = parameters.get("filters", ())
        _check_agent_filters(filters, {"agentIds", "AgentId"})
        first = parse_page_token("export-task", parameters["nextToken"]) if "nextToken" in parameters else 0
        with self._changed:
            matching = [
                task
                for task in self._tasks
                if task.number >= first and task.region == region and not filters and (not ids or task.id in ids)
            ]
            response: dict[str, Any] = {"exportsInfo": [self._describe(task) for task in matching[:page_size]]}
        if len(matching) > page_size:
            response["nextToken"] = page_token("export-task", matching[page_size].number)
        return response

    # -- for tests -------------------------------------------------------------------------------------------

    def add_export_task(self, fields: Mapping[str, Any]) -> str:
        """Add a task: :meth:`airflow_provider_ads.emulator.AdsEmulator.add_export_task`."""
        _check_names(fields)
        with self._changed:
            if self._settings.home_region is None:
                raise ValueError("An export task needs a home region, and home_region is None.")
            # The processing thread never ends it.
            task = self._add(self._settings.home_region, fields)
            task.created = float("inf")
            return task.id

    def update_export_task(self, export_id: str, fields: Mapping[str, Any]) -> None:
        """Change fields of a task: :meth:`airflow_provider_ads.emulator.AdsEmulator.update_export_task`."""
        _check_names(fields)
        with self._changed:
            for task in self._tasks:
                if task.id == export_id:
                    task.fields.update(_with_message(fields))
                    self._changed.notify_all()
                    return
        raise KeyError(export_id)

    def export_tasks(self) -> list[dict[str, Any]]:
        """List the tasks of every region: :meth:`airflow_provider_ads.emulator.AdsEmulator.export_tasks`."""
        with self._changed:
            return [self._describe(task) for task in self._tasks]

    # -- for the page ----------------------------------------------------------------------------------------

    def snapshot(self) -> list[ExportTask]:
        """Copy the tasks of every region, oldest first."""
        with self._changed:
            return [replace(task, fields=task.fields.copy()) for task in self._tasks]

    # -- for the processing thread ---------------------------------------------------------------------------

    def next_export(self) -> ExportTask | None:
        """Wait until the oldest running export has taken its time. Return it, or None once the tasks are closed."""
        with self._changed:
            while not self._closed:
                task = min((each for each in self._tasks if each.in_progress), key=_creation, default=None)
                remaining = None
                if task is not None and task.created != float("inf"):
                    remaining = task.created + self._settings.export_seconds - time.monotonic()
                    if remaining <= 0:
                        return task
                self._changed.wait(remaining)
        return None

    def complete(self, task: ExportTask, outcome: Mapping[str, Any], *, has_archive: bool) -> None:
        """Record the outcome of an export, unless its status has changed in the meantime."""
        with self._changed:
            if task.in_progress:
                task.fields |= _with_message(outcome)
                task.has_archive = has_archive

    def close(self) -> None:
        """End the processing thread. Exports that are running stay as they are."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _add(self, region: str, fields: Mapping[str, Any]) -> ExportTask:
        fields = {"exportStatus": "IN_PROGRESS", **fields}
        defaults = {"exportId": f"export-{uuid4()}", "exportRequestTime": current_time()}
        task = ExportTask(region, {**defaults, **_with_message(fields)}, next(self._numbers))
        self._tasks.append(task)
        return task

    def _describe(self, task: ExportTask) -> dict[str, Any]:
        """
        Copy the fields that are set. The emulator's own choice: each call creates a new link to the archive.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ExportInfo.html
        """
        link = {"configurationsDownloadUrl": self._archive_url(task.id)} if task.has_archive else {}
        return link | {name: value for name, value in task.fields.items() if value is not None}


def _creation(task: ExportTask) -> float:
    return task.created


def _with_message(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Add the message of the status, unless there is another one."""
    status = fields.get("exportStatus")
    return {**({} if status is None else {"statusMessage": _MESSAGES.get(status, str(status))}), **fields}


def _check_names(fields: Mapping[str, Any]) -> None:
    if unknown := sorted(fields.keys() - _FIELDS):
        raise ValueError(f"An export task has no field {', '.join(unknown)}; it has {', '.join(sorted(_FIELDS))}.")


def _check_agent_filters(filters: Any, names: set[str]) -> None:
    """
    Check filters, of which there can be one, for one agent.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ExportFilter.html

    :raises ServiceError: ``InvalidParameterValueException``.
    """
    for each in filters:
        if each["name"] not in names or each["condition"] != "EQUALS" or len(each["values"]) != 1 or len(filters) > 1:
            raise ServiceError(
                "InvalidParameterValueException",
                f"input.filters: the only filter is {' or '.join(sorted(names))} EQUALS with the id of one agent.",
            )
