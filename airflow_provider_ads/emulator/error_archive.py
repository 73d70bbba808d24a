"""The archive that explains which records of an import failed, and why."""

from __future__ import annotations

import csv
import io
import zipfile

from airflow_provider_ads.emulator.import_rows import ImportFile

__all__ = ["make_error_archive"]


def make_error_archive(import_file: ImportFile) -> bytes:
    """
    Make the error archive of an import.

    It holds one line per failed field, and the failed rows as they were sent, to be fixed and imported again:
    ``doc_source/troubleshooting.md`` in https://github.com/awsdocs/amazon-application-discovery-user-guide.
    The header of the errors file is documented nowhere: the emulator's own choice.

    :param import_file: the file that was imported.
    :return: the archive, a ZIP file.
    """
    failed = [row for row in import_file.rows if row.errors]
    errors = io.StringIO(newline="")
    writer = csv.writer(errors)
    writer.writerow(("line", "column name", "ExternalId", "message"))
    writer.writerows((row.line, error.column, row.external_id, error.message) for row in failed for error in row.errors)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("errors-file.csv", errors.getvalue())
        members.writestr("failed-entries-file.csv", import_file.header + "".join(row.text for row in failed))
    return archive.getvalue()
