"""Delete the data of AWS Application Discovery Service imports that newer ones replace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_ads.discovery.import_task import (
    IMPORT_RUNNING_STATUSES,
    ImportTask,
    check_import_task_ids,
    check_name,
)
from airflow_provider_ads.discovery.retention import Superseded, reasons_against, superseded_imports
from airflow_provider_ads.exceptions import (
    OVER_LIMIT,
    AdsCallError,
    ImportDeletionError,
    ImportOutcomeError,
    fail_without_retry,
)
from airflow_provider_ads.operators.deleting import AdsDeletingOperator
from airflow_provider_ads.version_compat import conf

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = ["AdsPruneImportTasksOperator"]


class AdsPruneImportTasksOperator(AdsDeletingOperator):
    """
    AWS Application Discovery Service: delete the data of imports that newer imports of the same inventory replace.

    Every import counts its rows towards the account's 25,000 import records, those of servers that are known too. Of
    the imports whose name starts with ``name_prefix``, the operator deletes those that were requested before the oldest
    of ``superseded_by``, the oldest first, and only if all of ``superseded_by`` have ended well. Imports that are in
    progress stay, and so do all of ``superseded_by``. If the new imports may not replace the old ones, nothing is
    deleted and the task fails at once, with the reasons.

    When the account has deleted as many records as a day allows, the task succeeds with what was deleted, and says what
    is left for the next run.

    The result is the list of the ids whose data are deleted, with those that an earlier try of the task had deleted,
    unless their history is gone too.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html

    :param name_prefix: how the names of the imports of this inventory start, and those of no other: end it with a
        character that separates, as ``cmdb-`` does. (templated)
    :param superseded_by: the ids of all imports that this run started, one or more: those of all parts, if the
        inventory comes in parts. (templated)
    :param allow_failed_records: whether imports of which records failed may replace older ones, whose data may then
        be the only ones about these servers. (default: False)
    :param delete_history: whether the import tasks go too, so that the service lists them no more. (default: False)
    :param dry_run: whether to say only what would be deleted. (default: False)
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

    template_fields: Sequence[str] = aws_template_fields("name_prefix", "superseded_by")

    def __init__(
        self,
        *,
        name_prefix: str,
        superseded_by: str | Iterable[str] | XComArg,
        allow_failed_records: bool = False,
        delete_history: bool = False,
        dry_run: bool = False,
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
        self.name_prefix = name_prefix
        self.superseded_by = superseded_by
        self.allow_failed_records = allow_failed_records
        self._dry_run = dry_run  # dry_run is a method of Airflow's operators

    def execute(self, context: Any) -> list[str]:
        """
        Have the data of superseded imports deleted, and wait for it if asked to.

        :return: the ids, from the oldest on; with ``dry_run`` those whose data would be deleted.
        :raises ValueError: there is no id, one is not of the form of an import task id, or the prefix is blank.
        :raises AirflowFailException: the new imports may not replace the old ones; nothing was deleted.
        :raises ImportDeletionError: the data of one or more imports could not be deleted.
        :raises AdsCallError: AWS refused or could not be reached, or a new import is still in progress.
        """
        check_name(self.name_prefix)
        superseded_by = self.hook.get_import_tasks(check_import_task_ids(self.superseded_by))
        self._check(superseded_by)
        listed = self.hook.list_import_tasks(name_prefix=self.name_prefix)
        superseded = superseded_imports(listed, superseded_by)
        self._tell(superseded)
        deletable = [task.import_task_id for task in superseded.deletable]
        if self._dry_run:
            return deletable
        if deletable:
            deletable = self._delete(deletable)
        return self.wait_until_deleted(context, [*(task.import_task_id for task in superseded.going), *deletable])

    def conclude(self, import_tasks: Sequence[ImportTask]) -> list[str]:
        """Conclude as the base does, but leave to the next run what the limit of the day did not allow."""
        left = [task for task in import_tasks if task.status == "DELETE_FAILED_LIMIT_EXCEEDED"]
        if left:
            self._leave([task.import_task_id for task in left])
        return super().conclude([task for task in import_tasks if task not in left])

    def _check(self, superseded_by: Sequence[ImportTask]) -> None:
        running = [task for task in superseded_by if task.status in IMPORT_RUNNING_STATUSES]
        if running:
            raise AdsCallError(
                f"Import {running[0]}. Nothing was deleted, because it is still in progress. Wait for all of "
                "superseded_by first, with AdsImportTaskSensor.",
                code="ImportInProgress",
                import_task_id=running[0].import_task_id,
            )
        reasons = reasons_against(superseded_by, self.name_prefix, self.allow_failed_records)
        if reasons:
            message = "\n".join(["Nothing was deleted: the new imports may not replace older ones.", *reasons])
            self.log.error("%s", message)
            fail_without_retry(ImportOutcomeError(message, [task.summary() for task in superseded_by], try_again=False))

    def _tell(self, superseded: Superseded) -> None:
        would = "would be deleted" if self._dry_run else "its data are to be deleted"
        for task in superseded.deletable:
            self.log.info("Import %s. Superseded: %s", task, would)
        for task in superseded.going:
            self.log.info("Import %s. Superseded; not asked for again", task)
        for task in superseded.running:
            self.log.warning("Import %s. Requested earlier, and still in progress: it stays", task)
        for task in superseded.unknown:
            self.log.warning(
                "Import %s. It stays, because this version of airflow-provider-ads does not know its status, or AWS "
                "does not say when it was requested",
                task,
            )
        if superseded.deleted:
            self.log.info("Deleted before, and skipped: %s imports", f"{len(superseded.deleted):,}")

    def _delete(self, import_task_ids: list[str]) -> list[str]:
        """Return the ids that the service deletes, unless it refuses one for another reason than the day's limit."""
        try:
            self.hook.delete_import_data(import_task_ids, self.delete_history)
        except ImportDeletionError as error:
            if any(code != OVER_LIMIT for code in error.errors.values()):
                raise
            self._leave(list(error.errors))
            return [import_task_id for import_task_id in import_task_ids if import_task_id not in error.errors]
        return import_task_ids

    def _leave(self, import_task_ids: list[str]) -> None:
        self.log.warning(
            "The account's limit of 25,000 deleted records a day is reached. Left for the next run: %s", import_task_ids
        )
