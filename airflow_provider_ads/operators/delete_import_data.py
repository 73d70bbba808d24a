"""Operator that deletes the data of AWS Application Discovery Service imports."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_table import count_imports, format_table
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import as_list, renderable
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.operators.deleting import AdsDeletingOperator
from airflow_provider_ads.version_compat import conf

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = ["AdsDeleteImportDataOperator"]


class AdsDeleteImportDataOperator(AdsDeletingOperator):
    """
    AWS Application Discovery Service: delete imported data from AWS Migration Hub.

    The records no longer count towards the account's quota. Servers that are also in other imports lose only the data
    of the deleted imports. Nothing is deleted if one of the imports is still in progress. A retry does not repeat
    requests for deletions that are in progress.

    The result is the list of the ids. The XCom ``deletion`` is ``{"dry_run": False, "import_tasks": [summary, ...]}``
    with their summaries as last described: see
    :meth:`~airflow_provider_ads.discovery.import_task.ImportTask.summary`. It is pushed as soon as the deletion was
    requested and again after the wait, even if the deletion failed. An import that the service no longer lists has no
    status.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html

    :param import_task_id: the id of an import, or any iterable of ids; each call deletes 10. (templated)
    :param delete_history: True to delete the import tasks too, so that the service no longer lists them. An id that it
        does not list then counts as deleted. (default: False)
    :param wait_for_completion: True to wait until the data is deleted. The wait is unlimited unless
        ``execution_timeout`` is set, which counts from the start of the attempt, deferred or not. (default: True)
    :param deferrable: True to wait in the triggerer without occupying a worker; without ``wait_for_completion`` it has
        no effect. (default: ``[operators] default_deferrable``)
    :param poll_interval: seconds, or a ``timedelta``, between two polls; more than 0. (default: 60)
    :param aws_conn_id: the Airflow connection; None for boto3's default credentials. (templated)
    :param region_name: the Migration Hub home region; None for the connection's region. (templated)
    :param verify: False to skip the verification of certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments for :class:`botocore.config.Config`.
    :raises ValueError: ``poll_interval`` is out of range.
    """

    template_fields: Sequence[str] = aws_template_fields("import_task_id")

    def __init__(
        self,
        *,
        import_task_id: str | Iterable[str | XComArg] | XComArg,
        delete_history: bool = False,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 60,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            delete_history=delete_history,
            wait_for_completion=wait_for_completion,
            deferrable=deferrable,
            poll_interval=poll_interval,
            **kwargs,
        )
        self.import_task_id: Any = renderable(import_task_id)

    def execute(self, context: Any) -> list[str]:
        """
        Request the deletion, and wait for it with ``wait_for_completion``.

        :return: the ids in the order given, without repetitions.
        :raises ValueError: there is no id, or one does not have the form of an import task id; nothing was sent.
        :raises ImportDeletionError: the data of an import could not be deleted.
        :raises AdsCallError: AWS refused or could not be reached, or an import is still in progress.
        """
        import_task_ids = as_list(self.import_task_id)
        if self.wait_for_completion:
            self.check_deferral(import_task_ids)
        import_tasks = self.describe(import_task_ids)
        MigrationHubLink.persist_for(context, self)
        for task in import_tasks:
            if statuses.is_running(task.status):
                raise AdsCallError(
                    "Wait for the import first, with AdsImportTaskSensor. Nothing was deleted, because it is still in "
                    f"progress.\n{task}.",
                    code="ImportInProgress",
                    import_task_id=task.import_task_id,
                )
        to_delete = []
        labels = []
        for task in import_tasks:
            deleted = not task.is_listed if self.delete_history else statuses.is_deleted(task.status)
            if not deleted and not statuses.is_being_deleted(task.status):
                to_delete.append(task)
            labels.append("deleting" if task in to_delete[-1:] else "not requested again")
        self.log.log(
            logging.INFO if to_delete else logging.WARNING,
            "%s to delete in %s\n%s",
            count_imports(to_delete),
            self.hook.conn_region_name,
            format_table(import_tasks, labels),
        )
        if to_delete:
            self.hook.delete_import_data([task.import_task_id for task in to_delete], self.delete_history)
        self.import_tasks = import_tasks
        return self.wait_until_deleted(context, import_tasks, to_delete)

    def describe_awaited(self, context: Any, import_task_ids: list[str]) -> list[ImportTask]:
        """Describe the imports whose deletion the operator requested."""
        return self.describe(import_task_ids or self.import_task_id)
