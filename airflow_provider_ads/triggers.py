"""Triggers that wait for AWS Application Discovery Service in the triggerer and yield one event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ads.clients import AwsSettings
from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.export_task import ExportTask
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import (
    as_list,
    check_export_ids,
    check_import_task_ids,
    check_name,
    check_poll_interval,
    summarize_ids,
)
from airflow_provider_ads.discovery.record import TaskRecord
from airflow_provider_ads.exceptions import AdsCallError, DeletionWaitTimeout, ExportWaitTimeout, ImportWaitTimeout
from airflow_provider_ads.polling import Poll, poll_export_tasks, poll_import_tasks, poll_newest_import_task
from airflow_provider_ads.progress import Outage, ProgressLog

__all__ = [
    "DEFERRAL_FAILED",
    "DEFERRAL_GRACE",
    "EARLIEST_EVENT",
    "NO_TRIGGERER",
    "AdsDeleteImportDataTrigger",
    "AdsExportTrigger",
    "AdsImportTaskTrigger",
    "AdsNamedImportTaskTrigger",
    "AdsWaitTrigger",
]

T = TypeVar("T", bound=TaskRecord)

#: Minimum number of seconds between a trigger's start and its event. Airflow 3.0 to 3.3 can fail a task whose trigger
#: fires immediately: https://github.com/apache/airflow/issues/71580
EARLIEST_EVENT = 5.0

#: Seconds by which Airflow's own limit on a deferral exceeds the trigger's deadline: enough time for another triggerer
#: to take over from one that died, so that the limit is only a safety net.
DEFERRAL_GRACE = 120.0

#: The method name with which every supported version of Airflow resumes a task whose deferral failed.
DEFERRAL_FAILED = "__fail__"

#: The error of a wait that Airflow itself ended because the deferral timed out.
NO_TRIGGERER = "no triggerer has answered in time; check that one is running."


class AdsWaitTrigger(BaseTrigger, Generic[T]):
    """
    AWS Application Discovery Service (ADS): base class for triggers that wait until tasks of the service have ended.

    A trigger always yields exactly one event::

        {"status": "finished", "tasks": [summary, ...]}
        {"status": "timeout", "tasks": [summary, ...], "error": None or {"code", "message", "import_task_id"}}
        {"status": "error", "error": {"code", "message", "import_task_id"}}

    The summaries are those of the records, such as
    :meth:`~airflow_provider_ads.discovery.import_task.ImportTask.summary`, in the order of the ids. After a timeout, a
    task that was never listed has no status. The worker decides if a task succeeded. Parameters are not checked before
    :meth:`run`, because a constructor that raises ends the whole triggerer.

    :param poll_interval: seconds between two polls.
    :param deadline: when the wait times out, in seconds since the epoch; None for never.
    :param aws_conn_id: the Airflow connection; None for boto3's default credentials.
    :param region_name: the Migration Hub home region; None for the connection's region.
    :param verify: False to skip the verification of certificates, or the path of a CA bundle.
    :param botocore_config: arguments for :class:`botocore.config.Config`.
    """

    #: The class of the tasks that the trigger waits for.
    record: type[T]

    #: Returns True for a status that the trigger continues to wait for.
    is_running: Callable[[str | None], bool]

    #: True if a task that the service does not list counts as done.
    unlisted_is_done = False

    #: The exception that a timeout raises on the worker.
    wait_timeout: type[ImportWaitTimeout]

    #: State of the tasks after the waiting task was killed; completes a log sentence.
    continuation: str

    def __init__(
        self,
        poll_interval: float,
        deadline: float | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the tasks, unchecked."""
        raise NotImplementedError

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and every argument, as Airflow stores them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "aws_conn_id": self.aws_conn_id,
                "region_name": self.region_name,
                "verify": self.verify,
                "botocore_config": self.botocore_config,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait and yield the event, even if something fails."""
        started = time.monotonic()
        try:
            payload = await self._wait()
        except Exception as error:
            if not isinstance(error, AdsCallError):
                self.log.exception("Waiting for %s failed", self._subject())
            payload = {"status": "error", "error": _describe_error(error)}
        await asyncio.sleep(EARLIEST_EVENT - (time.monotonic() - started))
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Log that the tasks continue at AWS, if a user clears the deferred task or sets its state (Airflow 3.3+)."""
        self.log.warning(
            "The waiting task was cleared, or its state was set. %s %s", self._subject(), self.continuation
        )

    def _subject(self) -> str:
        # The ids are unchecked and can be anything.
        ids = as_list(self.ids)
        return summarize_ids([str(id_) for id_ in ids]) if ids else "No import"

    def _polls(self, settings: AwsSettings, poll_interval: float) -> AsyncGenerator[Poll, None]:
        raise NotImplementedError

    def _last_seen(self, poll: Poll) -> list[TaskRecord]:
        return [poll.tasks.get(id_) or self.record.from_id(id_) for id_ in as_list(self.ids)]

    async def _wait(self) -> dict[str, Any]:
        poll_interval = check_poll_interval(self.poll_interval)
        settings = AwsSettings(self.aws_conn_id, self.region_name, self.verify, self.botocore_config)
        poll = Poll({})
        outage = Outage()
        progress = ProgressLog(self.log, self.is_running)
        timer = asyncio.timeout(None if self.deadline is None else self.deadline - time.time())
        try:
            async with timer, aclosing(self._polls(settings, poll_interval)) as polls:
                async for poll in polls:
                    progress.write(poll)
                    if self.deadline is None:
                        outage.check(poll.error)
        except TimeoutError:
            if not timer.expired():
                raise
        seen = [task.summary() for task in self._last_seen(poll)]
        if timer.expired():
            error = None if poll.error is None else _describe_error(poll.error)
            return {"status": "timeout", "tasks": seen, "error": error}
        return {"status": "finished", "tasks": seen}

    @classmethod
    def read_event(cls, event: Any) -> list[T]:
        """
        Return the tasks of an event on the worker.

        :param event: the event as Airflow passes it on. It comes from the metadata database, where another version of
            this package can have written it.
        :return: the records of the tasks, none of which is running.
        :raises ImportWaitTimeout: the deadline passed first; the exact class is :attr:`wait_timeout`.
        :raises AdsCallError: the trigger could not continue, or the event is not one of its own.
        """
        try:
            status = event["status"]
            if status == "error":
                raise AdsCallError(**event["error"])
            tasks = [cls.record.from_response(summary) for summary in event["tasks"]]
            if status == "timeout":
                error = event.get("error")
                raise cls.wait_timeout(event["tasks"], error and error["message"])
            if status != "finished" or not tasks or any(cls.is_running(task.status) for task in tasks):
                raise ValueError(status)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise AdsCallError(
                "Install the same version of airflow-provider-ads for the triggerer and the workers.\n"
                f"The task was resumed with an event that no trigger of this version yields: {event!r}.",
                code="UnexpectedEvent",
            ) from None
        return tasks

    @classmethod
    def deferral_failure(cls, next_kwargs: Mapping[str, Any] | None, about: str) -> AdsCallError | None:
        """
        Return the error for a crashed trigger, which Airflow reports without naming what it waited for.

        :param next_kwargs: the arguments with which Airflow resumes the task instead of an event.
        :param about: the awaited imports or export, for the message.
        :return: the error; None if the trigger did not crash, but Airflow's own limit on the deferral passed.
        """
        reason = str((next_kwargs or {}).get("error"))
        if "timeout" in reason.lower():
            return None
        return AdsCallError(
            f"See the log above, and run the task again: the trigger that waited for {about} crashed ({reason}).",
            code="TriggerFailure",
        )


class AdsImportTaskTrigger(AdsWaitTrigger[ImportTask]):
    """
    Wait until AWS Application Discovery Service (ADS) imports are no longer in progress.

    Events are those of :class:`AdsWaitTrigger`, with summaries of
    :class:`~airflow_provider_ads.discovery.import_task.ImportTask`.

    :param import_task_ids: the imports to wait for.
    :param poll_interval: seconds between two polls.
    :param deadline: when the wait times out, in seconds since the epoch; None for never.
    :param aws_conn_id: the Airflow connection; None for boto3's default credentials.
    :param region_name: the Migration Hub home region; None for the connection's region.
    :param verify: False to skip the verification of certificates, or the path of a CA bundle.
    :param botocore_config: arguments for :class:`botocore.config.Config`.
    """

    record = ImportTask
    is_running = staticmethod(statuses.is_running)
    wait_timeout = ImportWaitTimeout
    continuation = "keeps running at AWS, which cannot cancel imports"

    def __init__(
        self,
        import_task_ids: Sequence[str],
        poll_interval: float,
        deadline: float | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(poll_interval, deadline, aws_conn_id, region_name, verify, botocore_config)
        self.import_task_ids = import_task_ids

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the imports, unchecked."""
        return self.import_task_ids

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and every argument, as Airflow stores them."""
        classpath, arguments = super().serialize()
        return classpath, {"import_task_ids": self.import_task_ids, **arguments}

    def _polls(self, settings: AwsSettings, poll_interval: float) -> AsyncGenerator[Poll, None]:
        import_task_ids = check_import_task_ids(self.import_task_ids)
        return poll_import_tasks(settings, import_task_ids, poll_interval, self.is_running, self.unlisted_is_done)


class AdsNamedImportTaskTrigger(AdsImportTaskTrigger):
    """
    Wait until the newest AWS Application Discovery Service (ADS) import of a name is no longer in progress.

    It also waits until there is such an import, and switches to a newer one as soon as that is listed. Events are those
    of :class:`AdsImportTaskTrigger` with one summary, or with none after a timeout if no such import was listed.

    :param name: the exact name of the import.
    :param import_task_ids: the id of the import with that name that was listed before the wait; empty if there was
        none.
    :param arguments: the other parameters of :class:`AdsImportTaskTrigger`.
    """

    continuation = "keeps running at AWS if it was started; AWS cannot cancel imports"

    def __init__(self, name: str, import_task_ids: Sequence[str], **arguments: Any) -> None:
        super().__init__(import_task_ids, **arguments)
        self.name = name

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and every argument, as Airflow stores them."""
        classpath, arguments = super().serialize()
        return classpath, {"name": self.name, **arguments}

    def _subject(self) -> str:
        return f"The newest import named {self.name!r}"

    def _polls(self, settings: AwsSettings, poll_interval: float) -> AsyncGenerator[Poll, None]:
        return poll_newest_import_task(settings, check_name(self.name), poll_interval, self.is_running)

    def _last_seen(self, poll: Poll) -> list[TaskRecord]:
        # If no poll succeeded, the import that was listed before the wait still counts as listed.
        return list(poll.tasks.values()) or [ImportTask(import_task_id=id_) for id_ in self.import_task_ids]


class AdsDeleteImportDataTrigger(AdsImportTaskTrigger):
    """
    Wait until the data of AWS Application Discovery Service (ADS) imports is deleted or its deletion has failed.

    Parameters and events are those of :class:`AdsImportTaskTrigger`. The summary of an import that the service no
    longer lists, because it was deleted with its history, has no status.
    """

    is_running = staticmethod(statuses.is_deletion_running)
    unlisted_is_done = True
    wait_timeout = DeletionWaitTimeout
    continuation = "is still being deleted at AWS"


class AdsExportTrigger(AdsWaitTrigger[ExportTask]):
    """
    Wait until an AWS Application Discovery Service (ADS) export is no longer in progress.

    Events are those of :class:`AdsWaitTrigger`, with the summary of an
    :class:`~airflow_provider_ads.discovery.export_task.ExportTask`, which does not contain the download URL.

    :param export_id: the export to wait for.
    :param arguments: the parameters of :class:`AdsWaitTrigger`.
    """

    record = ExportTask
    is_running = staticmethod(statuses.is_export_running)
    wait_timeout = ExportWaitTimeout
    continuation = "continues at AWS, which cannot cancel exports"

    def __init__(self, export_id: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.export_id = export_id

    @property
    def ids(self) -> Sequence[str]:
        """The id of the export, unchecked."""
        return [self.export_id]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and every argument, as Airflow stores them."""
        classpath, arguments = super().serialize()
        return classpath, {"export_id": self.export_id, **arguments}

    def _polls(self, settings: AwsSettings, poll_interval: float) -> AsyncGenerator[Poll, None]:
        return poll_export_tasks(settings, check_export_ids(self.export_id), poll_interval, self.is_running)


def _describe_error(error: Exception) -> dict[str, Any]:
    if isinstance(error, AdsCallError):
        return {"code": error.code, "message": str(error), "import_task_id": error.import_task_id}
    name = type(error).__name__
    return {"code": name, "message": f"{name}: {error}", "import_task_id": None}
