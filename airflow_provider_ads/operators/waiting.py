"""What operators share that may wait, on the worker or in the triggerer, for what the service does by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.change_log import ChangeLog
from airflow_provider_ads.discovery.import_task import ImportTask, name_some
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.polling import LONGEST_OUTAGE, Poll, check_poll_interval
from airflow_provider_ads.triggers import DEFERRAL_FAILED, DEFERRAL_GRACE, AdsImportTaskTrigger

__all__ = ["RESUMPTION_MARGIN", "AdsWaitingOperator"]

#: Seconds before its ``execution_timeout`` that a deferred task gives up on Airflow 2, which ends without a message a
#: task that resumes after it: time for the scheduler to start a worker.
RESUMPTION_MARGIN = 60.0


class AdsWaitingOperator(AwsBaseOperator[AdsHook]):
    """
    AWS Application Discovery Service: the base of operators that may wait.

    A subclass has an ``execute_complete`` for its own result.

    :param wait_for_completion: whether to wait.
    :param deferrable: whether to wait in the triggerer.
    :param poll_interval: seconds, or a ``timedelta``, between two looks; more than 0.
    :raises ValueError: ``poll_interval`` is out of range.
    """

    aws_hook_class = AdsHook

    #: What waits in the triggerer, and knows what the wait is for.
    trigger_class: type[AdsImportTaskTrigger] = AdsImportTaskTrigger

    #: The import tasks that are waited for, as last seen.
    import_tasks: Sequence[ImportTask] = ()

    def __init__(
        self, *, wait_for_completion: bool, deferrable: bool, poll_interval: float | timedelta, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = check_poll_interval(poll_interval)

    def look(self, import_task_ids: Sequence[str]) -> list[ImportTask]:
        """Return the tasks as they are now, in the order of their ids."""
        return self.hook.get_import_tasks(import_task_ids)

    def wait(self, context: Any, import_tasks: Sequence[ImportTask]) -> Sequence[ImportTask]:
        """
        Wait until no task is in one of the running statuses of the trigger any more.

        :param context: the task's context.
        :param import_tasks: the tasks as they are now.
        :return: the tasks as they are then; deferrable, the trigger's event brings them instead.
        :raises AdsCallError: AWS refused, or could not be reached for ``polling.LONGEST_OUTAGE``.
        """
        self.import_tasks = import_tasks
        if self.deferrable and self._running():
            self._defer(context)
        log = ChangeLog(self.log, told=self._poll())
        outage_began: float | None = None
        while self._running():
            time.sleep(self.poll_interval)
            error = None
            try:
                self.import_tasks = self.look([task.import_task_id for task in self.import_tasks])
                outage_began = None
            except AdsCallError as caught:
                outage_began = outage_began or time.monotonic()
                if not caught.transient or time.monotonic() - outage_began > LONGEST_OUTAGE:
                    raise
                error = caught
            log.write(self._poll(error))
        return self.import_tasks

    def _running(self) -> bool:
        return any(task.status in self.trigger_class.running_statuses for task in self.import_tasks)

    def _poll(self, error: AdsCallError | None = None) -> Poll:
        return Poll({task.import_task_id: task for task in self.import_tasks}, error)

    def _defer(self, context: Any) -> None:
        import_task_ids = [task.import_task_id for task in self.import_tasks]
        deadline = None
        timeout = None
        if self.execution_timeout:
            timeout_seconds = self.execution_timeout.total_seconds()
            deadline = context["ti"].start_date.timestamp() + timeout_seconds
            if not AIRFLOW_V_3_0_PLUS:
                deadline -= min(RESUMPTION_MARGIN, timeout_seconds / 2)
            timeout = timedelta(seconds=deadline - time.time() + DEFERRAL_GRACE)
        self.log.info("Waiting in the triggerer for %s", name_some(import_task_ids))
        self.defer(
            trigger=self.trigger_class(
                import_task_ids=import_task_ids,
                poll_interval=self.poll_interval,
                deadline=deadline,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            timeout=timeout,
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Take up the task after a deferral, as Airflow does, and say what happened when the deferral failed."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception as error:
            if next_method != DEFERRAL_FAILED:
                raise
            raise self.trigger_class.deferral_failure(next_kwargs, self.about) from error

    @property
    def about(self) -> str:
        """What is waited for, in the words of a message."""
        raise NotImplementedError
