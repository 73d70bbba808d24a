"""Start AWS Application Discovery Service imports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.discovery.import_task import (
    IMPORT_RUNNING_STATUSES,
    ImportTask,
    check_max_failed_records,
)
from airflow_provider_ads.exceptions import AdsCallError, ImportOutcomeError, fail_without_retry
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.idempotency import Intention
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.outcome import attach_to_asset_events, conclude
from airflow_provider_ads.polling import LONGEST_OUTAGE, check_poll_interval
from airflow_provider_ads.triggers import (
    DEFERRAL_FAILED,
    DEFERRAL_GRACE,
    AdsImportTaskTrigger,
    deferral_failure,
    read_event,
)
from airflow_provider_ads.version_compat import conf

__all__ = ["RESUMPTION_MARGIN", "AdsStartImportTaskOperator"]

#: Seconds before its ``execution_timeout`` that a deferred task gives up on Airflow 2, which ends without a message a
#: task that resumes after it: time for the scheduler to start a worker.
RESUMPTION_MARGIN = 60.0


class AdsStartImportTaskOperator(AwsBaseOperator[AdsHook]):
    """
    AWS Application Discovery Service: start the import of a server inventory into AWS Migration Hub.

    The task succeeds as soon as AWS has accepted the import, and
    :class:`~airflow_provider_ads.sensors.AdsImportTaskSensor` waits for it; or it waits itself with
    ``wait_for_completion``. Waiting, an import that ends as IMPORT_FAILED or INTERNAL_ERROR follows the task's
    ``retries``, each of them a new import; any other bad end fails the task at once.

    A task starts one import, however often it is killed and tried again: a retry adopts the import that an earlier
    try has started, unless that import failed or was deleted. Clearing the task starts a new one. A retry does not
    see that the file has changed, and starts a second import if the rendered ``name`` or ``import_url`` is another one
    in every try, or if somebody set the Dag run back to queued meanwhile. Killing the task leaves its import running,
    because the service cannot cancel any.

    The result is the import task id. After waiting, the XCom ``import_task`` holds the import's summary, also
    when the import failed: see :meth:`~airflow_provider_ads.discovery.import_task.ImportTask.summary`.

    With ``outlets``, the summary is also in the ``extra`` of their asset events, as ``import_task``.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

    :param name: what to call the import, 1 to 255 characters; it need not be unique. (templated)
    :param import_url: the file, as ``s3://bucket/key``, at most 4,000 characters. (templated)
    :param client_request_token: a token of 1 to 100 characters of your own, sent as it is: for one token the service
        starts one import, and returns it ever after, also when it failed and when the task is cleared. None for one
        that is derived from the task instance. (templated) (default: None)
    :param wait_for_completion: whether to wait until the import has ended, however long that takes unless
        ``execution_timeout`` is set, which counts from the start of the try, deferred or not. (default: False)
    :param deferrable: whether to wait in the triggerer, without holding a worker; nothing without
        ``wait_for_completion``. (default: ``[operators] default_deferrable``)
    :param poll_interval: seconds, or a ``timedelta``, between two looks at the import; more than 0.
        (default: 60)
    :param max_failed_records: server and application records that may fail before the task fails; None for
        any number. (default: 0)
    :param aws_conn_id: the Airflow connection with the credentials; None for boto3's own. (templated)
    :param region_name: the Migration Hub home region; None for that of the connection. (templated)
    :param verify: whether certificates are verified, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of :class:`botocore.config.Config`.
    :raises ValueError: ``poll_interval`` or ``max_failed_records`` is out of range.
    """

    aws_hook_class = AdsHook
    template_fields: Sequence[str] = aws_template_fields("name", "import_url", "client_request_token")
    operator_extra_links = (MigrationHubLink(),)

    _import_task: ImportTask | None = None

    def __init__(
        self,
        *,
        name: str,
        import_url: str,
        client_request_token: str | None = None,
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 60,
        max_failed_records: int | None = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.import_url = import_url
        self.client_request_token = client_request_token
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = check_poll_interval(poll_interval)
        self.max_failed_records = check_max_failed_records(max_failed_records)

    def execute(self, context: Any) -> str:
        """
        Start the import, and wait for it if asked to.

        :return: the import task id.
        :raises ValueError: the service would not take a rendered parameter; nothing was sent.
        :raises AdsCallError: AWS refused or could not be reached.
        :raises ImportOutcomeError: the import failed, and a new one may succeed.
        :raises AirflowFailException: the import failed, and a new one would fail too.
        """
        task = self._import_task = self._start(context)
        MigrationHubLink.persist_for(context, self)
        if not self.wait_for_completion:
            if self.deferrable:
                self.log.info("Not waiting for the import, because wait_for_completion is False")
            attach_to_asset_events(context, task.summary())
            return task.import_task_id
        if self.deferrable and task.status in IMPORT_RUNNING_STATUSES:
            self._defer(context, task)
        return self._conclude(context, self._wait(task))

    def _start(self, context: Any) -> ImportTask:
        intention = None
        if self.client_request_token is None:
            intention = Intention.of(context, self.name, self.import_url)
            if intention is None:
                self.log.warning("Airflow does not know when the Dag run started: a retry starts another import")
        if intention is None:
            task = self.hook.start_import_task(self.name, self.import_url, self.client_request_token)
            if task.status not in IMPORT_RUNNING_STATUSES:
                self.log.warning(
                    "The client_request_token stands for an import that has ended: change it to import again"
                )
        else:
            task = intention.start(self.hook, self.log)
        self.log.info("Import %s. Region %s, file %s", task, self.hook.conn_region_name, self.import_url)
        return task

    def on_kill(self) -> None:
        """Say that the import goes on, when the task is killed or runs into its ``execution_timeout``."""
        if self._import_task is not None and self._import_task.status in IMPORT_RUNNING_STATUSES:
            self.log.warning(
                "Import %s. It goes on at AWS, which cannot cancel imports. A retry of this task adopts it",
                self._import_task,
            )

    def _defer(self, context: Any, task: ImportTask) -> None:
        deadline = None
        timeout = None
        if self.execution_timeout:
            timeout_seconds = self.execution_timeout.total_seconds()
            deadline = context["ti"].start_date.timestamp() + timeout_seconds
            if not AIRFLOW_V_3_0_PLUS:
                deadline -= min(RESUMPTION_MARGIN, timeout_seconds / 2)
            timeout = timedelta(seconds=deadline - time.time() + DEFERRAL_GRACE)
        self.log.info("Waiting in the triggerer for %s", task.import_task_id)
        self.defer(
            trigger=AdsImportTaskTrigger(
                import_task_ids=[task.import_task_id],
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

    def _wait(self, task: ImportTask) -> ImportTask:
        outage_began: float | None = None
        while task.status in IMPORT_RUNNING_STATUSES:
            time.sleep(self.poll_interval)
            try:
                task = self._import_task = self.hook.get_import_task(task.import_task_id)
            except AdsCallError as error:
                outage_began = outage_began or time.monotonic()
                if not error.transient or time.monotonic() - outage_began > LONGEST_OUTAGE:
                    raise
                self.log.warning("Looking again soon: %s", error)
            else:
                outage_began = None
                self.log.info("Import %s", task)
        return task

    def execute_complete(self, context: Any, event: Any = None) -> str:
        """Take up the task after the triggerer's wait; returns and raises what :meth:`execute` does."""
        return self._conclude(context, read_event(event)[0])

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Take up the task after a deferral, as Airflow does, and say what happened when the deferral failed."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception as error:
            if next_method != DEFERRAL_FAILED:
                raise
            about = f"{self.name!r}, whose id this task logged before it was deferred,"
            raise deferral_failure(next_kwargs, about) from error

    def _conclude(self, context: Any, task: ImportTask) -> str:
        try:
            conclude(context, [task], self.max_failed_records, as_list=False, log=self.log)
        except ImportOutcomeError as error:
            if self.client_request_token is not None:
                fail_without_retry(
                    ImportOutcomeError(
                        f"{error} The client_request_token stands for this import for ever: change it to import again.",
                        error.import_tasks,
                        try_again=False,
                    )
                )
            if error.try_again:
                raise
            fail_without_retry(error)
        return task.import_task_id
