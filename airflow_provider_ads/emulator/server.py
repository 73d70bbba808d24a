"""The emulator, which puts together the services, the faults and the page."""

from __future__ import annotations

import json
import logging
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Self
from urllib.parse import urlsplit

from airflow_provider_ads.discovery import limits
from airflow_provider_ads.emulator.application import Application
from airflow_provider_ads.emulator.credentials import SIGNED_HOST, CredentialChecks
from airflow_provider_ads.emulator.export_tasks import ExportTasks
from airflow_provider_ads.emulator.faults import Fault, Faults
from airflow_provider_ads.emulator.http_server import HttpServer
from airflow_provider_ads.emulator.import_tasks import ImportTask, ImportTasks
from airflow_provider_ads.emulator.page import PageState, RegionUsage
from airflow_provider_ads.emulator.processing import DeletionProcessor, ExportProcessor, ImportProcessor
from airflow_provider_ads.emulator.quotas import Holdings, Quotas
from airflow_provider_ads.emulator.s3 import Storage, share_moto
from airflow_provider_ads.emulator.settings import Settings

__all__ = ["AdsEmulator"]

_log = logging.getLogger(__name__)


class AdsEmulator(Settings):
    """
    An emulator of AWS Application Discovery Service, with moto's S3 and STS, on one port.

    It answers ``StartImportTask``, ``DescribeImportTasks``, ``BatchDeleteImportData``, ``StartExportTask``,
    ``DescribeExportTasks`` and Migration Hub Config's ``GetHomeRegion``. It is a context manager:
    ``with AdsEmulator(import_seconds=0.1) as ads:``. Point clients at :attr:`endpoint_url`, or Airflow at
    :attr:`airflow_connection`.

    All emulators of a process share moto's buckets. When the last emulator stops, moto's state is reset. Other
    processes can read the calls, IAM actions and tasks and inject faults over HTTP: ``GET /_ads/`` lists the requests.
    A browser shows them at :attr:`endpoint_url`.

    The emulator imports uploaded files by the service's documented rules, and exports the servers that were imported.
    Where AWS documents nothing, it makes its own choices, which the docstrings of its modules state.

    :param host: the address to listen on.
    :param port: the port to listen on; 0: a free one.
    :param public_url: the URL at which clients reach the emulator, if it differs from the one it listens on.
    :param import_seconds: the number of seconds that each import takes.
    :param delete_seconds: the number of seconds that each deletion takes.
    :param export_seconds: the number of seconds that each export takes.
    :param home_region: the Migration Hub home region; None: not set.
    :param record_quota: the number of records that the account can hold from imports. The default is AWS's quota.
    :param server_quota: the number of servers that the account can hold from imports. The default is AWS's quota.
    :param application_quota: the number of applications that the account can hold. The default is AWS's quota.
    :param servers_per_application: the number of servers that an application can have. The default is AWS's quota.
    :param tags_per_server: the number of tags that a server can have. The default is AWS's quota.
    :param deletion_quota: the number of imported records that can be deleted per day (UTC). The default is AWS's quota.
    :param archive_link_seconds: the number of seconds for which a link to an archive is valid. AWS documents no
        number.
    :param seed: the seed that decides which calls a fault with a share affects.
    :param token_seconds: the number of seconds for which a client request token is remembered; None: forever,
        which is the emulator's own choice. AWS documents no number.
    :param access_keys: the known access keys and their secrets; None: credentials are not checked. See
        :mod:`airflow_provider_ads.emulator.credentials`.
    :param roles: the ARNs of the roles that callers may assume, if credentials are checked.
    :param role_seconds: the number of seconds for which the credentials of an assumed role last.
    :raises ValueError: if ``public_url``, a number of seconds or a role is not valid.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        public_url: str | None = None,
        import_seconds: float = Settings.import_seconds.default,
        delete_seconds: float = Settings.delete_seconds.default,
        export_seconds: float = Settings.export_seconds.default,
        home_region: str | None = "us-west-2",
        record_quota: int = limits.IMPORT_RECORDS_PER_ACCOUNT,
        server_quota: int = limits.IMPORTED_SERVERS_PER_ACCOUNT,
        application_quota: int = limits.APPLICATIONS_PER_ACCOUNT,
        servers_per_application: int = limits.SERVERS_PER_APPLICATION,
        tags_per_server: int = limits.TAGS_PER_SERVER,
        deletion_quota: int = limits.IMPORT_RECORD_DELETIONS_PER_DAY,
        archive_link_seconds: int = 3600,
        seed: int = 0,
        token_seconds: float | None = Settings.token_seconds.default,
        access_keys: Mapping[str, str] | None = None,
        roles: Collection[str] = (),
        role_seconds: float = Settings.role_seconds.default,
    ) -> None:
        super().__init__(
            home_region=home_region,
            import_seconds=import_seconds,
            delete_seconds=delete_seconds,
            export_seconds=export_seconds,
            token_seconds=token_seconds,
            access_keys=access_keys,
            roles=roles,
            role_seconds=role_seconds,
        )
        if public_url is not None:
            public_url = public_url.rstrip("/")
            if not public_url.startswith(("http://", "https://")):
                raise ValueError(f"public_url must begin with http:// or https:// and a host, unlike {public_url!r}.")
        self._public_url = public_url
        self._quotas = Quotas(
            records=record_quota,
            servers=server_quota,
            applications=application_quota,
            servers_per_application=servers_per_application,
            tags_per_server=tags_per_server,
        )
        self._archive_link_seconds = archive_link_seconds
        self._tasks = ImportTasks(self, deletion_quota=deletion_quota, archive_url=self._archive_url)
        self._export_tasks = ExportTasks(self, archive_url=self._archive_url)
        self._faults = Faults(seed)
        self._credentials = CredentialChecks(self)
        self._application = Application(
            self._tasks, self._export_tasks, self._faults, self._credentials, self.inject, self._page_state
        )
        self._server = HttpServer(host, port, self.answer)
        self._storage: Storage | None = None
        self._running = ExitStack()

    def start(self) -> None:
        """
        Start the emulator, which can be done once.

        :raises OSError: if the port is not available.
        :raises OverflowError: if the number is not a port number.
        :raises RuntimeError: if the emulator was started before.
        """
        if self._storage is not None:
            raise RuntimeError("This emulator was started before; create a new one.")
        with ExitStack() as started:
            started.enter_context(share_moto())
            self._server.start()
            started.callback(self._server.stop)
            started.callback(self._application.stop)
            self._storage = Storage(
                self.endpoint_url,
                self._archive_link_seconds,
                # The user who starts an import needs the permission to read the file:
                # https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
                on_read=lambda: self._application.count_iam_actions("s3:GetObject"),
            )
            for thread in (
                ImportProcessor(self._tasks, self._storage, self._quotas),
                DeletionProcessor(self._tasks, self._storage),
                ExportProcessor(self._export_tasks, self._tasks, self._storage),
            ):
                thread.start()
                started.callback(thread.join)
            started.callback(self._tasks.close)
            started.callback(self._export_tasks.close)
            self._running = started.pop_all()

    def stop(self) -> None:
        """Close the port and end all threads. The counts and the import tasks can still be read."""
        self._running.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a WSGI request. A subclass can override this method to observe requests or to replace responses."""
        if self._public_url is not None and environ.get("HTTP_HOST") == urlsplit(self._public_url).netloc:
            # moto would mistake the first label of a host name with dots for a bucket.
            environ[SIGNED_HOST], environ["HTTP_HOST"] = environ["HTTP_HOST"], "localhost"
        return self._application(environ, start_response)

    # -- for clients -----------------------------------------------------------------------------------------

    @property
    def endpoint_url(self) -> str:
        """The URL at which clients reach ADS, Migration Hub Config, S3 and STS."""
        if self._public_url is not None:
            return self._public_url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._server.host, self._server.host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self._server.port}" if ":" in host else f"http://{host}:{self._server.port}"

    @property
    def access_key(self) -> tuple[str, str]:
        """The first known access key and its secret; ``emulator`` and ``emulator`` if there is none."""
        return next(iter((self.access_keys or {}).items()), ("emulator", "emulator"))

    @property
    def airflow_connection(self) -> str:
        """An AWS connection to the emulator, as JSON for the environment variable ``AIRFLOW_CONN_AWS_DEFAULT``."""
        return self._airflow_connection(*self.access_key)

    @property
    def exports(self) -> list[str]:
        """The shell commands that point Airflow's connection ``aws_default`` and other AWS clients to the emulator."""
        return self._exports(*self.access_key)

    def _exports(self, access_key: str, secret: str) -> list[str]:
        variables = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": self.home_region or "us-west-2",
        }
        return [
            f"export AIRFLOW_CONN_AWS_DEFAULT={shlex.quote(self._airflow_connection(access_key, secret))}",
            " ".join(("export", *(f"{name}={shlex.quote(value)}" for name, value in variables.items()))),
        ]

    def _airflow_connection(self, access_key: str, secret: str) -> str:
        return json.dumps(
            {
                "conn_type": "aws",
                "login": access_key,
                "password": secret,
                "extra": {
                    "region_name": self.home_region or "us-west-2",
                    "endpoint_url": self.endpoint_url,
                    # Host names such as bucket.localhost do not resolve everywhere.
                    "config_kwargs": {"s3": {"addressing_style": "path"}},
                    # Airflow does not use the endpoint above to assume a role or to test a connection.
                    "service_config": {"sts": {"endpoint_url": self.endpoint_url}},
                },
            }
        )

    # -- to set up a test ------------------------------------------------------------------------------------

    def upload(self, import_url: str, content: str | bytes) -> str:
        """
        Put a file into S3. If its bucket does not exist, it is created in us-east-1.

        :param import_url: the destination, as ``s3://bucket/key`` or the object's https URL.
        :param content: the content of the file. A string is encoded in UTF-8.
        :return: the import URL.
        :raises ValueError: if an object cannot have that URL.
        :raises RuntimeError: if the emulator was not started.
        """
        if self._storage is None:
            raise RuntimeError("Start the emulator before you upload a file.")
        self._storage.write(import_url, content.encode() if isinstance(content, str) else content)
        return import_url

    def add_import_task(self, **fields: Any) -> str:
        """
        Add an import task to the home region without importing anything.

        :param fields: its fields, by their names in the API, such as ``status="INTERNAL_ERROR"``. Times are aware
            datetimes, and the API need not have the status. Required fields have defaults; the default status is
            ``IMPORT_IN_PROGRESS``.
        :return: the task's id.
        :raises ValueError: if the name of a field is unknown or no home region is set.
        """
        return self._tasks.add_import_task(fields)

    def update_import_task(self, import_task_id: str, **fields: Any) -> None:
        """
        Change fields of an import task. A new status abandons an import or a deletion that is waiting or running.

        :param import_task_id: the task's id.
        :param fields: the changed fields, by their names in the API; None removes a field.
        :raises ValueError: if the name of a field is unknown.
        :raises KeyError: if the task does not exist.
        """
        self._tasks.update_import_task(import_task_id, fields)

    def add_export_task(self, **fields: Any) -> str:
        """
        Add an export task to the home region without exporting anything. It does not end on its own.

        :param fields: its fields, by their names in the API, such as ``exportStatus="FAILED"``. Times are aware
            datetimes, and the API need not have the status. Required fields have defaults; the default status is
            ``IN_PROGRESS``.
        :return: the task's id.
        :raises ValueError: if the name of a field is unknown or no home region is set.
        """
        return self._export_tasks.add_export_task(fields)

    def update_export_task(self, export_id: str, **fields: Any) -> None:
        """
        Change fields of an export task. A new status abandons an export that is running.

        :param export_id: the task's id.
        :param fields: the changed fields, by their names in the API; None removes a field.
        :raises ValueError: if the name of a field is unknown.
        :raises KeyError: if the task does not exist.
        """
        self._export_tasks.update_export_task(export_id, fields)

    def inject(
        self,
        fault: str,
        *,
        operation: str | None = None,
        calls: int | None = None,
        share: float | None = None,
        seconds: float | None = None,
        delay: float | None = None,
        status: int | None = None,
        message: str | None = None,
        import_task_id: str | None = None,
    ) -> None:
        """
        Inject a fault into calls of ADS and Migration Hub Config. Only ``refuse`` also affects S3 and STS.

        The faults are:

        - An error code such as ``ThrottlingException``: the call is not performed and returns the error.
        - ``drop``: the call is not performed, and the connection is closed without a response.
        - ``hold``: the call is performed, and its response, which can be an error, is held until :meth:`clear_faults`,
          or until the emulator stops, which closes the connection.
        - ``latency``: the response is delayed.
        - ``lose``: the call is performed, and the connection is closed without a response.
        - ``malformed``: the call is not performed, and the response is an HTML page, or ``message``, with HTTP status
          200.
        - ``refuse``: the port and all open connections are closed.
        - ``INTERNAL_SERVER_ERROR``, ``NOT_FOUND`` or ``OVER_LIMIT``: ``BatchDeleteImportData`` returns this error for
          an import task and does not delete it. Each such task counts as a call.
        - ``EXPORT_FAILED`` or ``EXPORT_TRUNCATED``: an export that ``StartExportTask`` starts ends in this way, with
          ``message`` as its ``statusMessage``.

        Without ``calls`` and ``seconds``, a fault lasts until :meth:`clear_faults`. Latencies add up. If several other
        faults apply to a call, only the one that was injected first affects it.

        :param fault: the fault.
        :param operation: the only operation that it affects, such as ``DescribeImportTasks``.
        :param calls: the number of calls that it affects.
        :param share: the share of calls that it affects, more than 0 and at most 1.
        :param seconds: the number of seconds that it lasts. ``refuse`` requires it and accepts nothing else. Responses
            that ``hold`` holds remain held afterwards.
        :param delay: the number of seconds by which ``latency`` delays the response.
        :param status: the HTTP status of the error; required for an error code that the emulator does not know.
        :param message: the message of the error or export, or the body of a malformed response.
        :param import_task_id: the only import task for which ``BatchDeleteImportData`` returns the error.
        :raises ValueError: if an argument has the wrong type or does not fit the others.
        """
        injected = Fault(
            kind=fault,
            operation=operation,
            calls=calls,
            share=share,
            seconds=seconds,
            delay=delay,
            status=status,
            message=message,
            import_task_id=import_task_id,
        )
        if fault == "refuse" and seconds is not None:
            self._server.refuse(seconds)
        else:
            self._faults.add(injected)
        _log.info("Injected: %s", injected)

    def clear_faults(self) -> None:
        """Remove all faults and send the held responses. A closed port stays closed until its time has passed."""
        self._faults.clear()

    def expire_role_credentials(self) -> None:
        """
        Expire all credentials that were issued for roles, earlier than their callers expect.

        A role can be assumed again, and its new credentials are valid.
        """
        self._credentials.expire_role_credentials()

    # -- to check a test -------------------------------------------------------------------------------------

    def held(self) -> int:
        """
        Count the responses that are being held. Their calls have been performed.

        A response counts from the end of its call until :meth:`clear_faults`, even if its client has disconnected.
        """
        return self._faults.held()

    def calls(self) -> Counter[str]:
        """
        Count the calls of ADS and Migration Hub Config, including those that a fault affected.

        :return: the number of calls by operation, such as ``calls()["DescribeImportTasks"]``.
        """
        return self._application.calls()

    def iam_actions(self) -> Counter[str]:
        """
        Count the actions that an IAM policy must allow for the requests so far, including those to S3 and STS.

        Each import file that is read counts as ``s3:GetObject``, which the user who starts the import needs. Presigned
        URLs and requests that need no permission, such as ``GetCallerIdentity``, do not count.
        An unknown action is counted as ``s3: unknown (GetBucketCors)``. The docstring of
        :func:`airflow_provider_ads.emulator.iam_actions.iam_actions_of` lists the limits.

        :return: the number of requests by action, such as ``iam_actions()["discovery:StartImportTask"]``.
        """
        return self._application.iam_actions()

    def clear_calls(self) -> None:
        """Reset the counts of calls and IAM actions."""
        self._application.clear_calls()

    def role_of(self, access_key: str) -> str | None:
        """Return the ARN of the role for which an access key was issued; None for any other key."""
        return self._credentials.role_of(access_key)

    def import_tasks(self) -> list[dict[str, Any]]:
        """
        List the import tasks of every region, oldest first.

        :return: the tasks as ``DescribeImportTasks`` returns them; times are aware datetimes.
        """
        return self._tasks.import_tasks()

    def export_tasks(self) -> list[dict[str, Any]]:
        """
        List the export tasks of every region, oldest first.

        :return: the tasks as ``DescribeExportTasks`` returns them; times are aware datetimes.
        """
        return self._export_tasks.export_tasks()

    def _page_state(self) -> PageState:
        access_key, secret = self.access_key
        tasks = self._tasks.snapshot()
        regions = dict.fromkeys([*([self.home_region] if self.home_region else []), *(task.region for task in tasks)])
        return PageState(
            endpoint_url=self.endpoint_url,
            home_region=self.home_region,
            import_seconds=self.import_seconds,
            checks_credentials=self.access_keys is not None,
            exports=self._exports(access_key, "SECRET" if self.access_keys else secret),
            operations=sorted(self._application.operations),
            tasks=tasks,
            export_tasks=self._export_tasks.snapshot(),
            quotas=self._quotas,
            usage=[self._usage(region, tasks) for region in regions],
            faults=self._faults.active(),
            held=self._faults.held(),
            calls=self.calls(),
            iam_actions=self.iam_actions(),
        )

    def _usage(self, region: str, tasks: Iterable[ImportTask]) -> RegionUsage:
        holdings = Holdings(row for task in tasks if task.region == region for row in task.rows)
        deleted, deletion_quota = self._tasks.deleted_today(region)
        return RegionUsage(region=region, used=holdings.usage(), deleted=deleted, deletion_quota=deletion_quota)

    def _archive_url(self, task_id: str) -> str:
        if self._storage is None:
            raise RuntimeError("Start the emulator before you describe a task with an archive.")
        return self._storage.archive_url(task_id)
