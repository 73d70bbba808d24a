"""Base classes and functions with which the sensor and the operators wait, defer, resume and end a wait."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from threading import Thread
from typing import Any, TypeVar

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS
from botocore.config import Config

from airflow_provider_ads.discovery.import_table import count_imports, describe_counts, format_table
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import check_poll_interval
from airflow_provider_ads.discovery.verdicts import Verdict, VerdictKind, judge_import
from airflow_provider_ads.exceptions import AdsCallError, AdsError, ImportOutcomeError, ImportWaitTimeout
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.polling import Poll
from airflow_provider_ads.progress import Outage, ProgressLog
from airflow_provider_ads.triggers import (
    DEFERRAL_FAILED,
    DEFERRAL_GRACE,
    NO_TRIGGERER,
    AdsImportTaskTrigger,
    AdsWaitTrigger,
)

__all__ = [
    "IMPORT_TASK_XCOM_KEY",
    "MAX_DEFERRED_IMPORTS",
    "RESUMPTION_MARGIN",
    "AdsDeferrableMixin",
    "AdsWaitingOperator",
    "attach_to_asset_events",
    "end_import_wait",
    "end_wait",
    "push_import_task",
]

#: Key of the summaries in XComs and in the extra of asset events. The XCom is pushed before a wait, and even if an
#: import failed.
IMPORT_TASK_XCOM_KEY = "import_task"

T = TypeVar("T")

#: Maximum number of seconds for the last poll of a wait that has timed out.
LAST_POLL_SECONDS = 30.0

#: Seconds before its ``execution_timeout`` at which a task that waits on a worker polls for the last time.
LAST_POLL_MARGIN = 5.0

#: Maximum number of imports that a deferred task waits for. Airflow stores their ids, encrypted, in a column that holds
#: 65,535 bytes on MySQL, which is enough for 1,023.
MAX_DEFERRED_IMPORTS = 1000

#: Seconds before its ``execution_timeout`` at which a deferred task times out on Airflow 2. The scheduler needs this
#: time to start a worker: Airflow 2 ends a task that resumes too late without a message.
RESUMPTION_MARGIN = 60.0


class AdsDeferrableMixin:
    """Defer a task to one of this provider's triggers, and explain a deferral that failed."""

    #: True to wait in the triggerer.
    deferrable: bool

    #: The trigger, which defines what the task waits for.
    trigger_class: type[AdsWaitTrigger[Any]] = AdsImportTaskTrigger

    def defer_to(self, trigger_class: type[AdsWaitTrigger[Any]], deadline: float | None, **arguments: Any) -> None:
        """
        Defer the task; ``execute_complete`` receives the trigger's event.

        :param trigger_class: the trigger.
        :param deadline: when the wait times out, in seconds since the epoch; None for never.
        :param arguments: the trigger's arguments without its deadline and the AWS settings.
        :raises Exception: always Airflow's ``TaskDeferred``.
        """
        task: Any = self
        task.defer(
            trigger=trigger_class(**arguments, deadline=deadline, **self._trigger_settings()),
            method_name="execute_complete",
            timeout=None if deadline is None else timedelta(seconds=deadline - time.time() + DEFERRAL_GRACE),
        )

    def check_deferral(self, import_task_ids: Sequence[str] = ()) -> None:
        """
        Check, before anything is sent, that Airflow can store the trigger of a deferrable task.

        :param import_task_ids: the imports to wait for, as far as they are known.
        :raises ValueError: there are too many imports, or ``botocore_config`` cannot be stored.
        """
        if self.deferrable:
            self._trigger_settings()
            if len(import_task_ids) > MAX_DEFERRED_IMPORTS:
                raise ValueError(
                    f"A deferrable task can wait for at most {MAX_DEFERRED_IMPORTS:,} imports; got "
                    f"{len(import_task_ids):,}. Wait for them in several tasks, or set deferrable=False"
                )

    def _trigger_settings(self) -> dict[str, Any]:
        """Return the task's AWS settings as a trigger stores them."""
        task: Any = self
        config = task.botocore_config
        if isinstance(config, Config):
            # botocore merges configs by these options.
            config = config._user_provided_options  # type: ignore[attr-defined]
        try:
            json.dumps(config)
        except TypeError as error:
            raise ValueError(
                f"A deferrable task needs a botocore_config that Airflow can store in its database, as JSON: {error}. "
                "Remove that option, or set deferrable=False"
            ) from error
        return {
            "aws_conn_id": task.aws_conn_id,
            "region_name": task.region_name,
            "verify": os.fspath(task.verify) if isinstance(task.verify, os.PathLike) else task.verify,
            "botocore_config": config,
        }

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """
        Resume the task as Airflow does, but treat Airflow's limit on the deferral as a timeout of the trigger.

        :raises AdsCallError: the trigger crashed. Airflow's own exception would skip a sensor with ``soft_fail``,
            although the crash says nothing about the import.
        """
        base: Any = super()
        if next_method != DEFERRAL_FAILED:
            return base.resume_execution(next_method, next_kwargs, context)
        failure = self.trigger_class.deferral_failure(next_kwargs, self.subject)
        if failure is not None:
            raise failure
        event = {"status": "timeout", "tasks": [], "error": {"message": NO_TRIGGERER}}
        return base.resume_execution("execute_complete", {"event": event}, context)

    def read_event(self, context: Any, event: Any) -> list[Any]:
        """
        Return the tasks of the trigger's event; after a timeout, poll once more.

        Tasks that have ended count, even if they ended after the trigger's last poll or while no triggerer ran.

        :param context: the task's context.
        :param event: the event as Airflow passes it on.
        :raises ImportWaitTimeout: a task is still running, or could not be polled within 30 seconds.
        :raises AdsCallError: the trigger could not continue, or the event is not one of its own.
        """
        try:
            return self.trigger_class.read_event(event)
        except ImportWaitTimeout as timeout:
            known = [self.trigger_class.record.from_response(task).id for task in timeout.import_tasks]
            try:
                import_tasks = self._poll_once_more(context, known)
            except Exception as error:
                if isinstance(error, AdsCallError) and not error.is_outage(has_polled=True):
                    raise error from None
                last_error = str(error) if isinstance(error, AdsError) else f"{type(error).__name__}: {error}"
                raise type(timeout)(timeout.import_tasks, timeout.last_error or last_error) from None
            is_missing = not import_tasks and not self.trigger_class.unlisted_is_done
            if is_missing or any(self.trigger_class.is_running(task.status) for task in import_tasks):
                reason = timeout.last_error if timeout.last_error == NO_TRIGGERER else None
                raise type(timeout)([task.summary() for task in import_tasks], reason) from None
            return import_tasks

    def _poll_once_more(self, context: Any, import_task_ids: list[str]) -> list[Any]:
        task: Any = self
        # Only the main thread looks up connections.
        task.hook.conn_config  # noqa: B018
        return run_in_thread(lambda: self.describe_awaited(context, import_task_ids), LAST_POLL_SECONDS)

    def describe_awaited(self, context: Any, import_task_ids: list[str]) -> list[Any]:
        """
        Return the current state of the tasks that the deferred task waits for.

        :param context: the task's context.
        :param import_task_ids: their ids; empty if Airflow ended the deferral, because it does not keep them.
        """
        raise NotImplementedError

    @property
    def subject(self) -> str:
        """The awaited imports, for messages."""
        raise NotImplementedError


class AdsWaitingOperator(AdsDeferrableMixin, AwsBaseOperator[AdsHook]):
    """
    AWS Application Discovery Service: base class for operators that can wait for completion.

    A subclass defines ``execute_complete`` for its own result.

    :param wait_for_completion: True to wait.
    :param deferrable: True to wait in the triggerer.
    :param poll_interval: seconds, or a ``timedelta``, between two polls; more than 0.
    :raises ValueError: ``poll_interval`` is out of range.
    """

    aws_hook_class = AdsHook

    #: The import tasks, or the export task, that the operator waits for, as last described.
    import_tasks: Sequence[Any] = ()

    def __init__(
        self, *, wait_for_completion: bool, deferrable: bool, poll_interval: float | timedelta, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = check_poll_interval(poll_interval)

    def describe(self, import_task_ids: Sequence[str]) -> list[Any]:
        """Return the current state of the tasks in the order of their ids."""
        return self.hook.get_import_tasks(import_task_ids)

    def push_import_tasks(self, context: Any, import_tasks: Sequence[Any]) -> None:
        """
        Push the current state of the tasks as an XCom during a wait on the worker; the base class pushes nothing.

        :param context: the task's context.
        :param import_tasks: the tasks that the operator waits for, as last described.
        """

    def wait(self, context: Any, import_tasks: Sequence[Any]) -> Sequence[Any]:
        """
        Wait until none of the tasks is in a status for which the trigger waits.

        :param context: the task's context.
        :param import_tasks: the current state of the tasks.
        :return: their state after the wait; if the task is deferred, the trigger's event contains it instead.
        :raises AdsCallError: AWS refused, or could not be reached for ``progress.LONGEST_OUTAGE``.
        """
        self.import_tasks = import_tasks
        if self.deferrable and self._is_running():
            self._defer(context)
        progress = ProgressLog(self.log, self.trigger_class.is_running, last_poll=self._poll())
        outage = Outage()
        last_poll = None
        if self.execution_timeout:
            # Airflow ends the task at its execution_timeout, so poll shortly before.
            timeout = self.execution_timeout.total_seconds()
            last_poll = context["ti"].start_date.timestamp() + timeout - min(LAST_POLL_MARGIN, timeout / 4)
        while self._is_running():
            pause = self.poll_interval
            if last_poll is not None and 0 < (remaining := last_poll - time.time()) < pause:
                pause = remaining
            time.sleep(pause)
            last = self.import_tasks
            error = None
            try:
                self.import_tasks = self.describe([task.id for task in self.import_tasks])
            except AdsCallError as caught:
                error = caught
            outage.check(error)
            progress.write(self._poll(error))
            if self.import_tasks != last and self._is_running():
                self.push_import_tasks(context, self.import_tasks)
        return self.import_tasks

    def _is_running(self) -> bool:
        return any(self.trigger_class.is_running(task.status) for task in self.import_tasks)

    def _poll(self, error: AdsCallError | None = None) -> Poll:
        return Poll({task.id: task for task in self.import_tasks}, error)

    def _defer(self, context: Any) -> None:
        deadline = None
        if self.execution_timeout:
            timeout = self.execution_timeout.total_seconds()
            deadline = context["ti"].start_date.timestamp() + timeout
            if not AIRFLOW_V_3_0_PLUS:
                deadline -= min(RESUMPTION_MARGIN, timeout / 2)
        self.defer_until(deadline)

    def defer_until(self, deadline: float | None) -> None:
        """
        Defer the task until its import tasks have ended.

        :param deadline: when the wait times out, in seconds since the epoch; None for never.
        """
        import_task_ids = [task.import_task_id for task in self.import_tasks]
        self.log.info("Waiting in the triggerer for %s", count_imports(import_task_ids))
        self.defer_to(self.trigger_class, deadline, import_task_ids=import_task_ids, poll_interval=self.poll_interval)


def run_in_thread(function: Callable[[], T], seconds: float) -> T:
    """
    Call a function in a thread, and stop waiting for it if it takes too long.

    :raises TimeoutError: the function did not return in time.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def call() -> None:
        try:
            results.append(function())
        except Exception as error:
            errors.append(error)

    # Unlike the threads of an executor, this one does not keep the process from exiting.
    thread = Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    return results[0]


def end_wait(
    verdicts: Sequence[Verdict],
    outcome_error: Callable[[str, Sequence[Verdict]], AdsError],
    log: Any,
    *,
    done: str,
    is_error_hidden: bool = False,
) -> None:
    """
    Log the outcome of all imports if all verdicts are DONE, and raise it otherwise.

    :param verdicts: the final verdicts, none of them RUNNING.
    :param outcome_error: creates the exception for FAILED verdicts, from a message and all verdicts that are not DONE.
    :param log: the task's logger.
    :param done: the words for DONE in the total of several imports; ``{counts}`` is replaced by their counts.
    :param is_error_hidden: True to log the outcome even if it is raised, because Airflow does not show the exception.
    :raises AdsError: the error that ``outcome_error`` returned, if a verdict is FAILED.
    :raises AdsCallError: a status is unknown, and no verdict is FAILED.
    """
    if not verdicts:
        return
    bad = [verdict for verdict in verdicts if verdict.kind is not VerdictKind.DONE]
    # Apart from their URLs, imports with the same status have the same advice, with or without failed records.
    by_status: dict[tuple[str | None, bool], str] = {}
    for verdict in bad or verdicts:
        task = verdict.import_task
        by_status.setdefault((task.status, bool(task.failed_records)), verdict.advice)
    advice = [each for each in dict.fromkeys(by_status.values()) if each]
    tasks = [verdict.import_task for verdict in sorted(verdicts, key=lambda each: each.kind is VerdictKind.DONE)]
    outcome = f"{tasks[0]}."
    # The line for an import that the service no longer lists does not show that it was deleted.
    if len(tasks) > 1 or not tasks[0].is_listed:
        total = f"{len(verdicts) - len(bad):,} of {len(verdicts):,} imports {done}"
        outcome = f"{total.format(counts=describe_counts(tasks))}\n{format_table(tasks)}"
    if not bad:
        log.info("%s", "\n".join([outcome, *advice]))
        return
    message = "\n".join([*advice, outcome])
    if is_error_hidden:
        log.error("%s", message)
    if any(verdict.kind is VerdictKind.FAILED for verdict in bad):
        raise outcome_error(message, bad)
    raise AdsCallError(message, code="UnknownStatus", import_task_id=bad[0].import_task.import_task_id)


def end_import_wait(
    context: Mapping[str, Any],
    import_tasks: Sequence[ImportTask],
    max_failed_records: int | None,
    as_list: bool,
    log: Any,
    is_error_hidden: bool = False,
) -> Any:
    """
    End a wait for imports: judge them, and publish the summaries as XCom and in asset events.

    :param context: the task's context.
    :param import_tasks: the imports, none of them running.
    :param max_failed_records: records of each import that are allowed to fail; None for any number.
    :param as_list: True to return a list even for one import.
    :param log: the task's logger.
    :param is_error_hidden: True to log the outcome even if it is raised, because Airflow does not show the exception.
    :return: the summary of the import, or a list of summaries.
    :raises ImportOutcomeError: an import failed; the XCom is pushed all the same.
    :raises AdsCallError: the status of an import is unknown, and none failed.
    """
    summaries = [import_task.summary() for import_task in import_tasks]
    result = summaries if as_list else summaries[0]
    verdicts = [judge_import(import_task, max_failed_records) for import_task in import_tasks]

    def outcome_error(message: str, bad: Sequence[Verdict]) -> AdsError:
        # An unknown status can change until the retry, so only failures decide.
        failed = [verdict for verdict in bad if verdict.kind is VerdictKind.FAILED]
        return ImportOutcomeError(message, summaries, try_again=all(verdict.try_again for verdict in failed))

    try:
        end_wait(verdicts, outcome_error, log, done="succeeded: {counts}", is_error_hidden=is_error_hidden)
    finally:
        push_import_task(context, result)
    attach_to_asset_events(context, result)
    return result


def push_import_task(context: Mapping[str, Any], result: Any) -> None:
    """
    Push the XCom ``import_task``, unless the task has ``do_xcom_push=False``; it replaces an earlier one.

    :param context: the task's context.
    :param result: the summary of an import, or a list of summaries.
    """
    if context["ti"].task.do_xcom_push:
        context["ti"].xcom_push(key=IMPORT_TASK_XCOM_KEY, value=result)


def attach_to_asset_events(context: Mapping[str, Any], result: Any) -> None:
    """
    Put summaries into the ``extra`` of the asset events of the task's outlets, for the Dags that they trigger.

    :param context: the task's context.
    :param result: the summary of an import, or a list of summaries.
    """
    for outlet in context["ti"].task.outlets:
        # Not every outlet is an asset, and the assets of an alias are not known yet. A reference by name has no URI.
        if hasattr(outlet, "uri") or type(outlet).__name__ == "AssetNameRef":
            context["outlet_events"][outlet].extra[IMPORT_TASK_XCOM_KEY] = result
