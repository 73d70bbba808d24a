"""Start AWS Application Discovery Service imports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_ads.discovery.import_task import (
    IMPORT_RUNNING_STATUSES,
    ImportTask,
    check_max_failed_records,
)
from airflow_provider_ads.exceptions import ImportOutcomeError, fail_without_retry
from airflow_provider_ads.idempotency import Intention
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.operators.waiting import AdsWaitingOperator
from airflow_provider_ads.outcome import attach_to_asset_events, conclude
from airflow_provider_ads.triggers import AdsImportTaskTrigger
from airflow_provider_ads.version_compat import conf

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

__all__ = ["AdsStartImportTaskOperator"]


class AdsStartImportTaskOperator(AdsWaitingOperator):
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

    With ``outlets``, the summary is also in the ``extra`` of their asset events, as ``import_task``. Events of
    OpenLineage name the file as input, and hold the summary as the run facet ``awsDiscovery_import``.

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

    template_fields: Sequence[str] = aws_template_fields("name", "import_url", "client_request_token")
    operator_extra_links = (MigrationHubLink(),)

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
        super().__init__(
            wait_for_completion=wait_for_completion, deferrable=deferrable, poll_interval=poll_interval, **kwargs
        )
        self.name = name
        self.import_url = import_url
        self.client_request_token = client_request_token
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
        task = self._start(context)
        self.import_tasks = [task]
        MigrationHubLink.persist_for(context, self)
        if not self.wait_for_completion:
            if self.deferrable:
                self.log.info("Not waiting for the import, because wait_for_completion is False")
            attach_to_asset_events(context, task.summary())
            return task.import_task_id
        return self._conclude(context, *self.wait(context, [task]))

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
        for task in self.import_tasks:
            if task.status in IMPORT_RUNNING_STATUSES:
                self.log.warning(
                    "Import %s. It goes on at AWS, which cannot cancel imports. A retry of this task adopts it", task
                )

    def execute_complete(self, context: Any, event: Any = None) -> str:
        """Take up the task after the triggerer's wait; returns and raises what :meth:`execute` does."""
        return self._conclude(context, *AdsImportTaskTrigger.read_event(event))

    @property
    def about(self) -> str:
        """What is waited for, in the words of a message."""
        return f"{self.name!r}, whose id this task logged before it was deferred,"

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """
        Tell OpenLineage which file was imported and how the import ended; Airflow asks also when the task has failed.

        :param task_instance: the task instance that has ended.
        """
        from airflow_provider_ads.lineage import lineage_of_import

        return lineage_of_import(self.import_tasks)

    def _conclude(self, context: Any, task: ImportTask) -> str:
        self.import_tasks = [task]
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
