"""The import processor: works imports off and decides how they end."""

from __future__ import annotations

import dataclasses
import logging
from threading import Thread

from airflow_provider_ads.discovery import limits
from airflow_provider_ads.emulator.error_archive import make_error_archive
from airflow_provider_ads.emulator.import_quotas import exceeded_quota
from airflow_provider_ads.emulator.import_rows import Row, RowError, read_import_file
from airflow_provider_ads.emulator.import_tasks import ImportTask, ImportTasks
from airflow_provider_ads.emulator.storage import Storage, UnreadableFileError

__all__ = ["ImportProcessor"]

_log = logging.getLogger(__name__)


class ImportProcessor(Thread):
    """
    A thread that does one import after another, in the order they were started.

    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    The emulator's own choice: the file is read when its turn comes, and all else happens when its time is up.

    :param tasks: the tasks; closing them ends the thread.
    :param storage: S3.
    :param record_quota: records that a region may hold.
    :param server_quota: servers that a region may hold.
    """

    def __init__(self, tasks: ImportTasks, storage: Storage, record_quota: int, server_quota: int) -> None:
        super().__init__(name="ads-emulator-imports", daemon=True)
        self._tasks = tasks
        self._storage = storage
        self._record_quota = record_quota
        self._server_quota = server_quota

    def run(self) -> None:
        """Do imports until the tasks are closed."""
        while (task := self._tasks.next_import()) is not None:
            _log.info("%s: importing %r from %r", task.id, task.fields["name"], task.fields["importUrl"])
            try:
                reason = self._import(task)
            except Exception:
                reason = "the import broke down"
                _log.exception("%s: %s", task.id, reason)
                self._tasks.complete(task, {"status": "INTERNAL_ERROR"})
            _log.info("%s: %s: %s", task.id, task.fields["status"], reason)

    def _import(self, task: ImportTask) -> str:
        """
        Do one import.

        The statuses' meanings are documented for the console:
        https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
        The emulator's own choice: a file that is missing or too large is ``IMPORT_FAILED`` without an archive
        (there the page has an archive for every ``IMPORT_FAILED``); counts are set once a file's type is known;
        applications count by name if imported, and by row if not; rows with more cells than the header fail;
        an import that would exceed a quota imports nothing.

        :return: why it ended as it did.
        """
        content, problem = b"", ""
        try:
            content = self._storage.read(str(task.fields["importUrl"]), limits.IMPORT_FILE_MAX_BYTES)
        except UnreadableFileError as error:
            problem = str(error)
        if not self._tasks.wait_import_seconds(task):
            return "given up"
        if problem:
            self._tasks.complete(task, {"status": "IMPORT_FAILED"})
            return problem
        import_file = read_import_file(content)
        if import_file is None:
            self._tasks.complete(task, {"status": "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE"})
            return "not a CSV with a template column, nor a ZIP with a vInfo sheet"
        held = self._tasks.imported_rows(task.region)
        held += (row for row in import_file.rows if not row.errors)
        status = exceeded_quota(held, record_quota=self._record_quota, server_quota=self._server_quota)
        if status is not None:
            import_file = dataclasses.replace(
                import_file, rows=tuple(_over_quota(row, status) for row in import_file.rows)
            )
        imported = [row for row in import_file.rows if not row.errors]
        failed = [row for row in import_file.rows if row.errors]
        if status is None:
            status = "IMPORT_COMPLETE_WITH_ERRORS" if failed else "IMPORT_COMPLETE"
            status = status if imported else "IMPORT_FAILED"
        if status != "IMPORT_COMPLETE":
            self._storage.write_archive(task.id, make_error_archive(import_file))
        outcome = {
            "status": status,
            "fileClassification": import_file.classification,
            "serverImportSuccess": len(imported),
            "serverImportFailure": len(failed),
            "applicationImportSuccess": len(frozenset().union(*(row.applications for row in imported))),
            "applicationImportFailure": sum(bool(row.applications) for row in failed),
        }
        self._tasks.complete(task, outcome, has_archive=status != "IMPORT_COMPLETE", rows=imported)
        return f"{len(imported)} imported, {len(failed)} failed"


def _over_quota(row: Row, status: str) -> Row:
    return dataclasses.replace(row, errors=row.errors or (RowError("", status),))
