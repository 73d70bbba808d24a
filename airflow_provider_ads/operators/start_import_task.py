"""Operator that starts AWS Application Discovery Service imports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import check_client_request_token, check_max_failed_records
from airflow_provider_ads.exceptions import ImportOutcomeError, fail_without_retry
from airflow_provider_ads.idempotency import StartRequest
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.version_compat import conf
from airflow_provider_ads.waiting import AdsWaitingOperator, attach_to_asset_events, end_import_wait

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import XComArg

__all__ = ["AdsStartImportTaskOperator"]


class AdsStartImportTaskOperator(AdsWaitingOperator):
    """
    AWS Application Discovery Service: start the import of a server inventory into AWS Migration Hub.

    By default, the task succeeds as soon as AWS has accepted the import, and
    :class:`~airflow_provider_ads.sensors.AdsImportTaskSensor` waits for it. With ``wait_for_completion``, the task
    itself waits: after IMPORT_FAILED or INTERNAL_ERROR it follows its ``retries``, each of which starts a new import;
    any other failed import fails the task immediately.

    A task starts one import, no matter how many times it is killed and retried: a retry adopts the import that an
    earlier attempt has started, unless that import failed or was deleted. Clearing the task starts a new import. A
    retry does not notice that the file has changed. It starts a second import if the rendered ``name`` or
    ``import_url`` differs between attempts, or if the Dag run was set back to queued meanwhile. Killing the task leaves
    its import running, because the service cannot cancel imports.

    The result is the import task id. After the wait, the XCom ``import_task`` contains the import's summary, even if
    the import failed: see :meth:`~airflow_provider_ads.discovery.import_task.ImportTask.summary`.

    With ``outlets``, the summary is also in the ``extra`` of their asset events, as ``import_task``. OpenLineage events
    contain the file as an input and the summary as the run facet ``awsDiscovery_import``.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

    :param name: the name of the import, 1 to 255 characters, not necessarily unique. (templated)
    :param import_url: the URL of the file, such as ``s3://bucket/key``, at most 4,000 characters. (templated)
    :param client_request_token: your own token of 1 to 100 characters, sent unchanged. The service starts one import
        for each token and always returns it again, even if it failed or the task is cleared. None for a token that is
        derived from the task instance. (templated) (default: None)
    :param wait_for_completion: True to wait until the import has ended. The wait is unlimited unless
        ``execution_timeout`` is set, which counts from the start of the attempt, deferred or not. (default: False)
    :param deferrable: True to wait in the triggerer without occupying a worker; without ``wait_for_completion`` it has
        no effect. (default: ``[operators] default_deferrable``)
    :param poll_interval: seconds, or a ``timedelta``, between two polls; more than 0. (default: 60)
    :param max_failed_records: server and application records that are allowed to fail; None for any number.
        (default: 0)
    :param aws_conn_id: the Airflow connection with the credentials; None for boto3's own. (templated)
    :param region_name: the Migration Hub home region; None for the connection's region. (templated)
    :param verify: True or False to verify certificates or not, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of :class:`botocore.config.Config`.
    :raises ValueError: ``poll_interval`` or ``max_failed_records`` is out of range.
    """

    template_fields: Sequence[str] = aws_template_fields("name", "import_url", "client_request_token")
    operator_extra_links = (MigrationHubLink(),)

    def __init__(
        self,
        *,
        name: str | XComArg,
        import_url: str | XComArg,
        client_request_token: str | XComArg | None = None,
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 60,
        max_failed_records: int | None = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            wait_for_completion=wait_for_completion, deferrable=deferrable, poll_interval=poll_interval, **kwargs
        )
        self.name: Any = name
        self.import_url: Any = import_url
        self.client_request_token: Any = client_request_token
        self.max_failed_records = check_max_failed_records(max_failed_records)

    def execute(self, context: Any) -> str:
        """
        Start the import, and wait for it with ``wait_for_completion``.

        :return: the import task id.
        :raises ValueError: the service does not accept a rendered parameter; nothing was sent.
        :raises AdsCallError: AWS refused or could not be reached.
        :raises ImportOutcomeError: the import failed, and another one might succeed.
        :raises AirflowFailException: the import failed, and another one would fail too.
        """
        if self.wait_for_completion:
            self.check_deferral()
        task = self._start(context)
        self.import_tasks = [task]
        MigrationHubLink.persist_for(context, self)
        if not self.wait_for_completion:
            if self.deferrable:
                self.log.info("Not waiting for the import, because wait_for_completion is False")
            attach_to_asset_events(context, task.summary())
            return task.import_task_id
        return self._end_wait(context, *self.wait(context, [task]))

    def _start(self, context: Any) -> ImportTask:
        request = None
        if self.client_request_token is None:
            request = StartRequest.from_context(context, self.name, self.import_url)
            if request is None:
                self.log.warning(
                    "A retry of this task starts another import, because Airflow has no start date for the Dag run"
                )
        if request is None:
            task = self.hook.start_import_task(self.name, self.import_url, self.client_request_token)
            if not statuses.is_running(task.status):
                self.log.warning(
                    "The client_request_token belongs to an import that has ended. To import again, change the token"
                )
        else:
            task = request.start(self.hook, self.log)
        self.log.info("Import %s. Region %s, file %s", task, self.hook.conn_region_name, self.import_url)
        return task

    def on_kill(self) -> None:
        """Log that the import keeps running when the task is killed or exceeds its ``execution_timeout``."""
        for task in self.import_tasks:
            if statuses.is_running(task.status):
                self.log.warning(
                    "The task was killed. Import %s. It keeps running at AWS, which cannot cancel imports; a retry "
                    "adopts it",
                    task,
                )

    def execute_complete(self, context: Any, event: Any = None) -> str:
        """Resume after the triggerer's wait; returns and raises what :meth:`execute` does."""
        return self._end_wait(context, *self.read_event(context, event))

    def describe_awaited(self, context: Any, import_task_ids: list[str]) -> list[ImportTask]:
        """Describe the import, which its token identifies if its id is not known."""
        if import_task_ids:
            return self.describe(import_task_ids)
        import_tasks = list(self.hook.list_import_tasks(name=self.name))
        if self.client_request_token is not None:
            token = check_client_request_token(self.client_request_token)
            return [task for task in import_tasks if task.client_request_token == token]
        request = StartRequest.from_context(context, self.name, self.import_url)
        latest = request and request.latest(import_tasks)
        return [latest[1]] if latest else []

    @property
    def subject(self) -> str:
        """The import that the task waits for, as words of a message."""
        return f"{self.name!r}, whose id this task logged before it was deferred,"

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """
        Return the file and the import's summary for OpenLineage; Airflow calls this even if the task has failed.

        :param task_instance: the task instance that has ended.
        """
        from airflow_provider_ads.lineage import lineage_of_import

        return lineage_of_import(self.import_tasks)

    def _end_wait(self, context: Any, task: ImportTask) -> str:
        self.import_tasks = [task]
        try:
            end_import_wait(context, [task], self.max_failed_records, as_list=False, log=self.log)
        except ImportOutcomeError as error:
            if self.client_request_token is not None:
                fail_without_retry(
                    ImportOutcomeError(
                        f"{error} The client_request_token always returns this import: to import again, change the "
                        "token.",
                        error.import_tasks,
                        try_again=False,
                    )
                )
            if error.try_again:
                raise
            fail_without_retry(error)
        return task.import_task_id
