"""Sensors that wait for AWS Application Discovery Service imports."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_table import count_imports
from airflow_provider_ads.discovery.import_task import ImportTask, newest_by_name
from airflow_provider_ads.discovery.parameters import (
    as_list,
    check_max_failed_records,
    check_name,
    check_poll_interval,
    is_list,
    renderable,
    summarize_ids,
)
from airflow_provider_ads.exceptions import (
    AdsCallError,
    ImportNotSeen,
    ImportOutcomeError,
    ImportWaitTimeout,
    fail_without_retry,
)
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.polling import Poll
from airflow_provider_ads.progress import ProgressLog
from airflow_provider_ads.triggers import AdsImportTaskTrigger, AdsNamedImportTaskTrigger
from airflow_provider_ads.version_compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    PokeReturnValue,
    conf,
)
from airflow_provider_ads.waiting import AdsDeferrableMixin, end_import_wait, push_import_task

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = ["AdsImportTaskSensor"]

#: The reason for a skip, for Airflow's log.
SKIPPED = "Skipped because of soft_fail=True; the error above is the reason"


class AdsImportTaskSensor(AdsDeferrableMixin, AwsBaseSensor[AdsHook]):
    """
    AWS Application Discovery Service: wait until imports have ended, and fail unless they succeeded.

    A failed import fails the task immediately, regardless of ``retries``, because waiting again cannot change it. With
    ``soft_fail``, the task is skipped instead. If AWS refuses to describe an import, the task fails and follows its
    ``retries``. Both are the same in poke, reschedule and deferrable mode. The service processes one import at a time,
    so allow for a queue in ``timeout``.

    The id of an import that is started elsewhere, for example in the Migration Hub console, is not known in advance:
    wait for it by ``name``. The sensor then also waits until there is an import with that name. Names can be reused.
    Each poll describes the newest import with the name, the one with the latest ``importRequestTime``, regardless of
    its status. An import that ended long ago therefore ends the wait immediately, and a newer one that is requested
    during the wait replaces the one before it. Use a unique name for each import; include the date, for example.

    The result is the summary of the import, or a list of summaries in the order given: see
    :meth:`~airflow_provider_ads.discovery.import_task.ImportTask.summary`. It is also pushed as the XCom
    ``import_task``: after the first poll, and at the end, even if an import failed. A sensor that pokes also pushes
    each change; while it is deferred, the XCom stays as it is, because Airflow documents no way for triggers to push
    XComs. With ``outlets``, the result is in the ``extra`` of their asset events, as ``import_task``.

    :param import_task_id: the id of an import, or any iterable of ids; ``.output`` of a mapped task for all the imports
        that it started. (templated)
    :param name: the name of an import, instead of ``import_task_id``. It must match exactly, including case and
        whitespace; AWS supports no wildcards
        (https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTaskFilter.html). (templated)
    :param max_failed_records: server and application records of each import that are allowed to fail; None for any
        number. (templated) (default: 0)
    :param deferrable: True to wait in the triggerer without occupying a worker. ``poke_interval`` is then the
        triggerer's interval, and ``mode``, ``exponential_backoff`` and ``max_wait`` have no effect. (default:
        ``[operators] default_deferrable``)
    :param poke_interval: seconds, or a ``timedelta``, between two polls; more than 0. (default: 60)
    :param timeout: seconds, or a ``timedelta``, after which the task fails without a retry, or is skipped with
        ``soft_fail``. It counts from the start of the attempt; on Airflow 2.11 in reschedule mode, from that of the
        first attempt since the last clear. ``execution_timeout`` counts only the time on a worker; on Airflow 2.11 it
        also counts the time while the task is deferred. (default: ``[sensors] default_timeout``)
    :param aws_conn_id: the Airflow connection; None for boto3's default credentials. (templated)
    :param region_name: the Migration Hub home region; None for the connection's region. (templated)
    :param verify: False to skip the verification of certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments for :class:`botocore.config.Config`.
    :raises ValueError: not exactly one of ``import_task_id`` and ``name`` is given, ``max_failed_records`` or
        ``poke_interval`` is out of range, or ``never_fail`` or ``silent_fail`` is set.
    """

    aws_hook_class = AdsHook
    template_fields: Sequence[str] = aws_template_fields("import_task_id", "name", "max_failed_records")
    operator_extra_links = (MigrationHubLink(),)

    _import_tasks: Sequence[ImportTask] = ()
    _pushed: Sequence[ImportTask] = ()
    _last_error: str | None = None
    _has_polled = False

    def __init__(
        self,
        *,
        import_task_id: str | Iterable[str | XComArg] | XComArg | None = None,
        name: str | XComArg | None = None,
        max_failed_records: int | str | XComArg | None = 0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (import_task_id is None) == (name is None):
            raise ValueError(
                "AdsImportTaskSensor needs either import_task_id, for imports that were started, or name, for an "
                f"import that is started elsewhere; got {'neither' if name is None else 'both'}"
            )
        self.import_task_id: Any = renderable(import_task_id)
        self.name = name
        # Decided here, because rendering a template can turn the given one into None.
        self._by_name = name is not None
        self.max_failed_records: Any = max_failed_records
        if isinstance(max_failed_records, int | float):
            check_max_failed_records(max_failed_records)
        self.deferrable = deferrable
        check_poll_interval(self.poke_interval)
        if self.never_fail or self.silent_fail:
            raise ValueError(
                "AdsImportTaskSensor does not support never_fail and silent_fail: Airflow applies them differently to "
                "a sensor that pokes and to one that is deferred, and they would hide a refused call or a crashed "
                "trigger. Use soft_fail to skip the task when an import fails"
            )

    def execute(self, context: Any) -> Any:
        """
        Wait for the imports; if deferrable, describe them once and defer unless they have ended.

        :return: the summary of the import, or a list of summaries.
        :raises AirflowFailException: an import failed.
        :raises AirflowSensorTimeout: the sensor timed out.
        :raises AdsCallError: AWS refused, could not be reached, or does not list an import.
        :raises ValueError: the service does not accept a rendered id or name; nothing was sent.
        """
        check_max_failed_records(self.max_failed_records)
        self.check_deferral(() if self._by_name else self._import_task_ids)
        try:
            # Unwrapped, because Airflow 2 logs a warning when one execute calls another.
            return inspect.unwrap(AwsBaseSensor.execute)(self, context)
        except AirflowSensorTimeout:
            self._time_out(self._import_tasks, self._last_error)
        except AirflowSkipException as skip:
            # With soft_fail, the skip has a cause if an import failed, but not if the sensor timed out.
            if skip.__cause__ is not None:
                raise
            self._time_out(self._import_tasks, self._last_error)

    def poke(self, context: Any) -> PokeReturnValue:
        """Describe the imports once."""
        try:
            self._import_tasks = self._describe()
        except AdsCallError as error:
            if not error.is_outage(self._has_polled or self._was_rescheduled(context)):
                raise
            self._last_error = str(error)
            self._progress.write(self._poll(error))
        else:
            if not self._import_tasks and not self._has_polled:
                self.log.info("No import named %r in %s yet", self.name, self.hook.conn_region_name)
            if not self._has_polled:
                MigrationHubLink.persist_for(context, self)
                self._has_polled = True
            self._last_error = None
            if self._import_tasks and not any(statuses.is_running(task.status) for task in self._import_tasks):
                return PokeReturnValue(is_done=True, xcom_value=self._end_wait(context, self._import_tasks))
            self._push(context, self._import_tasks)
            self._progress.write(self._poll())
        if self.deferrable:
            self._defer()
        return PokeReturnValue(is_done=False)

    def _was_rescheduled(self, context: Any) -> bool:
        """Return True after a poke in reschedule mode, each of which is a process of its own."""
        if not self.reschedule:
            return False
        ti = context["ti"]
        if AIRFLOW_V_3_0_PLUS:
            return ti.get_first_reschedule_date(context) is not None
        from airflow.sensors import base

        key = {name: getattr(ti, name) for name in ("dag_id", "task_id", "run_id", "map_index")}
        return base._orig_start_date(**key, try_number=ti.max_tries - self.retries + 1) is not None

    @cached_property
    def _progress(self) -> ProgressLog:
        return ProgressLog(self.log, statuses.is_running)

    def _poll(self, error: AdsCallError | None = None) -> Poll:
        return Poll({task.import_task_id: task for task in self._import_tasks}, error)

    @cached_property
    def _import_task_ids(self) -> list[str]:
        # Read once, because the result of a mapped task fetches every XCom again each time it is iterated. The hook and
        # the trigger check the ids.
        return as_list(self.import_task_id)

    @property
    def subject(self) -> str:
        """The awaited imports, for messages."""
        if self._by_name:
            return f"the newest import named {self.name!r}"
        return summarize_ids(self._import_task_ids)

    def _describe(self) -> list[ImportTask]:
        if not self._by_name:
            return self.hook.get_import_tasks(self._import_task_ids)
        name = check_name(self.name)
        newest = newest_by_name(self.hook.list_import_tasks(name=name)).get(name)
        return [] if newest is None else [newest]

    def _defer(self) -> None:
        waited_for = f"an import named {self.name!r}" if self._by_name else count_imports(self._import_task_ids)
        self.log.info("Waiting in the triggerer for %s", waited_for)
        deadline = time.time() + self.timeout
        arguments: dict[str, Any] = {"poll_interval": self.poke_interval, "import_task_ids": self._import_task_ids}
        if self._by_name:
            arguments |= {"name": self.name, "import_task_ids": [task.import_task_id for task in self._import_tasks]}
        self.defer_to(
            AdsNamedImportTaskTrigger if self._by_name else AdsImportTaskTrigger, deadline=deadline, **arguments
        )

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        """Resume after the triggerer's wait; returns and raises what :meth:`execute` does."""
        try:
            try:
                import_tasks = self.read_event(context, event)
            except ImportWaitTimeout as error:
                seen = [ImportTask.from_response(task) for task in error.import_tasks]
                if all(task.is_listed for task in seen):
                    self._push(context, seen)
                self._time_out(seen, error.last_error)
            return self._end_wait(context, import_tasks)
        except (AirflowFailException, AirflowSensorTimeout):
            if self.soft_fail:
                # Otherwise Airflow would log the failure's message again, as the reason for the skip.
                raise AirflowSkipException(SKIPPED) from None
            raise

    def _push(self, context: Any, import_tasks: Sequence[ImportTask]) -> None:
        """Push the XCom ``import_task`` if it changed in this process; in reschedule mode, each poke is a new one."""
        if import_tasks and import_tasks != self._pushed:
            summaries = [task.summary() for task in import_tasks]
            push_import_task(context, summaries if self._is_list else summaries[0])
            self._pushed = import_tasks

    @property
    def _is_list(self) -> bool:
        return not self._by_name and is_list(self.import_task_id)

    def describe_awaited(self, context: Any, import_task_ids: list[str]) -> list[ImportTask]:
        """Describe the imports that the sensor waits for."""
        return self._describe()

    def _end_wait(self, context: Any, import_tasks: Sequence[ImportTask]) -> Any:
        try:
            return end_import_wait(
                context,
                import_tasks,
                check_max_failed_records(self.max_failed_records),
                as_list=self._is_list,
                log=self.log,
                is_error_hidden=self.soft_fail,
            )
        except ImportOutcomeError as error:
            fail_without_retry(error)

    def _time_out(self, import_tasks: Sequence[ImportTask], last_error: str | None) -> NoReturn:
        """Fail because the wait timed out; with ``soft_fail``, log the reason and skip."""
        if self._by_name and not import_tasks:
            error: ImportWaitTimeout = ImportNotSeen(str(self.name), self.hook.called_region, last_error)
        else:
            import_tasks = import_tasks or [ImportTask(import_task_id=id_) for id_ in self._import_task_ids]
            error = ImportWaitTimeout([task.summary() for task in import_tasks], last_error)
        if self.soft_fail:
            self.log.error("%s", error)
            raise AirflowSkipException(SKIPPED) from None
        raise AirflowSensorTimeout(str(error)) from None
