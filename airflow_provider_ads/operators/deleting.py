"""What the operators share that delete the data of imports."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow_provider_ads.discovery.import_task import ImportTask, VerdictKind, judge_deletion, name_some
from airflow_provider_ads.exceptions import AdsCallError, ImportDeletionError
from airflow_provider_ads.operators.waiting import AdsWaitingOperator
from airflow_provider_ads.triggers import AdsDeleteImportDataTrigger

__all__ = ["AdsDeletingOperator"]


class AdsDeletingOperator(AdsWaitingOperator):
    """
    AWS Application Discovery Service: the base of operators that delete the data of imports.

    :param delete_history: whether the import tasks go too.
    :param kwargs: those of :class:`~airflow_provider_ads.operators.waiting.AdsWaitingOperator`.
    """

    trigger_class = AdsDeleteImportDataTrigger

    def __init__(self, *, delete_history: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delete_history = delete_history

    def look(self, import_task_ids: Sequence[str]) -> list[ImportTask]:
        """Return the tasks as they are now, in the order of their ids; one that is not listed has no status."""
        listed = self.hook.find_import_tasks(import_task_ids)
        return [listed.get(id_, ImportTask(import_task_id=id_)) for id_ in import_task_ids]

    def wait_until_deleted(self, context: Any, import_task_ids: Sequence[str]) -> list[str]:
        """
        Wait, if asked to, until the data of imports are deleted, which was asked for.

        :return: the ids of those whose data are deleted, or will be.
        :raises ImportDeletionError: the data of one or more could not be deleted.
        :raises AdsCallError: AWS refused or could not be reached, or the status of one is unknown.
        """
        if not import_task_ids:
            return []
        if not self.wait_for_completion:
            if self.deferrable:
                self.log.info("Not waiting for the deletion, because wait_for_completion is False")
            return list(import_task_ids)
        return self.conclude(self.wait(context, self.look(import_task_ids)))

    def execute_complete(self, context: Any, event: Any = None) -> list[str]:
        """Take up the task after the triggerer's wait; returns and raises what ``execute`` does."""
        return self.conclude(self.trigger_class.read_event(event))

    def conclude(self, import_tasks: Sequence[ImportTask]) -> list[str]:
        """
        Log how every deletion ended, and fail unless all ended well.

        :return: the ids.
        :raises ImportDeletionError: one or more ended, and not well.
        :raises AdsCallError: the status of one is unknown, and none failed.
        """
        verdicts = [judge_deletion(import_task) for import_task in import_tasks]
        for verdict in verdicts:
            level = logging.INFO if verdict.kind is VerdictKind.DONE else logging.ERROR
            self.log.log(level, "%s", verdict.explanation)
        bad = [verdict for verdict in verdicts if verdict.kind is not VerdictKind.DONE]
        message = "\n".join(verdict.explanation for verdict in bad)
        failed = {
            verdict.import_task.import_task_id: str(verdict.import_task.status)
            for verdict in bad
            if verdict.kind is VerdictKind.FAILED
        }
        if failed:
            raise ImportDeletionError(message, failed)
        if bad:
            raise AdsCallError(message, code="UnknownStatus", import_task_id=bad[0].import_task.import_task_id)
        return [import_task.import_task_id for import_task in import_tasks]

    def on_kill(self) -> None:
        """Say that the deletion goes on, when the task is killed or runs into its ``execution_timeout``."""
        if self.import_tasks:
            ids = [task.import_task_id for task in self.import_tasks]
            self.log.warning("%s: %s. A retry of this task waits for it", name_some(ids), self.trigger_class.going_on)

    @property
    def about(self) -> str:
        """What is waited for, in the words of a message."""
        return "the deletions, whose ids this task logged before it was deferred,"
