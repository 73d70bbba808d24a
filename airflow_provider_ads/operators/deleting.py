"""Base class for operators that delete imported data."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_provider_ads import hooks
from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_table import count_imports, format_table
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import as_list
from airflow_provider_ads.discovery.verdicts import MISSING_TASK_POLLS, Verdict, VerdictKind, judge_deletion
from airflow_provider_ads.exceptions import ImportDeletionError
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.triggers import AdsDeleteImportDataTrigger
from airflow_provider_ads.waiting import AdsWaitingOperator, end_wait

__all__ = ["DELETION_XCOM_KEY", "AdsDeletingOperator"]

#: Key of the XCom with the imports whose data is deleted.
DELETION_XCOM_KEY = "deletion"


class AdsDeletingOperator(AdsWaitingOperator):
    """
    AWS Application Discovery Service: base class for operators that delete imported data.

    :param delete_history: True to delete the import tasks too.
    :param kwargs: the parameters of :class:`~airflow_provider_ads.waiting.AdsWaitingOperator`.
    """

    trigger_class = AdsDeleteImportDataTrigger
    operator_extra_links = (MigrationHubLink(),)

    #: True to delete nothing. The name has an underscore because Airflow's operators have a method dry_run.
    _dry_run = False

    def __init__(self, *, delete_history: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delete_history = delete_history

    def describe(self, import_task_ids: str | Iterable[str]) -> list[ImportTask]:
        """Return the current state of the tasks in the order of their ids; one that is not listed has no status."""
        ids = as_list(import_task_ids)
        listed = self.hook.find_import_tasks(ids)
        return [listed.get(id_, ImportTask(import_task_id=id_)) for id_ in dict.fromkeys(ids)]

    def wait_until_deleted(
        self, context: Any, import_tasks: Sequence[ImportTask], requested: Iterable[ImportTask]
    ) -> list[str]:
        """
        Push the XCom ``deletion``, and wait for the deletions with ``wait_for_completion``.

        :param context: the task's context.
        :param import_tasks: the imports to wait for, as last described.
        :param requested: those of them whose deletion has just been requested, as described before the request.
        :return: the ids of the imports whose data is deleted, or will be.
        :raises ImportDeletionError: the data of an import could not be deleted.
        :raises AdsCallError: AWS refused or could not be reached, or a status is unknown.
        """
        import_task_ids = [task.import_task_id for task in import_tasks]
        self.push_import_tasks(context, import_tasks)
        if not import_task_ids:
            return []
        if not self.wait_for_completion:
            if self.deferrable:
                self.log.info("Not waiting for the deletion, because wait_for_completion is False")
            return import_task_ids
        import_tasks = self._describe_after_request(import_task_ids, requested)
        self.push_import_tasks(context, import_tasks)
        return self._end(context, self.wait(context, import_tasks))

    def _describe_after_request(
        self, import_task_ids: Sequence[str], requested: Iterable[ImportTask]
    ) -> list[ImportTask]:
        """Describe the imports; if an earlier deletion had failed, poll again until its status is no longer shown."""
        before = {(task.import_task_id, task.status) for task in requested if statuses.is_deletion_failed(task.status)}
        import_tasks = self.describe(import_task_ids)
        for _ in range(MISSING_TASK_POLLS - 1):
            if before.isdisjoint((task.import_task_id, task.status) for task in import_tasks):
                break
            time.sleep(hooks.MISSING_TASK_INTERVAL)
            import_tasks = self.describe(import_task_ids)
        return import_tasks

    def execute_complete(self, context: Any, event: Any = None) -> list[str]:
        """Resume after the triggerer's wait; returns and raises what ``execute`` does."""
        return self._end(context, self.read_event(context, event))

    def _end(self, context: Any, import_tasks: Sequence[ImportTask]) -> list[str]:
        self.push_import_tasks(context, import_tasks)
        return self.end_wait(import_tasks)

    def push_import_tasks(self, context: Any, import_tasks: Sequence[ImportTask]) -> None:
        """
        Push the XCom ``deletion``, unless the task has ``do_xcom_push=False``; it replaces an earlier one.

        An import that is no longer listed keeps the fields of the earlier one, but has no status.

        :param context: the task's context.
        :param import_tasks: the imports whose data is deleted, as last described.
        """
        if not self.do_xcom_push:
            return
        ti = context["ti"]
        known: dict[str, dict[str, Any]] = {}
        if not all(task.is_listed for task in import_tasks):
            pushed = ti.xcom_pull(task_ids=ti.task_id, key=DELETION_XCOM_KEY, map_indexes=ti.map_index)
            known = {summary["importTaskId"]: summary for summary in (pushed or {}).get("import_tasks", ())}
        summaries = [
            task.summary() if task.is_listed else known.get(task.import_task_id, task.summary()) | {"status": None}
            for task in import_tasks
        ]
        ti.xcom_push(key=DELETION_XCOM_KEY, value={"dry_run": self._dry_run, "import_tasks": summaries})

    def end_wait(self, import_tasks: Sequence[ImportTask]) -> list[str]:
        """
        Log the verdict on every deletion, and fail unless all succeeded.

        :return: the ids.
        :raises ImportDeletionError: a deletion failed.
        :raises AdsCallError: a status is unknown, and no deletion failed.
        """
        end_wait(
            [judge_deletion(import_task) for import_task in import_tasks], _deletion_error, self.log, done="deleted"
        )
        return [import_task.import_task_id for import_task in import_tasks]

    def on_kill(self) -> None:
        """Log that the deletion continues when the task is killed or exceeds its ``execution_timeout``."""
        if self.import_tasks:
            self.log.warning(
                "The task was killed, but AWS continues to delete the data of %s; a retry waits for it\n%s",
                count_imports(self.import_tasks),
                format_table(self.import_tasks),
            )

    @property
    def subject(self) -> str:
        """The awaited imports, for messages."""
        return "the deletions, whose ids this task logged before it was deferred,"


def _deletion_error(message: str, verdicts: Sequence[Verdict]) -> ImportDeletionError:
    failed = [verdict.import_task for verdict in verdicts if verdict.kind is VerdictKind.FAILED]
    return ImportDeletionError(message, {task.import_task_id: str(task.status) for task in failed})
