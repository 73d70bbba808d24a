"""Export discovered data and EC2 recommendations from AWS Application Discovery Service to S3."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_ads.discovery.download import ArchiveDownloadError
from airflow_provider_ads.discovery.export_task import ExportTask
from airflow_provider_ads.discovery.exported_files import open_exported_files
from airflow_provider_ads.discovery.parameters import check_ec2_recommendations
from airflow_provider_ads.discovery.verdicts import VerdictKind, judge_export
from airflow_provider_ads.exceptions import AdsCallError, ExportFailedError
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.operators.s3_files import AdsS3FilesOperator
from airflow_provider_ads.triggers import AdsExportTrigger
from airflow_provider_ads.version_compat import conf
from airflow_provider_ads.waiting import AdsWaitingOperator

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import XComArg

__all__ = ["EXPORT_TASK_XCOM_KEY", "AdsExportToS3Operator"]

#: Key of the XCom with the export's summary. It is pushed before the wait begins and again after it.
EXPORT_TASK_XCOM_KEY = "export_task"

#: Seconds to wait before each further attempt to download an archive, about a minute in all. A retry of the task would
#: start another export.
DOWNLOAD_PAUSES = (2.0, 4.0, 8.0, 16.0, 32.0)


class AdsExportToS3Operator(AdsWaitingOperator, AdsS3FilesOperator):
    """
    AWS Application Discovery Service: export discovered data, such as EC2 instance recommendations, to S3.

    The operator starts an export, waits for it, and writes each file of its archive, unchanged, to a folder in
    ``destination_url`` that is named after the export. Recommendations are in a file whose name begins with
    ``EC2InstanceRecommendations``, with one row for each server:
    https://docs.aws.amazon.com/migrationhub/latest/ug/understanding-ec2-recommendations.html

    The result is ``{"export_id": "...", "files": ["s3://...", ...], "is_truncated": False}``. The XCom ``export_task``
    is the export's summary, even if the task fails. A truncated export is incomplete, and logged as a warning.

    An export might not contain what was imported just before, so let a few minutes pass after an import:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-api-queries.html

    The service accepts no token for exports, so a retry starts another export. It cannot cancel exports.

    The service offers the files as an archive behind a presigned URL. The URL is a credential, so the operator requests
    it just before the download and does not store it:
    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ExportInfo.html

    :param destination_url: the folder for the files, as ``s3://bucket/prefix``. (templated)
    :param ec2_recommendations: the preferences of EC2 recommendations without ``enabled``, such as
        ``{"preferredRegion": "us-west-2"}``:
        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_Ec2RecommendationsExportPreferences.html.
        None to export a summary of all servers, applications and tags instead. (templated) (default: None)
    :param deferrable: True to wait in the triggerer without occupying a worker. The wait is unlimited unless
        ``execution_timeout`` is set, which counts from the start of the attempt, deferred or not.
        (default: ``[operators] default_deferrable``)
    :param poll_interval: seconds, or a ``timedelta``, between two polls; more than 0. (default: 60)
    :param aws_conn_id: the Airflow connection for the service and S3; None for boto3's default credentials. (templated)
    :param region_name: the Migration Hub home region; None for the connection's region. (templated)
    :param verify: False to skip the verification of certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments for :class:`botocore.config.Config`.
    :raises ValueError: ``poll_interval`` is out of range, or ``ec2_recommendations`` contains ``enabled``.
    """

    template_fields: Sequence[str] = aws_template_fields("destination_url", "ec2_recommendations")
    template_fields_renderers = {"ec2_recommendations": "json"}
    trigger_class = AdsExportTrigger
    operator_extra_links = (MigrationHubLink(),)

    #: The URLs of the files written so far.
    files: Sequence[str] = ()

    def __init__(
        self,
        *,
        destination_url: str | XComArg,
        ec2_recommendations: Mapping[str, Any] | XComArg | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 60,
        **kwargs: Any,
    ) -> None:
        super().__init__(wait_for_completion=True, deferrable=deferrable, poll_interval=poll_interval, **kwargs)
        self.destination_url = destination_url
        self.ec2_recommendations: Any = ec2_recommendations
        if isinstance(ec2_recommendations, Mapping):
            check_ec2_recommendations(ec2_recommendations)

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Start an export, wait for it, and write its files.

        :return: the export's id, the URLs of the files, and whether the export is incomplete.
        :raises ValueError: a rendered parameter does not have the required form; nothing was sent.
        :raises ExportFailedError: the export failed.
        :raises AdsCallError: a call failed, the status is unknown, or the archive is missing or damaged.
        """
        self.folder_url()
        self.check_deferral()
        # The service returns only the id. It is described by the wait, which tolerates an outage: a task that failed
        # now would start another export.
        export_id = self.hook.start_export_task(self.ec2_recommendations)
        export_task = ExportTask(export_id=export_id, export_status="IN_PROGRESS")
        self.import_tasks = [export_task]
        self.push_import_tasks(context, self.import_tasks)
        self.log.info("%s", export_task.describe(f"started in {self.hook.conn_region_name}"))
        MigrationHubLink.persist_for(context, self)
        return self._end_wait(context, self.wait(context, self.import_tasks)[0])

    def execute_complete(self, context: Any, event: Any = None) -> dict[str, Any]:
        """Resume after the triggerer's wait; returns and raises what :meth:`execute` does."""
        return self._end_wait(context, self.read_event(context, event)[0])

    def describe(self, export_ids: Sequence[str]) -> list[ExportTask]:
        """Return the current state of the export."""
        return self.hook.get_export_tasks(export_ids)

    def push_import_tasks(self, context: Any, import_tasks: Sequence[ExportTask]) -> None:
        """Push the export's summary as the XCom ``export_task``, unless the task has ``do_xcom_push=False``."""
        if context["ti"].task.do_xcom_push:
            context["ti"].xcom_push(key=EXPORT_TASK_XCOM_KEY, value=import_tasks[0].summary())

    def defer_until(self, deadline: float | None) -> None:
        """Defer the task until the export has ended."""
        (export_task,) = self.import_tasks
        self.log.info("Waiting in the triggerer for export %s", export_task.export_id)
        self.defer_to(self.trigger_class, deadline, export_id=export_task.export_id, poll_interval=self.poll_interval)

    def describe_awaited(self, context: Any, export_ids: list[str]) -> list[ExportTask]:
        """Describe the export; an empty list if its id is not known."""
        return self.describe(export_ids) if export_ids else []

    def _poll_once_more(self, context: Any, export_ids: list[str]) -> list[ExportTask]:
        if not export_ids:
            # Airflow itself ended the deferral, so only the XCom contains the id. Only the main thread reads XComs.
            ti = context["ti"]
            summary = ti.xcom_pull(task_ids=self.task_id, key=EXPORT_TASK_XCOM_KEY, map_indexes=ti.map_index)
            export_ids = [summary["exportId"]] if summary else []
        return super()._poll_once_more(context, export_ids)

    @property
    def subject(self) -> str:
        """The awaited export, for messages."""
        return f"the export in the XCom {EXPORT_TASK_XCOM_KEY!r}"

    def on_kill(self) -> None:
        """Log that the export continues when the task is killed or exceeds its ``execution_timeout``."""
        for export_task in self.import_tasks:
            if self.trigger_class.is_running(export_task.status):
                self.log.warning(
                    "The task was killed. A retry starts another export, although this one continues at AWS: %s",
                    export_task,
                )

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """
        Return the written files for OpenLineage; Airflow calls this even if the task has failed.

        :param task_instance: the task instance that has ended.
        """
        from airflow_provider_ads.lineage import lineage_of_export

        return lineage_of_export(self.files)

    def _end_wait(self, context: Any, export_task: ExportTask) -> dict[str, Any]:
        self.import_tasks = [export_task]
        self.push_import_tasks(context, self.import_tasks)
        kind, advice = judge_export(export_task)
        if kind is VerdictKind.FAILED:
            raise ExportFailedError(f"{advice}\n{export_task}.", export_task.summary())
        if kind is not VerdictKind.DONE:
            raise AdsCallError(f"{advice}\n{export_task}.", code="UnknownStatus")
        self._download(export_task.export_id)
        is_truncated = bool(export_task.is_truncated)
        if is_truncated:
            self.log.warning("%s", export_task.describe("incomplete, because it would exceed AWS's size limit"))
        self.log.info("%s:\n%s", export_task.describe(f"{len(self.files)} files"), "\n".join(self.files))
        return {"export_id": export_task.export_id, "files": [*self.files], "is_truncated": is_truncated}

    def _download(self, export_id: str) -> None:
        """Write each file of the export's archive, in several attempts if the failure is usually temporary."""
        for pause in (*DOWNLOAD_PAUSES, None):
            try:
                # An earlier answer's URL might have expired, and events contain none.
                (export_task,) = self.describe([export_id])
                self._write(export_task)
            except AdsCallError as error:
                if pause is None or not error.transient:
                    raise
                self.log.warning("Downloading again in %.0f seconds: %s", pause, error)
                time.sleep(pause)
            else:
                return

    def _write(self, export_task: ExportTask) -> None:
        """Write each file of the export's archive."""
        url = export_task.configurations_download_url
        if url is None:
            raise AdsCallError(
                f"Run the task again, which starts another export: AWS does not offer the archive.\n{export_task}.",
                code="ArchiveNotFound",
            )
        # AWS allows every character but whitespace in an id.
        folder = self.folder_url(re.sub(r"[^\w.-]", "_", export_task.export_id))
        self.files = files = []
        try:
            with open_exported_files(url, self.ca_bundle) as exported:
                for name, path in exported.items():
                    files.append(self.upload(path, folder + name))
        except ArchiveDownloadError as error:
            raise AdsCallError(f"{error}\n{export_task}.", error.code, transient=error.transient) from None
