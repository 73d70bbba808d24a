"""Operator that deletes the data of superseded AWS Application Discovery Service imports."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_table import count_imports, format_table
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import check_name, join_first, renderable
from airflow_provider_ads.discovery.quotas import RECORD_QUOTA_XCOM_KEY, RecordQuota
from airflow_provider_ads.discovery.retention import Superseded, due_time, reasons_against, superseded_imports
from airflow_provider_ads.exceptions import (
    OVER_LIMIT,
    AdsCallError,
    ImportDeletionError,
    ImportOutcomeError,
    fail_without_retry,
)
from airflow_provider_ads.idempotency import due_time_of_run
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.operators.deleting import AdsDeletingOperator
from airflow_provider_ads.version_compat import conf
from airflow_provider_ads.waiting import MAX_DEFERRED_IMPORTS

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = ["AdsPruneImportTasksOperator"]


class AdsPruneImportTasksOperator(AdsDeletingOperator):
    """
    AWS Application Discovery Service: delete the data of imports that newer imports of the same inventory replace.

    Every import counts all its rows towards the account's 25,000 import records, even those of known servers. The
    operator deletes the imports whose name starts with ``name_prefix`` and that were requested before the oldest of
    ``superseded_by``, the oldest first, but only if all of ``superseded_by`` have succeeded. Imports that are in
    progress stay, and so do all of ``superseded_by``. If the new imports may not replace the old ones, nothing is
    deleted and the task fails immediately with the reasons.

    A run that is cleared, backfilled or triggered for an earlier date never deletes data that is newer than its own.
    Imports of runs that were due later stay, and imports of runs that were due earlier are deleted even if they were
    requested later. An import whose token contains no due time, because you chose the token or started the import
    elsewhere, stays if it was requested after this run was due.

    When the account reaches the daily limit of deleted records, the task succeeds, and its log lists the imports that
    are left for the next run.

    The result is the list of ids whose data is deleted, including those that an earlier attempt of the task deleted,
    unless their history is deleted too. The XCom ``deletion`` is ``{"dry_run", "import_tasks": [summary, ...]}`` with
    their summaries as last described: see :meth:`~airflow_provider_ads.discovery.import_task.ImportTask.summary`. It is
    pushed as soon as the deletion was requested and again after the wait, even if the deletion failed. An import that
    the service no longer lists has no status. The XCom ``record_quota`` is ``{"before", "after"}``: the import records
    that the account used when this attempt began, and those that remain without the imports in ``deletion``.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html

    :param name_prefix: the beginning of the names of this inventory's imports, and of no others. End it with a
        separator, such as ``cmdb-``. (templated)
    :param superseded_by: the ids of all the imports that this run started: those of all parts, if the inventory has
        several. (templated)
    :param allow_failed_records: True if imports with failed records may replace older ones, although these might be the
        only ones with those servers. (default: False)
    :param delete_history: True to delete the import tasks too, so that the service no longer lists them. (default:
        False)
    :param dry_run: True to log and return what would be deleted, without deleting it. (default: False)
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

    template_fields: Sequence[str] = aws_template_fields("name_prefix", "superseded_by")

    def __init__(
        self,
        *,
        name_prefix: str | XComArg,
        superseded_by: str | Iterable[str | XComArg] | XComArg,
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
        self.name_prefix: Any = name_prefix
        self.superseded_by: Any = renderable(superseded_by)
        self.allow_failed_records = allow_failed_records
        self._dry_run = dry_run  # dry_run is a method of Airflow's operators

    def execute(self, context: Any) -> list[str]:
        """
        Request the deletion of superseded imports, and wait for it with ``wait_for_completion``.

        :return: the ids, the oldest first; with ``dry_run`` those whose data would be deleted.
        :raises ValueError: there is no id, one does not have the form of an import task id, or the prefix is blank.
        :raises AirflowFailException: the new imports may not replace the old ones; nothing was deleted.
        :raises ImportDeletionError: the data of an import could not be deleted.
        :raises AdsCallError: AWS refused or could not be reached, or a new import is still in progress.
        """
        if self.wait_for_completion:
            self.check_deferral()
        self.name_prefix = check_name(self.name_prefix)
        superseded_by = self.hook.get_import_tasks(self.superseded_by)
        MigrationHubLink.persist_for(context, self)
        self._check(superseded_by)
        listed = list(self.hook.list_import_tasks())
        superseded = self._superseded(context, superseded_by, listed)
        self._log_superseded(superseded)
        deletable = [task.import_task_id for task in superseded.deletable]
        if self._dry_run:
            self._push_record_quota(context, listed, superseded.deletable)
            self.push_import_tasks(context, superseded.deletable)
            return deletable
        room = max(0, MAX_DEFERRED_IMPORTS - len(superseded.deleting))
        if len(deletable) > room:
            self.log.warning("%s left for the next run", count_imports(deletable[room:]))
            deletable = deletable[:room]
        if deletable:
            deletable = self._delete(deletable)
        deletions = superseded.deleting + [task for task in superseded.deletable if task.import_task_id in deletable]
        self._push_record_quota(context, listed, deletions)
        return self.wait_until_deleted(context, deletions, superseded.deletable)

    def _push_record_quota(self, context: Any, listed: Sequence[ImportTask], deletions: Sequence[ImportTask]) -> None:
        if self.do_xcom_push:
            before = RecordQuota.from_import_tasks(listed).used
            deleted = {task.import_task_id for task in deletions}
            after = RecordQuota.from_import_tasks(task for task in listed if task.import_task_id not in deleted).used
            context["ti"].xcom_push(key=RECORD_QUOTA_XCOM_KEY, value={"before": before, "after": after})

    def _superseded(
        self, context: Any, superseded_by: Sequence[ImportTask], listed: Iterable[ImportTask]
    ) -> Superseded:
        series = [task for task in listed if (task.name or "").startswith(self.name_prefix)]
        # The run that started the imports can be another one than this one, which an asset or a user triggered later.
        dues = [due_time_of_run(context["dag_run"]), *map(due_time, superseded_by)]
        return superseded_imports(series, superseded_by, min((due for due in dues if due), default=None))

    def describe_awaited(self, context: Any, import_task_ids: list[str]) -> list[ImportTask]:
        """Describe the imports whose deletion was requested: all superseded ones, if no ids are known."""
        if import_task_ids:
            return self.describe(import_task_ids)
        superseded_by = self.hook.get_import_tasks(self.superseded_by)
        superseded = self._superseded(context, superseded_by, self.hook.list_import_tasks())
        return [*superseded.deleting, *superseded.deletable]

    def end_wait(self, import_tasks: Sequence[ImportTask]) -> list[str]:
        """End the wait as the base class does, but leave imports beyond the daily limit to the next run."""
        left = [task for task in import_tasks if statuses.is_over_deletion_limit(task.status)]
        if left:
            self._log_left([task.import_task_id for task in left])
        return super().end_wait([task for task in import_tasks if task not in left])

    def _check(self, superseded_by: Sequence[ImportTask]) -> None:
        running = [task for task in superseded_by if statuses.is_running(task.status)]
        if running:
            raise AdsCallError(
                "Wait for all of superseded_by first, with AdsImportTaskSensor. Nothing was deleted, because this "
                f"import is still in progress.\n{running[0]}.",
                code="ImportInProgress",
                import_task_id=running[0].import_task_id,
            )
        reasons = reasons_against(superseded_by, self.name_prefix, self.allow_failed_records)
        if reasons:
            message = "\n".join(
                [join_first(reasons, "\n"), "Nothing was deleted, because the new imports may not replace older ones."]
            )
            fail_without_retry(ImportOutcomeError(message, [task.summary() for task in superseded_by], try_again=False))

    def _log_superseded(self, superseded: Superseded) -> None:
        kept = [*superseded.due_later, *superseded.running, *superseded.unknown]
        labelled = {
            "to delete": superseded.deletable,
            "not requested again": superseded.deleting,
            "kept: due later": superseded.due_later,
            "kept: in progress": superseded.running,
            "kept: not known": superseded.unknown,
        }
        lines = [
            f"{count_imports(superseded.deletable)} {'would be deleted' if self._dry_run else 'to delete'}, "
            f"{len(kept):,} older kept, {len(superseded.deleted):,} deleted before",
            format_table(
                [task for tasks in labelled.values() for task in tasks],
                [label for label, tasks in labelled.items() for _ in tasks],
            ),
        ]
        if superseded.due_later:
            records = sum((task.server_import_success or 0) for task in superseded.due_later)
            lines.append(
                f"{records:,} import records stay, because they belong to runs that were due later than this one. The "
                "prune of the newest run deletes what it replaces"
            )
        if superseded.unknown:
            lines.append(
                "Not known: this version of airflow-provider-ads does not know the status, or AWS did not send the "
                "time of the request"
            )
        self.log.log(logging.WARNING if kept else logging.INFO, "%s", "\n".join(filter(None, lines)))

    def _delete(self, import_task_ids: list[str]) -> list[str]:
        """Return the ids that the service deletes; only refusals because of the daily limit are tolerated."""
        try:
            self.hook.delete_import_data(import_task_ids, self.delete_history)
        except ImportDeletionError as error:
            if any(code != OVER_LIMIT for code in error.errors.values()):
                raise
            self._log_left(list(error.errors))
            return [import_task_id for import_task_id in import_task_ids if import_task_id not in error.errors]
        return import_task_ids

    def _log_left(self, import_task_ids: list[str]) -> None:
        self.log.warning(
            "%s left for the next run, because the account's limit of 25,000 deleted records a day is exceeded: %s",
            count_imports(import_task_ids),
            join_first(import_task_ids),
        )
