"""The WSGI application: the service's operations, the control interface, and moto for everything else."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import Any, NoReturn

from werkzeug.wrappers import Request, Response

from airflow_provider_ads.emulator.errors import ServiceError
from airflow_provider_ads.emulator.faults import Faults
from airflow_provider_ads.emulator.iam_actions import iam_actions_of
from airflow_provider_ads.emulator.import_tasks import ImportTasks
from airflow_provider_ads.emulator.protocol import (
    SERVICES,
    error_response,
    json_response,
    parse_parameters,
    region_of,
    to_json,
)

__all__ = ["Application"]

_log = logging.getLogger(__name__)

Operation = Callable[[Mapping[str, Any], str], dict[str, Any]]

#: The control interface over HTTP, for an emulator in another process.
_CONTROLS = {
    "GET /_ads/": "this list",
    "GET /_ads/calls": "the number of calls by operation",
    "DELETE /_ads/calls": "begin to count calls and IAM actions anew",
    "GET /_ads/iam-actions": "the number of requests by the IAM action that they need",
    "GET /_ads/import-tasks": "the import tasks of every region, oldest first",
    "POST /_ads/faults": "show a fault: a JSON object of the arguments of AdsEmulator.inject",
    "DELETE /_ads/faults": "remove all faults, and let go the answers that are held back",
    "GET /_ads/held": "the number of answers that are held back now",
}


class Application:
    """
    Answers what the emulator's port is asked.

    :param tasks: the import tasks.
    :param faults: the faults to show.
    :param inject: :meth:`airflow_provider_ads.emulator.AdsEmulator.inject`.
    :param moto: answers requests of all other services.
    """

    def __init__(
        self,
        tasks: ImportTasks,
        faults: Faults,
        inject: Callable[..., None],
        moto: Callable[[dict[str, Any], Any], Iterable[bytes]],
    ) -> None:
        self._stopping = Event()
        self._operations: dict[str, Operation] = {
            "BatchDeleteImportData": self._batch_delete_import_data,
            "DescribeImportTasks": tasks.describe_import_tasks,
            "GetHomeRegion": tasks.get_home_region,
            "StartImportTask": tasks.start_import_task,
        }
        self._tasks = tasks
        self._faults = faults
        self._inject = inject
        self._moto = moto
        self._calls: Counter[str] = Counter()
        self._iam_actions: Counter[str] = Counter()
        self._lock = Lock()

    def calls(self) -> Counter[str]:
        """
        Count the calls that arrived since the start or the last :meth:`clear_calls`.

        :return: number of calls by operation.
        """
        with self._lock:
            return self._calls.copy()

    def iam_actions(self) -> Counter[str]:
        """
        Count the IAM actions that were needed since the start or the last :meth:`clear_calls`.

        :return: number of requests by action.
        """
        with self._lock:
            return self._iam_actions.copy()

    def count_iam_actions(self, *actions: str) -> None:
        """
        Count IAM actions that are needed once more.

        :param actions: the actions, such as ``s3:GetObject``.
        """
        with self._lock:
            self._iam_actions.update(actions)

    def clear_calls(self) -> None:
        """Begin to count calls and IAM actions anew."""
        with self._lock:
            self._calls.clear()
            self._iam_actions.clear()

    def stop(self) -> None:
        """End the waits of calls that are delayed or held back; the connections of the latter are closed."""
        self._stopping.set()
        self._faults.close()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        target_prefix, _, operation = request.headers.get("X-Amz-Target", "").rpartition(".")
        if target_prefix in SERVICES:
            return self._answer(request, target_prefix, operation)(environ, start_response)
        if request.path.startswith("/_ads/"):
            return self._answer_control(request)(environ, start_response)
        if (expired := _expired(request)) is not None:
            return expired(environ, start_response)
        self.count_iam_actions(*iam_actions_of(request))
        return self._moto(environ, start_response)

    def _answer(self, request: Request, target_prefix: str, operation: str) -> Response:
        with self._lock:
            self._calls[operation] += 1
            # Both sign with IAM's prefix, mgh too:
            # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsmigrationhub.html
            self._iam_actions[f"{SERVICES[target_prefix].signing_name}:{operation}"] += 1
        body = request.get_data()
        effect = self._faults.strike(operation)
        if effect.delay:
            _log.info("%s: delayed by %g s, as injected", operation, effect.delay)
            self._stopping.wait(effect.delay)
        if effect.drop:
            _log.info("%s: connection dropped, as injected", operation)
            _hang_up(request)
        try:
            if effect.error is not None:
                raise effect.error
            answer = json_response(self._perform(request, body, target_prefix, operation))
        except ServiceError as error:
            _log.info("%s: %s", operation, error)
            answer = error_response(error)
        except Exception:
            _log.exception("%s broke down", operation)
            answer = error_response(ServiceError("ServerInternalErrorException", "The emulator broke down."))
        if effect.lose:
            _log.info("%s: answer lost, as injected", operation)
            _hang_up(request)
        if effect.release is not None:
            _log.info("%s: answer held back, as injected", operation)
            self._faults.hold(effect.release)
            if self._stopping.is_set():
                _hang_up(request)
        return answer

    def _perform(self, request: Request, body: bytes, target_prefix: str, operation: str) -> dict[str, Any]:
        if operation not in self._operations or operation not in SERVICES[target_prefix].operation_names:
            raise ServiceError("UnknownOperationException", f"The emulator has no operation {operation!r}.")
        region = region_of(request.headers.get("Authorization", ""))
        parameters = parse_parameters(body, SERVICES[target_prefix].operation_model(operation))
        answer = self._operations[operation](parameters, region)
        _log.info("%s in %s", operation, region)
        return answer

    def _batch_delete_import_data(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """Let the tasks answer about those whose errors are not injected."""
        errors = []
        others = []
        for import_task_id in parameters["importTaskIds"]:
            if fault := self._faults.strike_import_task(import_task_id):
                code, description = fault.kind, fault.description
                errors.append({"importTaskId": import_task_id, "errorCode": code, "errorDescription": description})
            else:
                others.append(import_task_id)
        answer = self._tasks.batch_delete_import_data({**parameters, "importTaskIds": others}, region)
        return {"errors": errors + answer["errors"]}

    def _answer_control(self, request: Request) -> Response:
        asked = f"{request.method} {request.path}"
        _log.info("%s", asked)
        content: object = None
        status = 200
        match asked:
            case "GET /_ads/":
                content = _CONTROLS
            case "GET /_ads/calls":
                content = self.calls()
            case "DELETE /_ads/calls":
                self.clear_calls()
            case "GET /_ads/iam-actions":
                content = self.iam_actions()
            case "GET /_ads/import-tasks":
                content = self._tasks.import_tasks()
            case "POST /_ads/faults":
                try:
                    self._inject(**json.loads(request.get_data()))
                except (TypeError, ValueError) as error:
                    content, status = {"message": str(error)}, 400
            case "DELETE /_ads/faults":
                self._faults.clear()
            case "GET /_ads/held":
                content = self._faults.held()
            case _:
                content, status = {"message": f"The emulator does not know {asked}."}, 404
        if content is None:
            return Response(status=204)
        return Response(to_json(content), status, content_type="application/json")


def _hang_up(request: Request) -> NoReturn:
    """Close the connection without an answer."""
    with contextlib.suppress(OSError):  # the client has closed it already
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("injected into the emulator")


def _expired(request: Request) -> Response | None:
    """
    Refuse a presigned URL whose time is over, which moto never does.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
    """
    if request.method not in ("GET", "HEAD"):
        return None
    try:
        if "X-Amz-Expires" in request.args:
            signed = datetime.strptime(request.args["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            expires = signed + timedelta(seconds=int(request.args["X-Amz-Expires"]))
        elif "Signature" in request.args:
            expires = datetime.fromtimestamp(int(request.args["Expires"]), UTC)
        else:
            return None
    except (KeyError, ValueError, OverflowError):
        return None
    now = datetime.now(UTC)
    if now < expires:
        return None
    return Response(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<Error><Code>AccessDenied</Code><Message>Request has expired</Message>"
        f"<Expires>{expires:%Y-%m-%dT%H:%M:%SZ}</Expires><ServerTime>{now:%Y-%m-%dT%H:%M:%SZ}</ServerTime>"
        "</Error>",
        403,
        content_type="application/xml",
    )
