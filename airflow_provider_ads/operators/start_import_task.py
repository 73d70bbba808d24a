"""Operator that starts AWS Application Discovery Service imports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_table import count_imports, format_table
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import (
    check_client_request_token,
    check_import_url,
    check_max_failed_records,
    check_name,
    import_urls_by_name,
    is_list,
    renderable,
)
from airflow_provider_ads.exceptions import AdsCallError, ImportOutcomeError, fail_without_retry
from airflow_provider_ads.idempotency import Start, StartRequest, is_failed_or_deleted, log_starts, start_all
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.version_compat import AirflowSkipException, conf
from airflow_provider_ads.waiting import (
    MAX_DEFERRED_IMPORTS,
    AdsWaitingOperator,
    attach_to_asset_events,
    end_import_wait,
    push_import_task,
)

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import XComArg

__all__ = ["AdsStartImportTaskOperator"]


class AdsStartImportTaskOperator(AdsWaitingOperator):
    """
    AWS Application Discovery Service: start the imports of server inventories into AWS Migration Hub.

    By default, the task succeeds as soon as AWS has accepted the import, and
    :class:`~airflow_provider_ads.sensors.AdsImportTaskSensor` waits for it. With ``wait_for_completion``, the task
    itself waits: after IMPORT_FAILED or INTERNAL_ERROR it follows its ``retries``, each of which starts a new import;
    any other failed import fails the task immediately.

    With a list of files, the task starts an import for each of them, and waits for all of them with one deferral. A
    retry starts only what is missing or has failed. If an import fails for a reason that a new import would not change,
    the task fails without a retry.

    A task starts one import of a file, no matter how many times it is killed and retried: a retry adopts the import
    that an earlier attempt has started, unless that import failed or was deleted. Clearing the task starts a new
    import. A retry does not notice that the file has changed. It starts a second import if the rendered ``name`` or
    ``import_url`` differs between attempts, or if the Dag run was set back to queued meanwhile. If a list lacks a file
    that it contained in an earlier attempt, a warning names the import of that file. Killing the task leaves its import
    running, because the service cannot cancel imports.

    The result is the import task id. A task that waits pushes it before the wait, so that tasks with another
    ``trigger_rule`` have it even if the wait fails. The XCom ``import_task`` is the import's summary: see
    :meth:`~airflow_provider_ads.discovery.import_task.ImportTask.summary`. It is pushed as soon as the import has
    started and again after the wait, even if the import failed. A wait on a worker also pushes each change; while a
    task is deferred, the XCom stays as it is, because Airflow documents no way for triggers to push XComs. For a list
    of files, the result and the XCom are lists in the order of the files; if AWS refuses to start one, the XCom
    contains the imports that were started before.

    With ``outlets``, the summary is also in the ``extra`` of their asset events, as ``import_task``. OpenLineage events
    contain the file as an input and the summary as the run facet ``awsDiscovery_import``, whose ``tasks`` contains the
    summaries for a list of files.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

    :param name: the name of the import, 1 to 255 characters, not necessarily unique. With a list of files, the name of
        each import is this one, a hyphen, and the file's name without its extension. (templated)
    :param import_url: the URL of the file, such as ``s3://bucket/key``, at most 4,000 characters. Or any iterable of at
        most 1,000 URLs, such as the ``.output`` of the task that prepares the files; it can contain lists, as that of a
        mapped task does. An empty list skips the task. (templated)
    :param client_request_token: your own token of 1 to 100 characters for a single file, sent unchanged. The service
        starts one import for each token and always returns it again, even if it failed or the task is cleared. None for
        a token that is derived from the task instance. (templated) (default: None)
    :param wait_for_completion: True to wait until the import has ended. The wait is unlimited unless
        ``execution_timeout`` is set, which counts from the start of the attempt, deferred or not. (default: False)
    :param deferrable: True to wait in the triggerer without occupying a worker; without ``wait_for_completion`` it has
        no effect. (default: ``[operators] default_deferrable``)
    :param poll_interval: seconds, or a ``timedelta``, between two polls; more than 0. (default: 60)
    :param max_failed_records: server and application records of each import that are allowed to fail; None for any
        number. (templated) (default: 0)
    :param aws_conn_id: the Airflow connection; None for boto3's default credentials. (templated)
    :param region_name: the Migration Hub home region; None for the connection's region. (templated)
    :param verify: False to skip the verification of certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments for :class:`botocore.config.Config`.
    :raises ValueError: ``poll_interval`` or ``max_failed_records`` is out of range.
    """

    template_fields: Sequence[str] = aws_template_fields(
        "name", "import_url", "client_request_token", "max_failed_records"
    )
    operator_extra_links = (MigrationHubLink(),)

    def __init__(
        self,
        *,
        name: str | XComArg,
        import_url: str | Iterable[str | Iterable[str] | XComArg] | XComArg,
        client_request_token: str | XComArg | None = None,
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 60,
        max_failed_records: int | str | XComArg | None = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            wait_for_completion=wait_for_completion, deferrable=deferrable, poll_interval=poll_interval, **kwargs
        )
        self.name: Any = name
        self.import_url: Any = renderable(import_url)
        self.client_request_token: Any = client_request_token
        self.max_failed_records: Any = max_failed_records
        if isinstance(max_failed_records, int | float):
            check_max_failed_records(max_failed_records)

    def execute(self, context: Any) -> str | list[str]:
        """
        Start the imports, and wait for them with ``wait_for_completion``.

        :return: the import task id; for several files, a list of ids in the order of their URLs.
        :raises ValueError: the service does not accept a rendered parameter; nothing was sent.
        :raises AirflowSkipException: ``import_url`` is an empty list.
        :raises AdsCallError: AWS refused or could not be reached.
        :raises ImportOutcomeError: an import failed, and another one might succeed.
        :raises AirflowFailException: an import failed, and another one would fail too.
        """
        check_max_failed_records(self.max_failed_records)
        if self.wait_for_completion:
            self.check_deferral()
        self._start(context)
        MigrationHubLink.persist_for(context, self)
        if not self.wait_for_completion:
            if self.deferrable:
                self.log.info("Not waiting for the import, because wait_for_completion is False")
            attach_to_asset_events(context, self._summaries(self.import_tasks))
            return self._result()
        if context["ti"].task.do_xcom_push:
            # Tasks after this one need the ids even if the wait fails.
            context["ti"].xcom_push(key="return_value", value=self._result())
        return self._end_wait(context, self.wait(context, self.import_tasks))

    @cached_property
    def _import_urls(self) -> dict[str, str]:
        # Read once, because the result of a mapped task fetches every XCom again each time it is iterated.
        if not is_list(self.import_url):
            return {check_name(self.name): check_import_url(self.import_url)}
        import_urls = import_urls_by_name(self.name, self.import_url)
        if self.client_request_token is not None:
            raise ValueError(
                "client_request_token belongs to one import, but import_url is a list. Remove the token, or start each "
                "file in a task of its own"
            )
        if len(import_urls) > MAX_DEFERRED_IMPORTS:
            raise ValueError(
                f"A task can import at most {MAX_DEFERRED_IMPORTS:,} files; got {len(import_urls):,}. Import them in "
                "several tasks"
            )
        return import_urls

    def _requests(self, context: Any) -> list[StartRequest]:
        """Return a start request for each file; an empty list if Airflow does not know the start of the Dag run."""
        requests = [StartRequest.from_context(context, *each) for each in self._import_urls.items()]
        return [request for request in requests if request is not None]

    def _start(self, context: Any) -> None:
        """Start or adopt the imports, adding each to ``import_tasks`` immediately, in case the task is killed."""
        import_urls = self._import_urls
        if not import_urls:
            self._warn_about_removed_files(context)
            raise AirflowSkipException("Skipped: import_url is an empty list, so there is nothing to import")
        requests = self._requests(context) if self.client_request_token is None else []
        if self.client_request_token is None and not requests:
            self.log.warning(
                "A retry of this task starts another import, because Airflow has no start date for the Dag run"
            )
        starts: list[Start] = []
        self.import_tasks = import_tasks = []
        try:
            for start in start_all(requests, self.hook) if requests else self._start_without_request():
                starts.append(start)
                import_tasks.append(start.import_task)
        finally:
            if len(import_urls) > 1:
                log_starts(starts, len(import_urls), bool(requests), self.log)
            if import_tasks:
                self.push_import_tasks(context, import_tasks)
        if len(import_urls) == 1:
            starts[0].log_to(self.log, self.hook.conn_region_name)
        if is_list(self.import_url):
            self._warn_about_removed_files(context)

    def _start_without_request(self) -> Iterator[Start]:
        for name, import_url in self._import_urls.items():
            task = self.hook.start_import_task(name, import_url, self.client_request_token)
            if self.client_request_token is not None and not statuses.is_running(task.status):
                self.log.warning(
                    "To import again, change the client_request_token, which belongs to an import that has ended"
                )
            yield Start(task)

    def _warn_about_removed_files(self, context: Any) -> None:
        """Warn about imports that an earlier attempt started for files that ``import_url`` no longer contains."""
        # Any URL will do here: has_started replaces it with that of the import.
        request = StartRequest.from_context(context, self.name, "s3://bucket/key")
        if request is None or request.try_number == 1:
            return
        try:
            listed = list(self.hook.list_import_tasks(name_prefix=f"{self.name}-"))
        except AdsCallError as error:
            self.log.warning(
                "Could not check whether earlier attempts imported files that are no longer in import_url: %s", error
            )
            return
        files = set(self._import_urls.values())
        removed = [
            task
            for task in listed
            if task.import_url not in files and not is_failed_or_deleted(task) and request.has_started(task)
        ]
        if removed:
            self.log.warning(
                "%s of files that import_url no longer contains, which an earlier attempt of this task started; AWS "
                "cannot cancel imports\n%s",
                count_imports(removed),
                format_table(removed),
            )

    def _list_or_single(self, values: list[Any]) -> Any:
        """Return the values as a list if ``import_url`` is a list, and the only value otherwise."""
        return values if is_list(self.import_url) else values[0]

    def _summaries(self, import_tasks: Sequence[ImportTask]) -> Any:
        return self._list_or_single([task.summary() for task in import_tasks])

    def push_import_tasks(self, context: Any, import_tasks: Sequence[ImportTask]) -> None:
        """Push the XCom ``import_task`` while the imports run."""
        push_import_task(context, self._summaries(import_tasks))

    def _result(self) -> str | list[str]:
        result: str | list[str] = self._list_or_single([task.import_task_id for task in self.import_tasks])
        return result

    def on_kill(self) -> None:
        """Log that the imports keep running when the task is killed or exceeds its ``execution_timeout``."""
        running = [task for task in self.import_tasks if statuses.is_running(task.status)]
        if running:
            self.log.warning(
                "The task was killed, but AWS cannot cancel %s; a retry adopts what keeps running\n%s",
                count_imports(running),
                format_table(running),
            )

    def execute_complete(self, context: Any, event: Any = None) -> str | list[str]:
        """Resume after the triggerer's wait; returns and raises what :meth:`execute` does."""
        return self._end_wait(context, self.read_event(context, event))

    def _poll_once_more(self, context: Any, import_task_ids: list[str]) -> list[ImportTask]:
        if not import_task_ids:
            # Only the main thread reads XComs, which a mapped task's lazy result does when it is iterated.
            self._import_urls  # noqa: B018
        return super()._poll_once_more(context, import_task_ids)

    def describe_awaited(self, context: Any, import_task_ids: list[str]) -> list[ImportTask]:
        """Describe the imports by their ids or, if these are not known, by their tokens."""
        if import_task_ids:
            return self.describe(import_task_ids)
        import_tasks = list(self.hook.list_import_tasks(name=self._import_urls))
        if self.client_request_token is not None:
            token = check_client_request_token(self.client_request_token)
            return [task for task in import_tasks if task.client_request_token == token]
        found = [request.latest(import_tasks) for request in self._requests(context)]
        latest = [each[1] for each in found if each is not None]
        # The task's outcome depends on all of its imports, so some of them are not enough.
        return latest if len(latest) == len(self._import_urls) else []

    @property
    def subject(self) -> str:
        """The awaited imports, for messages."""
        if is_list(self.import_url):
            return "the imports whose ids are the task's result"
        return f"{self.name!r}, whose id this task logged before it was deferred,"

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """
        Return the files and the imports' summaries for OpenLineage; Airflow calls this even if the task has failed.

        :param task_instance: the task instance that has ended.
        """
        from airflow_provider_ads.lineage import lineage_of_imports

        return lineage_of_imports(self.import_tasks, as_list=is_list(self.import_url))

    def _end_wait(self, context: Any, import_tasks: Sequence[ImportTask]) -> str | list[str]:
        self.import_tasks = import_tasks
        try:
            end_import_wait(
                context,
                import_tasks,
                check_max_failed_records(self.max_failed_records),
                as_list=is_list(self.import_url),
                log=self.log,
            )
        except ImportOutcomeError as error:
            if self.client_request_token is not None:
                fail_without_retry(
                    ImportOutcomeError(
                        f"Change the client_request_token to import again: it always returns this import.\n{error}",
                        error.import_tasks,
                        try_again=False,
                    )
                )
            if error.try_again:
                raise
            fail_without_retry(error)
        return self._result()
