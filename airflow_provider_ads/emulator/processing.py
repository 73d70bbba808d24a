"""The threads that process imports, deletions and exports, and determine their outcomes."""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from threading import Thread

from airflow_provider_ads.discovery import limits
from airflow_provider_ads.emulator.export_files import make_recommendations, make_summary
from airflow_provider_ads.emulator.export_tasks import ExportTask, ExportTasks
from airflow_provider_ads.emulator.import_files import RowError, make_error_archive, read_import_file
from airflow_provider_ads.emulator.import_tasks import ImportTask, ImportTasks
from airflow_provider_ads.emulator.quotas import Quotas, apply_quotas
from airflow_provider_ads.emulator.s3 import Storage, UnreadableFileError

__all__ = ["DeletionProcessor", "ExportProcessor", "ImportProcessor"]

_log = logging.getLogger(__name__)

#: Number of exports whose archives the emulator keeps.
_MAX_EXPORT_ARCHIVES = 20


class ImportProcessor(Thread):
    """
    A thread that processes imports one at a time, in the order in which they were started.

    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    The emulator's own choice: an import reads its file when it begins, and everything else happens when it ends.

    :param tasks: the import tasks. Closing them ends the thread.
    :param storage: the emulator's access to S3.
    :param quotas: the quotas of each region.
    """

    def __init__(self, tasks: ImportTasks, storage: Storage, quotas: Quotas) -> None:
        super().__init__(name="ads-emulator-imports", daemon=True)
        self._tasks = tasks
        self._storage = storage
        self._quotas = quotas

    def run(self) -> None:
        """Process imports until the tasks are closed."""
        while (task := self._tasks.next_import()) is not None:
            _log.info("%s: importing %r from %r", task.id, task.fields["name"], task.fields["importUrl"])
            try:
                reason = self._import(task)
            except Exception:
                reason = "the emulator failed unexpectedly"
                _log.exception("%s: %s", task.id, reason)
                self._tasks.complete(task, {"status": "INTERNAL_ERROR"})
            task.reason = reason
            _log.info("%s: %s: %s", task.id, task.fields["status"], reason)

    def _import(self, task: ImportTask) -> str:
        """
        Process one import.

        AWS documents the meaning of each status for the console:
        https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
        The emulator's own choices:

        - A file that is missing or too large is ``IMPORT_FAILED`` without an archive, although that page promises an
          archive for every ``IMPORT_FAILED``.
        - Counts are 0 until the import ends.
        - Imported applications count by name, failed ones by row.
        - Rows with more cells than the header fail.
        - An import that would exceed the quota of records or servers imports nothing. A row that would exceed one of
          applications or tags fails.

        :return: the reason for its status.
        """
        content, problem = b"", ""
        try:
            content = self._storage.read(str(task.fields["importUrl"]), limits.IMPORT_FILE_MAX_BYTES)
        except UnreadableFileError as error:
            problem = str(error)
        if not self._tasks.wait_import_seconds(task):
            return "the import was abandoned"
        if problem:
            self._tasks.complete(task, {"status": "IMPORT_FAILED"})
            return problem
        import_file = read_import_file(content)
        if import_file is None:
            self._tasks.complete(task, {"status": "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE"})
            return "neither a CSV file with a template column nor a ZIP file with the sheets of an RVTools export"
        rows, status = apply_quotas(self._tasks.imported_rows(task.region), import_file.rows, self._quotas)
        if status is not None:
            over_quota = (RowError("", status),)
            rows = [dataclasses.replace(row, errors=row.errors or over_quota) for row in rows]
        import_file = dataclasses.replace(import_file, rows=tuple(rows))
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


class DeletionProcessor(Thread):
    """
    A thread that completes each deletion when its time has passed.

    The emulator's own choice: deletions wait neither for each other nor for imports, and deleting an import also
    deletes its error archive, so that links to the archive stop working.

    :param tasks: the import tasks. Closing them ends the thread.
    :param storage: the emulator's access to S3.
    """

    def __init__(self, tasks: ImportTasks, storage: Storage) -> None:
        super().__init__(name="ads-emulator-deletions", daemon=True)
        self._tasks = tasks
        self._storage = storage

    def run(self) -> None:
        """Complete deletions until the tasks are closed."""
        while (task := self._tasks.next_deletion()) is not None:
            try:
                if task.has_archive:
                    self._storage.delete_archive(task.id)
                self._tasks.complete_deletion(task)
            except Exception:
                _log.exception("%s: the deletion failed unexpectedly", task.id)
                self._tasks.update_import_task(task.id, {"status": "DELETE_FAILED"})
            _log.info("%s: %s", task.id, task.fields["status"])


class ExportProcessor(Thread):
    """
    A thread that completes each export when its time has passed.

    Links to older archives stop working.

    :param exports: the export tasks. Closing them ends the thread.
    :param imports: the import tasks.
    :param storage: the emulator's access to S3.
    """

    def __init__(self, exports: ExportTasks, imports: ImportTasks, storage: Storage) -> None:
        super().__init__(name="ads-emulator-exports", daemon=True)
        self._exports = exports
        self._imports = imports
        self._storage = storage
        self._archives: deque[str] = deque()

    def run(self) -> None:
        """Complete exports until the tasks are closed."""
        while (task := self._exports.next_export()) is not None:
            try:
                self._export(task)
            except Exception:
                _log.exception("%s: the export failed unexpectedly", task.id)
                outcome = {"exportStatus": "FAILED", "statusMessage": "The emulator failed unexpectedly"}
                self._exports.complete(task, outcome, has_archive=False)
            _log.info("%s: %s: %s", task.id, task.fields["exportStatus"], task.fields["statusMessage"])

    def _export(self, task: ExportTask) -> None:
        outcome = {"exportStatus": "SUCCEEDED", **task.outcome}
        succeeds = outcome["exportStatus"] == "SUCCEEDED"
        if succeeds:
            rows = self._imports.imported_rows(task.region)
            if task.preferences is None:
                archive = make_summary(rows)
            else:
                archive = make_recommendations(rows, task.preferences, task.region)
            self._storage.write_archive(task.id, archive)
            self._archives.append(task.id)
            if len(self._archives) > _MAX_EXPORT_ARCHIVES:
                self._storage.delete_archive(self._archives.popleft())
        self._exports.complete(task, outcome, has_archive=succeeds)
