"""Delete the data that AWS Application Discovery Service imports brought in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_ads.discovery.import_task import IMPORT_RUNNING_STATUSES, check_import_task_ids
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.operators.deleting import AdsDeletingOperator
from airflow_provider_ads.version_compat import conf

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = ["AdsDeleteImportDataOperator"]


class AdsDeleteImportDataOperator(AdsDeletingOperator):
    """
    AWS Application Discovery Service: delete the data that imports brought into AWS Migration Hub.

    The account's quota of import records gets the records back. From servers that other imports describe too, what
    these imports said is removed. Nothing is deleted if one of the imports is still in progress. A retry does not ask
    again for what is being deleted.

    The result is the list of the ids.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html

    :param import_task_id: the id of an import, or any number of ids; 10 go with a call. (templated)
    :param delete_history: whether the import tasks go too, so that the service lists them no more. An id that it does
        not list counts as deleted then. (default: False)
    :param wait_for_completion: whether to wait until the data are deleted, however long that takes unless
        ``execution_timeout`` is set, which counts from the start of the try, deferred or not. (default: True)
    :param deferrable: whether to wait in the triggerer, without holding a worker; nothing without
        ``wait_for_completion``. (default: ``[operators] default_deferrable``)
    :param poll_interval: seconds, or a ``timedelta``, between two looks at the imports; more than 0. (default: 60)
    :param aws_conn_id: the Airflow connection with the credentials; None for boto3's own. (templated)
    :param region_name: the Migration Hub home region; None for that of the connection. (templated)
    :param verify: whether certificates are verified, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of :class:`botocore.config.Config`.
    :raises ValueError: ``poll_interval`` is out of range.
    """

    template_fields: Sequence[str] = aws_template_fields("import_task_id")

    def __init__(
        self,
        *,
        import_task_id: str | Iterable[str] | XComArg,
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
        self.import_task_id = import_task_id

    def execute(self, context: Any) -> list[str]:
        """
        Have the data deleted, and wait for it if asked to.

        :return: the ids, in the order given.
        :raises ValueError: there is no id, or one is not of the form of an import task id; nothing was sent.
        :raises ImportDeletionError: the data of one or more imports could not be deleted.
        :raises AdsCallError: AWS refused or could not be reached, or an import is still in progress.
        """
        import_task_ids = list(dict.fromkeys(check_import_task_ids(self.import_task_id)))
        import_tasks = self.look(import_task_ids)
        for task in import_tasks:
            if task.status in IMPORT_RUNNING_STATUSES:
                raise AdsCallError(
                    f"Import {task}. Nothing was deleted, because it is still in progress. Wait for it first, with "
                    "AdsImportTaskSensor.",
                    code="ImportInProgress",
                    import_task_id=task.import_task_id,
                )
        to_delete = []
        for task in import_tasks:
            if task.status == "DELETE_IN_PROGRESS" or (
                task.unlisted if self.delete_history else task.status == "DELETE_COMPLETE"
            ):
                self.log.warning("Import %s. Region %s: not asked for again", task, self.hook.conn_region_name)
            else:
                self.log.info("Import %s. Region %s: its data are to be deleted", task, self.hook.conn_region_name)
                to_delete.append(task.import_task_id)
        if to_delete:
            self.hook.delete_import_data(to_delete, self.delete_history)
        self.import_tasks = import_tasks
        return self.wait_until_deleted(context, import_task_ids)
