"""The emulator as a whole."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import Client

from airflow_provider_ads.discovery import limits
from airflow_provider_ads.emulator.application import Application
from airflow_provider_ads.emulator.faults import Fault, Faults
from airflow_provider_ads.emulator.import_deleter import ImportDeleter
from airflow_provider_ads.emulator.import_processor import ImportProcessor
from airflow_provider_ads.emulator.import_tasks import ImportTasks
from airflow_provider_ads.emulator.port_server import PortServer
from airflow_provider_ads.emulator.storage import Storage

__all__ = ["AdsEmulator"]

_log = logging.getLogger(__name__)

#: One for the process, as is the state of moto.
_moto = DomainDispatcherApplication(create_backend_app)
_emulators = 0
_emulators_lock = Lock()


@contextmanager
def _shared_moto() -> Iterator[None]:
    """Share moto's state with the other emulators of the process, and reset it after the last of them."""
    global _emulators
    with _emulators_lock:
        _emulators += 1
    try:
        yield
    finally:
        with _emulators_lock:
            _emulators -= 1
            if _emulators == 0:
                # http://docs.getmoto.org/en/latest/docs/server_mode.html#reset-api
                Client(_moto).post("/moto-api/reset").close()


class AdsEmulator:
    """
    An emulator of AWS Application Discovery Service, with moto's S3 and STS, on one port.

    It answers ``StartImportTask``, ``DescribeImportTasks``, ``BatchDeleteImportData`` and, of Migration Hub Config,
    ``GetHomeRegion``.
    It is a context manager: ``with AdsEmulator(import_seconds=0.1) as ads:``. Point clients at
    :attr:`endpoint_url`, or Airflow at :attr:`airflow_connection`. Its buckets are moto's: all emulators of a
    process share them, and when the last one stops, all that moto holds is gone. Other processes read its calls,
    IAM actions and tasks and inject faults over HTTP: ``GET /_ads/`` lists how.

    It imports the file that was uploaded, by the service's documented rules. Where AWS documents nothing it
    has chosen, and the docstrings of its modules say so.

    :param host: the address to listen on.
    :param port: the port to listen on; 0: a free one.
    :param public_url: the URL that clients reach it by, if it is not the one that it listens on.
    :param import_seconds: seconds that each import takes.
    :param delete_seconds: seconds that each deletion takes.
    :param home_region: the Migration Hub home region; None: not set.
    :param record_quota: records that the account may hold from imports, by default as many as on AWS.
    :param server_quota: servers that the account may hold from imports, by default as many as on AWS.
    :param deletion_quota: records of imports that may be deleted in a day from 00:00 UTC, by default as many as on AWS.
    :param archive_link_seconds: seconds that a link to an error archive is good for; AWS tells no number.
    :param seed: makes faults with a share strike the same calls each time.
    :param token_seconds: seconds for which a client request token is known, from the start of its import on; None: for
        ever, which is the emulator's own choice: AWS documents no time.
    :raises ValueError: if ``public_url``, ``import_seconds``, ``delete_seconds`` or ``token_seconds`` makes no sense.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        public_url: str | None = None,
        import_seconds: float = 1.0,
        delete_seconds: float = 1.0,
        home_region: str | None = "us-west-2",
        record_quota: int = limits.IMPORT_RECORDS_PER_ACCOUNT,
        server_quota: int = limits.IMPORTED_SERVERS_PER_ACCOUNT,
        deletion_quota: int = limits.IMPORT_RECORD_DELETIONS_PER_DAY,
        archive_link_seconds: int = 3600,
        seed: int = 0,
        token_seconds: float | None = None,
    ) -> None:
        if public_url is not None:
            public_url = public_url.rstrip("/")
            if not public_url.startswith(("http://", "https://")):
                raise ValueError(f"public_url begins with http:// or https:// and a host, unlike {public_url!r}.")
        self._public_url = public_url
        self._record_quota = record_quota
        self._server_quota = server_quota
        self._archive_link_seconds = archive_link_seconds
        self._tasks = ImportTasks(
            home_region=home_region,
            import_seconds=import_seconds,
            delete_seconds=delete_seconds,
            deletion_quota=deletion_quota,
            archive_url=self._archive_url,
            token_seconds=token_seconds,
        )
        self._faults = Faults(seed)
        self._application = Application(self._tasks, self._faults, self.inject, _moto)
        self._server = PortServer(host, port, self._answer)
        self._storage: Storage | None = None
        self._running = ExitStack()

    def start(self) -> None:
        """
        Begin to answer; an emulator starts once.

        :raises OSError: if the port cannot be had.
        :raises OverflowError: if no port has that number.
        :raises RuntimeError: if it was started before.
        """
        if self._storage is not None:
            raise RuntimeError("This emulator was started before; make a new one.")
        with ExitStack() as started:
            started.enter_context(_shared_moto())
            self._server.start()
            started.callback(self._server.stop)
            started.callback(self._application.stop)
            self._storage = Storage(
                _moto,
                self.endpoint_url,
                self._archive_link_seconds,
                # The one who starts an import needs the permission to read the file:
                # https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
                on_read=lambda: self._application.count_iam_actions("s3:GetObject"),
            )
            processor = ImportProcessor(self._tasks, self._storage, self._record_quota, self._server_quota)
            for worker in (processor, ImportDeleter(self._tasks, self._storage)):
                worker.start()
                started.callback(worker.join)
            started.callback(self._tasks.close)
            self._running = started.pop_all()

    def stop(self) -> None:
        """Close the port and end all threads; what the emulator knows can still be asked."""
        self._running.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # -- where it is -----------------------------------------------------------------------------------------

    @property
    def endpoint_url(self) -> str:
        """The URL that clients reach it by: for ADS, Migration Hub Config, S3 and STS."""
        if self._public_url is not None:
            return self._public_url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._server.host, self._server.host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self._server.port}" if ":" in host else f"http://{host}:{self._server.port}"

    @property
    def airflow_connection(self) -> str:
        """An AWS connection to it, as JSON for the environment variable ``AIRFLOW_CONN_AWS_DEFAULT``."""
        return json.dumps(
            {
                "conn_type": "aws",
                "login": "emulator",
                "password": "emulator",
                "extra": {
                    "region_name": self.home_region or "us-west-2",
                    "endpoint_url": self.endpoint_url,
                    # Names such as bucket.localhost do not resolve everywhere.
                    "config_kwargs": {"s3": {"addressing_style": "path"}},
                    # To assume a role and to test a connection, Airflow does not ask the endpoint above.
                    "service_config": {"sts": {"endpoint_url": self.endpoint_url}},
                },
            }
        )

    # -- what it does ----------------------------------------------------------------------------------------

    @property
    def home_region(self) -> str | None:
        """The Migration Hub home region; None: not set. Tasks stay in the region they were made in."""
        return self._tasks.home_region

    @home_region.setter
    def home_region(self, home_region: str | None) -> None:
        self._tasks.home_region = home_region

    @property
    def import_seconds(self) -> float:
        """Seconds that each import takes; a change also concerns the one that is running."""
        return self._tasks.import_seconds

    @import_seconds.setter
    def import_seconds(self, seconds: float) -> None:
        self._tasks.import_seconds = seconds

    @property
    def delete_seconds(self) -> float:
        """Seconds that each deletion takes; a change also concerns those that are running."""
        return self._tasks.delete_seconds

    @delete_seconds.setter
    def delete_seconds(self, seconds: float) -> None:
        self._tasks.delete_seconds = seconds

    @property
    def token_seconds(self) -> float | None:
        """
        Seconds after its import was started for which a client request token is known; None: for ever.

        They count from when the import was started, and a start that returns the same task again does not
        prolong them. After them a start with the same token starts another import; the task of the first one
        keeps its token. A change also concerns tokens that were used before. A task that vanishes, because it was
        deleted with its history, takes its token along.
        """
        return self._tasks.token_seconds

    @token_seconds.setter
    def token_seconds(self, seconds: float | None) -> None:
        self._tasks.token_seconds = seconds

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
        Show a fault to callers of ADS and Migration Hub Config; S3 and STS have none.

        Without ``calls`` and ``seconds`` a fault lasts until :meth:`clear_faults`. Latencies add up; of other
        faults the one that was injected first is shown. Only calls that met nothing but ``hold``, ``latency`` and
        ``lose`` are done.

        :param fault: an error code such as ``ThrottlingException``; ``drop``: the connection is closed
            without an answer; ``hold``: the call is done, and its answer, maybe an error, is held back until
            :meth:`clear_faults`, or until the emulator stops, which closes the connection; ``latency``: the
            answer comes late; ``lose``: the call is done, and then the connection is closed without an answer;
            ``refuse``: nothing listens on the port, for S3 and STS neither, and open connections are closed;
            ``INTERNAL_SERVER_ERROR``, ``NOT_FOUND`` or ``OVER_LIMIT``: the answer of ``BatchDeleteImportData`` has
            this error for an import task, which is not deleted, and each such task counts as a call.
        :param operation: the only operation that shows it, such as ``DescribeImportTasks``.
        :param calls: the number of calls that meet it.
        :param share: the share of the calls that meet it, more than 0 and at most 1.
        :param seconds: the time that it lasts, in seconds; ``refuse`` needs it, and takes nothing else. What
            ``hold`` holds back stays so after it.
        :param delay: by how many seconds a ``latency`` delays the answer.
        :param status: the HTTP status of the error; needed for a code that the emulator does not know.
        :param message: the message of the error.
        :param import_task_id: the only import task that ``BatchDeleteImportData`` answers with the error.
        :raises ValueError: if an argument is of the wrong type, or they do not go together.
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
        """Remove all faults, and let go the answers that are held back; a port that is closed opens at its time."""
        self._faults.clear()

    def held(self) -> int:
        """
        Count the answers that are held back now: those calls are done.

        An answer counts from when its call is done until :meth:`clear_faults`, even if its client is gone.

        :return: number of answers.
        """
        return self._faults.held()

    def upload(self, import_url: str, content: str | bytes) -> str:
        """
        Put a file into S3 as if it had been there; its bucket is made, in us-east-1, if there is none.

        :param import_url: where to, as ``s3://bucket/key`` or the object's https URL.
        :param content: the file; text is written in UTF-8.
        :return: the import URL.
        :raises ValueError: if no object can have that URL.
        :raises RuntimeError: if the emulator was not started.
        """
        if self._storage is None:
            raise RuntimeError("An upload needs an emulator that was started.")
        self._storage.write(import_url, content.encode() if isinstance(content, str) else content)
        return import_url

    # -- what it knows ---------------------------------------------------------------------------------------

    def calls(self) -> Counter[str]:
        """
        Count the calls of ADS and Migration Hub Config that arrived, those that met a fault included.

        :return: number of calls by operation, such as ``calls()["DescribeImportTasks"]``.
        """
        return self._application.calls()

    def iam_actions(self) -> Counter[str]:
        """
        Count the actions that an IAM policy must allow for the requests that arrived, of S3 and STS too.

        Each import file that is read counts as ``s3:GetObject``, which the one who starts the import needs. Not
        counted are requests that need no permission, such as ``GetCallerIdentity``, and presigned URLs.
        An action that the emulator does not know reads ``s3: unknown (GetBucketCors)``; the docstring of
        :func:`airflow_provider_ads.emulator.iam_actions.iam_actions_of` tells what else it does not know.

        :return: number of requests by action, such as ``iam_actions()["discovery:StartImportTask"]``.
        """
        return self._application.iam_actions()

    def clear_calls(self) -> None:
        """Begin to count calls and IAM actions anew."""
        self._application.clear_calls()

    def import_tasks(self) -> list[dict[str, Any]]:
        """
        List the import tasks of every region, oldest first.

        :return: what ``DescribeImportTasks`` answers about each; times are aware datetimes.
        """
        return self._tasks.import_tasks()

    def add_import_task(self, **fields: Any) -> str:
        """
        Put an import task into the home region as if it had been there; nothing is imported.

        :param fields: fields by their names in the API, such as ``status="INTERNAL_ERROR"``; times are aware
            datetimes, and a status may be one that the API does not have yet. What every task has gets a
            default, the status ``IMPORT_IN_PROGRESS``.
        :return: the task's id.
        :raises ValueError: if a field's name is not known or no home region is set.
        """
        return self._tasks.add_import_task(fields)

    def update_import_task(self, import_task_id: str, **fields: Any) -> None:
        """
        Change fields of an import task; with another status, an import or a deletion that waits or runs is given up.

        :param import_task_id: the task's id.
        :param fields: fields by their names in the API; None: the field is not set.
        :raises ValueError: if a field's name is not known.
        :raises KeyError: if there is no such task.
        """
        self._tasks.update_import_task(import_task_id, fields)

    def _archive_url(self, import_task_id: str) -> str:
        if self._storage is None:
            raise RuntimeError("An error archive needs an emulator that was started.")
        return self._storage.archive_url(import_task_id)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self._public_url is not None and environ.get("HTTP_HOST") == urlsplit(self._public_url).netloc:
            # moto would take the first label of a name with dots for a bucket.
            environ["HTTP_HOST"] = "localhost"
        return self._application(environ, start_response)
