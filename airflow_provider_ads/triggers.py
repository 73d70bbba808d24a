"""Waiting for AWS Application Discovery Service in the triggerer: data in, one event out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ads.change_log import ChangeLog
from airflow_provider_ads.discovery.import_task import (
    DELETION_RUNNING_STATUSES,
    IMPORT_RUNNING_STATUSES,
    ImportTask,
    check_import_task_ids,
    check_name,
    name_some,
)
from airflow_provider_ads.exceptions import AdsCallError, DeletionWaitTimeout, ImportWaitTimeout
from airflow_provider_ads.polling import (
    LONGEST_OUTAGE,
    AwsSettings,
    Poll,
    check_poll_interval,
    poll_import_tasks,
    poll_newest_import_task,
)

__all__ = [
    "DEFERRAL_FAILED",
    "DEFERRAL_GRACE",
    "EARLIEST_EVENT",
    "AdsDeleteImportDataTrigger",
    "AdsImportTaskTrigger",
    "AdsNamedImportTaskTrigger",
]

#: Seconds after its start before which a trigger yields no event. Airflow 3.0 to 3.3 may fail a task whose
#: trigger fires at once: https://github.com/apache/airflow/issues/71580
EARLIEST_EVENT = 5.0

#: Seconds that Airflow's own limit on a deferral lies behind the trigger's deadline: long enough for another
#: triggerer to take the trigger over from one that died, so that the limit is but a net.
DEFERRAL_GRACE = 120.0

#: What Airflow passes as the method to resume with when a deferral failed, in every supported version.
DEFERRAL_FAILED = "__fail__"


class AdsImportTaskTrigger(BaseTrigger):
    """
    Wait until AWS Application Discovery Service (ADS) imports are no longer in progress.

    It yields one event, never more and never none::

        {"status": "finished", "tasks": [summary, ...]}
        {"status": "timeout", "tasks": [summary, ...], "error": None or {"code", "message", "import_task_id"}}
        {"status": "error", "error": {"code", "message", "import_task_id"}}

    The summaries are those of :meth:`~airflow_provider_ads.discovery.import_task.ImportTask.summary`, in the
    order of the ids; after a time-out, a task that was never seen has no status. Whether an import ended well is
    decided on the worker. Nothing is checked before :meth:`run`, because a trigger whose constructor raises ends
    the whole triggerer.

    :param import_task_ids: the imports to wait for.
    :param poll_interval: seconds between two looks at them.
    :param deadline: when to give up, in seconds since the epoch; None for never.
    :param aws_conn_id: the Airflow connection; None for boto3's own credentials.
    :param region_name: the Migration Hub home region; None for that of the connection.
    :param verify: whether certificates are verified, or the path of a CA bundle.
    :param botocore_config: arguments of :class:`botocore.config.Config`.
    """

    #: What the wait is for: that no task is in one of these statuses any more.
    running_statuses: Collection[str] = IMPORT_RUNNING_STATUSES

    #: Whether it is over for a task that the service does not list any more.
    may_vanish = False

    #: What is raised on the worker when the time ran out first.
    wait_timeout = ImportWaitTimeout

    #: What a killed task leaves behind.
    going_on = "going on at AWS, which cannot cancel imports"

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
        super().__init__()  # type: ignore[no-untyped-call]
        self.import_task_ids = import_task_ids
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and every argument, as Airflow stores them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "import_task_ids": self.import_task_ids,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "aws_conn_id": self.aws_conn_id,
                "region_name": self.region_name,
                "verify": self.verify,
                "botocore_config": self.botocore_config,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event, whatever happens."""
        started = time.monotonic()
        try:
            payload = await self._wait()
        except Exception as error:
            if not isinstance(error, AdsCallError):
                self.log.exception("Waiting for %s failed", self._wanted())
            payload = {"status": "error", "error": _describe_error(error)}
        await asyncio.sleep(EARLIEST_EVENT - (time.monotonic() - started))
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Say that the imports go on, when a user clears or marks the deferred task (Airflow 3.3 and later)."""
        self.log.warning("The task was cleared or marked while it waited. %s: %s", self._about(), self.going_on)

    def _about(self) -> str:
        return name_some(self.import_task_ids)

    def _wanted(self) -> Any:
        # As it is: it may be nonsense.
        return self.import_task_ids

    def _polls(self, settings: AwsSettings, poll_interval: float) -> AsyncGenerator[Poll, None]:
        import_task_ids = check_import_task_ids(self.import_task_ids)
        return poll_import_tasks(settings, import_task_ids, poll_interval, self.running_statuses, self.may_vanish)

    def _last_seen(self, poll: Poll) -> list[ImportTask]:
        import_task_ids = check_import_task_ids(self.import_task_ids)
        return [poll.import_tasks.get(id_, ImportTask(import_task_id=id_)) for id_ in import_task_ids]

    async def _wait(self) -> dict[str, Any]:
        poll_interval = check_poll_interval(self.poll_interval)
        settings = AwsSettings(self.aws_conn_id, self.region_name, self.verify, self.botocore_config)
        poll = Poll({})
        outage_began: float | None = None
        log = ChangeLog(self.log)
        timer = asyncio.timeout(None if self.deadline is None else self.deadline - time.time())
        try:
            async with timer, aclosing(self._polls(settings, poll_interval)) as polls:
                async for poll in polls:
                    log.write(poll)
                    if poll.error is None:
                        outage_began = None
                        continue
                    outage_began = outage_began or time.monotonic()
                    if self.deadline is None and time.monotonic() - outage_began > LONGEST_OUTAGE:
                        raise poll.error
        except TimeoutError:
            if not timer.expired():
                raise
        seen = [task.summary() for task in self._last_seen(poll)]
        if timer.expired():
            error = None if poll.error is None else _describe_error(poll.error)
            return {"status": "timeout", "tasks": seen, "error": error}
        return {"status": "finished", "tasks": seen}

    @classmethod
    def read_event(cls, event: Any) -> list[ImportTask]:
        """
        Read on the worker what a trigger yielded.

        :param event: what Airflow handed over; it crossed the metadata database, and another version of this
            package may have written it.
        :return: the tasks, all of which have left the running statuses.
        :raises ImportWaitTimeout: the deadline passed first; :attr:`wait_timeout`, to be exact.
        :raises AdsCallError: the trigger could not go on, or the event is none of its own.
        """
        try:
            status = event["status"]
            if status == "error":
                raise AdsCallError(**event["error"])
            import_tasks = [ImportTask.from_response(summary) for summary in event["tasks"]]
            if status == "timeout":
                error = event.get("error")
                raise cls.wait_timeout(event["tasks"], error and error["message"])
            if (
                status != "finished"
                or not import_tasks
                or any(task.status in cls.running_statuses for task in import_tasks)
            ):
                raise ValueError(status)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise AdsCallError(
                f"The task was resumed with an event that no trigger of airflow-provider-ads yields: {event!r}. If the "
                "triggerer and the worker run different versions of airflow-provider-ads, bring them to the same one.",
                code="UnexpectedEvent",
            ) from error
        return import_tasks

    @classmethod
    def deferral_failure(cls, next_kwargs: Mapping[str, Any] | None, about: str) -> AdsCallError:
        """
        Say what became of a deferral that failed, which Airflow itself reports without a name.

        :param next_kwargs: what Airflow resumes the task with instead of an event.
        :param about: which imports were waited for.
        :return: :attr:`wait_timeout` if Airflow's own limit on the deferral passed, else that the trigger crashed.
        """
        reason = str((next_kwargs or {}).get("error"))
        if "timeout" in reason.lower():
            return cls.wait_timeout([], None)
        return AdsCallError(
            f"The trigger that waited for {about} crashed ({reason}); the log above says why. "
            f"{cls.wait_timeout.goes_on}",
            code="TriggerFailure",
        )


class AdsNamedImportTaskTrigger(AdsImportTaskTrigger):
    """
    Wait until the newest AWS Application Discovery Service (ADS) import of a name is no longer in progress.

    It waits as long as there is none, and turns to a newer one as soon as that is listed. Events are those of
    :class:`AdsImportTaskTrigger` with one summary, or, after a time-out, none if no import of that name was seen.

    :param name: the exact name of the import.
    :param import_task_ids: the id of the import of that name that was seen before the wait; empty if there was none.
    :param arguments: the other parameters of :class:`AdsImportTaskTrigger`.
    """

    going_on = "if it was started, it goes on at AWS, which cannot cancel imports"

    def __init__(self, name: str, import_task_ids: Sequence[str], **arguments: Any) -> None:
        super().__init__(import_task_ids, **arguments)
        self.name = name

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and every argument, as Airflow stores them."""
        classpath, arguments = super().serialize()
        return classpath, {"name": self.name, **arguments}

    def _about(self) -> str:
        return f"The newest import named {self.name!r}"

    def _wanted(self) -> Any:
        return self.name

    def _polls(self, settings: AwsSettings, poll_interval: float) -> AsyncGenerator[Poll, None]:
        return poll_newest_import_task(settings, check_name(self.name), poll_interval, self.running_statuses)

    def _last_seen(self, poll: Poll) -> list[ImportTask]:
        # The triggerer may have had no time to look, and an import that was seen before is not one that was not seen.
        return list(poll.import_tasks.values()) or [ImportTask(import_task_id=id_) for id_ in self.import_task_ids]


class AdsDeleteImportDataTrigger(AdsImportTaskTrigger):
    """
    Wait until the data of AWS Application Discovery Service (ADS) imports are deleted, or could not be.

    Parameters and events are those of :class:`AdsImportTaskTrigger`. The summary of an import that the service does
    not list any more, because it was deleted with its history, has no status.
    """

    running_statuses = DELETION_RUNNING_STATUSES
    may_vanish = True
    wait_timeout = DeletionWaitTimeout
    going_on = "the deletion of its data goes on at AWS"


def _describe_error(error: Exception) -> dict[str, Any]:
    if isinstance(error, AdsCallError):
        return {"code": error.code, "message": str(error), "import_task_id": error.import_task_id}
    return {
        "code": type(error).__name__,
        "message": f"{type(error).__name__}: {error}",
        "import_task_id": None,
    }
