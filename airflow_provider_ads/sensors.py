"""Wait for AWS Application Discovery Service imports."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_ads.discovery.import_task import (
    IMPORT_RUNNING_STATUSES,
    ImportTask,
    check_import_task_ids,
    check_max_failed_records,
    check_name,
    newest_by_name,
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
from airflow_provider_ads.outcome import conclude
from airflow_provider_ads.polling import check_poll_interval
from airflow_provider_ads.triggers import (
    DEFERRAL_FAILED,
    DEFERRAL_GRACE,
    AdsImportTaskTrigger,
    AdsNamedImportTaskTrigger,
)
from airflow_provider_ads.version_compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    PokeReturnValue,
    conf,
)

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = ["AdsImportTaskSensor"]


class AdsImportTaskSensor(AwsBaseSensor[AdsHook]):
    """
    AWS Application Discovery Service: wait until imports have ended, and fail unless they ended well.

    An import that failed fails the task at once, whatever its ``retries``: to wait again cannot change it. With
    ``soft_fail`` the task is skipped instead. When AWS refuses to say how an import stands, the task fails and
    follows its ``retries``. Both are alike in poke, reschedule and deferrable mode. The service works off one
    import at a time, so leave time for a queue in ``timeout``.

    An import that somebody starts elsewhere, as in the Migration Hub console, has no id yet that could be given:
    wait for it by ``name``. The sensor then also waits until there is an import of that name. AWS lets names be used
    again. Each look is at the newest import of that name, the one with the latest ``importRequestTime``, whatever its
    status: an import that ended long ago ends the wait at once, and a newer one that is requested during the wait is
    waited for instead. So give every import a name of its own, with the date for example.

    The result, and the XCom ``import_task`` also when an import failed, is the summary of the import, or for
    several a list of them in the order given: see
    :meth:`~airflow_provider_ads.discovery.import_task.ImportTask.summary`. With ``outlets``, it is also in the
    ``extra`` of their asset events, as ``import_task``.

    :param import_task_id: the id of an import, or any number of ids; ``.output`` of a mapped task for all that
        it started. (templated)
    :param name: the name of an import, instead of ``import_task_id``: exactly as it was given to the import, with
        the same case and blanks; AWS knows no wildcards
        (https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTaskFilter.html). (templated)
    :param max_failed_records: server and application records that may fail in each import before the task
        fails; None for any number. (default: 0)
    :param deferrable: whether to wait in the triggerer, without holding a worker; ``poke_interval`` is then the
        triggerer's interval, and ``mode``, ``exponential_backoff`` and ``max_wait`` do nothing.
        (default: ``[operators] default_deferrable``)
    :param poke_interval: seconds, or a ``timedelta``, between two looks at the imports; more than 0.
        (default: 60)
    :param timeout: seconds, or a ``timedelta``, after which the task fails without a retry, or is skipped with
        ``soft_fail``; ``execution_timeout`` counts the time on a worker only, as in reschedule mode.
        (default: ``[sensors] default_timeout``)
    :param aws_conn_id: the Airflow connection with the credentials; None for boto3's own. (templated)
    :param region_name: the Migration Hub home region; None for that of the connection. (templated)
    :param verify: whether certificates are verified, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of :class:`botocore.config.Config`.
    :raises ValueError: not exactly one of ``import_task_id`` and ``name`` is given, ``max_failed_records`` or
        ``poke_interval`` is out of range, or ``never_fail`` or ``silent_fail`` is set.
    """

    aws_hook_class = AdsHook
    template_fields: Sequence[str] = aws_template_fields("import_task_id", "name")
    operator_extra_links = (MigrationHubLink(),)

    _seen: Sequence[ImportTask] = ()
    _last_error: str | None = None
    _linked = False

    def __init__(
        self,
        *,
        import_task_id: str | Iterable[str] | XComArg | None = None,
        name: str | XComArg | None = None,
        max_failed_records: int | None = 0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (import_task_id is None) == (name is None):
            raise ValueError(
                "AdsImportTaskSensor takes either import_task_id, for imports that have been started, or name, for one "
                f"that somebody starts elsewhere; got {'neither' if name is None else 'both'}"
            )
        self.import_task_id = import_task_id
        self.name = name
        # A template may make None of the one that was given.
        self._by_name = name is not None
        self.max_failed_records = check_max_failed_records(max_failed_records)
        self.deferrable = deferrable
        check_poll_interval(self.poke_interval)
        if self.never_fail or self.silent_fail:
            raise ValueError(
                "AdsImportTaskSensor refuses never_fail and silent_fail: Airflow applies them while a sensor pokes "
                "but not, or differently, while it is deferred, and they would hide a refused call or a crashed "
                "trigger. Use soft_fail to skip when an import fails"
            )

    def execute(self, context: Any) -> Any:
        """
        Wait for the imports; deferrable, look at them once and defer unless they have ended.

        :return: the summary of the import, or a list of them.
        :raises AirflowFailException: an import failed.
        :raises AirflowSensorTimeout: the time ran out.
        :raises AdsCallError: AWS could not be asked, or does not know the import of an id.
        :raises ValueError: a rendered id or name is none that the service would take; nothing was sent.
        """
        try:
            # Unwrapped, because Airflow 2 logs a warning when one execute calls another.
            return inspect.unwrap(AwsBaseSensor.execute)(self, context)
        except AirflowSensorTimeout as error:
            raise AirflowSensorTimeout(self._time_ran_out(self._seen, self._last_error)) from error
        except AirflowSkipException as skip:
            # A failed import is skipped with its error as the cause, a timeout without one.
            if skip.__cause__ is not None:
                raise
            raise AirflowSkipException(self._time_ran_out(self._seen, self._last_error)) from skip

    def poke(self, context: Any) -> PokeReturnValue:
        """Look at the imports once."""
        try:
            self._seen = self._look()
        except AdsCallError as error:
            if not error.transient:
                raise
            self._last_error = str(error)
            self.log.warning("Looking again soon: %s", error)
        else:
            if not self._linked:
                MigrationHubLink.persist_for(context, self)
                self._linked = True
            self._last_error = None
            running = [task for task in self._seen if task.status in IMPORT_RUNNING_STATUSES]
            if self._seen and not running:
                return PokeReturnValue(is_done=True, xcom_value=self._conclude(context, self._seen))
            if running:
                more = f" (and {len(running) - 1} more in progress)" if len(running) > 1 else ""
                self.log.info("Import %s%s", running[0], more)
            else:
                self.log.info("No import named %r in %s yet", self.name, self.hook.conn_region_name)
        if self.deferrable:
            self._defer()
        return PokeReturnValue(is_done=False)

    @cached_property
    def _import_task_ids(self) -> list[str]:
        # Read once: each look at an XCom of mapped tasks fetches every item anew.
        return check_import_task_ids(self.import_task_id)

    @property
    def _about(self) -> str:
        return f"the newest import named {self.name!r}" if self._by_name else ", ".join(self._import_task_ids)

    def _look(self) -> list[ImportTask]:
        if not self._by_name:
            return self.hook.get_import_tasks(self._import_task_ids)
        name = check_name(self.name)
        newest = newest_by_name(self.hook.list_import_tasks(name=name)).get(name)
        return [] if newest is None else [newest]

    def _defer(self) -> None:
        self.log.info("Waiting in the triggerer for %s", self._about)
        arguments: dict[str, Any] = {
            "poll_interval": self.poke_interval,
            "deadline": time.time() + self.timeout,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }
        seen = [task.import_task_id for task in self._seen]
        self.defer(
            trigger=(
                AdsNamedImportTaskTrigger(str(self.name), seen, **arguments)
                if self._by_name
                else AdsImportTaskTrigger(self._import_task_ids, **arguments)
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout + DEFERRAL_GRACE),
        )

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        """Take up the task after the triggerer's wait; returns and raises what :meth:`execute` does."""
        try:
            import_tasks = AdsImportTaskTrigger.read_event(event)
        except ImportWaitTimeout as error:
            seen = [ImportTask.from_response(summary) for summary in error.import_tasks]
            raise AirflowSensorTimeout(self._time_ran_out(seen, error.last_error)) from error
        return self._conclude(context, import_tasks)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """
        Take up the task after a deferral, as Airflow does, but for a deferral that failed.

        Left alone, ``soft_fail`` would skip the task when the trigger crashed, which says nothing about the
        import, and Airflow 2 would retry one whose time ran out.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception as error:
            if next_method != DEFERRAL_FAILED:
                raise
            failure = AdsImportTaskTrigger.deferral_failure(next_kwargs, self._about)
            if not isinstance(failure, ImportWaitTimeout):
                raise failure from error
            message = self._time_ran_out((), "no triggerer has answered in time; check that one is running.")
            raise (AirflowSkipException if self.soft_fail else AirflowSensorTimeout)(message) from error

    def _conclude(self, context: Any, import_tasks: Sequence[ImportTask]) -> Any:
        try:
            return conclude(
                context,
                import_tasks,
                self.max_failed_records,
                as_list=not self._by_name and not isinstance(self.import_task_id, str),
                log=self.log,
            )
        except ImportOutcomeError as error:
            fail_without_retry(error)

    def _time_ran_out(self, seen: Sequence[ImportTask], last_error: str | None) -> str:
        if self._by_name and not seen:
            error: ImportWaitTimeout = ImportNotSeen(str(self.name), self.hook.conn_region_name, last_error)
        else:
            seen = seen or [ImportTask(import_task_id=import_task_id) for import_task_id in self._import_task_ids]
            error = ImportWaitTimeout([task.summary() for task in seen], last_error)
        self.log.error("%s", error)
        return str(error)
