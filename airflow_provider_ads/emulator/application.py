"""The WSGI application: the service's operations, the control interface, and moto for everything else."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from threading import Event, Lock
from typing import Any, NoReturn

from werkzeug.wrappers import Request, Response

from airflow_provider_ads.emulator.credentials import CredentialChecks, host_of
from airflow_provider_ads.emulator.export_tasks import ExportTasks
from airflow_provider_ads.emulator.faults import Faults
from airflow_provider_ads.emulator.iam_actions import iam_actions_of
from airflow_provider_ads.emulator.import_tasks import ImportTasks
from airflow_provider_ads.emulator.page import PageState, parse_form, prefers_html, render_page
from airflow_provider_ads.emulator.protocol import (
    SERVICES,
    ServiceError,
    error_response,
    json_response,
    parse_parameters,
    region_of,
    to_json,
)
from airflow_provider_ads.emulator.s3 import call_moto, expired_response

__all__ = ["Application"]

_log = logging.getLogger(__name__)

Operation = Callable[[Mapping[str, Any], str], dict[str, Any]]


class Application:
    """
    Answers the requests to the emulator's port.

    :param tasks: the import tasks.
    :param exports: the export tasks.
    :param faults: the injected faults.
    :param credentials: the checks of credentials.
    :param inject: :meth:`airflow_provider_ads.emulator.AdsEmulator.inject`.
    :param page_state: returns what the page shows.
    :ivar operations: the operations that the emulator performs.
    """

    def __init__(
        self,
        tasks: ImportTasks,
        exports: ExportTasks,
        faults: Faults,
        credentials: CredentialChecks,
        inject: Callable[..., None],
        page_state: Callable[[], PageState],
    ) -> None:
        self._stopping = Event()
        self.operations: dict[str, Operation] = {
            "BatchDeleteImportData": self._batch_delete_import_data,
            "DescribeExportTasks": exports.describe_export_tasks,
            "DescribeImportTasks": tasks.describe_import_tasks,
            "GetHomeRegion": tasks.get_home_region,
            "StartExportTask": lambda parameters, region: exports.start_export_task(
                parameters, region, faults.apply_to_export()
            ),
            "StartImportTask": tasks.start_import_task,
        }
        #: The requests of the control interface, by which other processes control the emulator.
        self._controls: dict[str, tuple[str, Callable[[Request], object]]] = {
            "GET /_ads/": ("this list", lambda _: {each: meaning for each, (meaning, _) in self._controls.items()}),
            "GET /_ads/calls": ("the number of calls by operation", lambda _: self.calls()),
            "DELETE /_ads/calls": ("reset the numbers of calls and IAM actions", lambda _: self.clear_calls()),
            "GET /_ads/iam-actions": (
                "the number of requests by the IAM action that they need",
                lambda _: self.iam_actions(),
            ),
            "GET /_ads/import-tasks": (
                "the import tasks of every region, oldest first",
                lambda _: tasks.import_tasks(),
            ),
            "GET /_ads/export-tasks": (
                "the export tasks of every region, oldest first",
                lambda _: exports.export_tasks(),
            ),
            "POST /_ads/faults": (
                "inject a fault: a JSON object with the arguments of AdsEmulator.inject",
                lambda request: inject(
                    **parse_form(request.form) if _is_form(request) else json.loads(request.get_data())
                ),
            ),
            "DELETE /_ads/faults": ("remove all faults and send the held responses", lambda _: faults.clear()),
            "GET /_ads/held": ("the number of responses that are being held", lambda _: faults.held()),
        }
        self._tasks = tasks
        self._faults = faults
        self._credentials = credentials
        self._page_state = page_state
        self._calls: Counter[str] = Counter()
        self._iam_actions: Counter[str] = Counter()
        self._lock = Lock()

    def calls(self) -> Counter[str]:
        """Count the calls by operation since the start or the last :meth:`clear_calls`."""
        with self._lock:
            return self._calls.copy()

    def iam_actions(self) -> Counter[str]:
        """Count the requests by the IAM action that they needed since the start or the last :meth:`clear_calls`."""
        with self._lock:
            return self._iam_actions.copy()

    def count_iam_actions(self, *actions: str) -> None:
        """Add one to the count of each IAM action."""
        with self._lock:
            self._iam_actions.update(actions)

    def clear_calls(self) -> None:
        """Reset the counts of calls and IAM actions."""
        with self._lock:
            self._calls.clear()
            self._iam_actions.clear()

    def stop(self) -> None:
        """End all delays, and close the connections of held responses."""
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
        if _is_for_page(request):
            return render_page(self._page_state(), refreshes=bool(request.query_string))(environ, start_response)
        if (expired := expired_response(request)) is not None:
            return expired(environ, start_response)
        self.count_iam_actions(*iam_actions_of(request))
        if (answer := self._credentials.answer(request)) is not None:
            return answer(environ, start_response)
        return call_moto(environ, start_response)

    def _answer(self, request: Request, target_prefix: str, operation: str) -> Response:
        with self._lock:
            self._calls[operation] += 1
            # Each service's signing name is also its IAM prefix, even mgh of Migration Hub Config:
            # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsmigrationhub.html
            self._iam_actions[f"{SERVICES[target_prefix].signing_name}:{operation}"] += 1
        body = request.get_data()
        effect = self._faults.apply_to_call(operation)
        if effect.delay:
            _log.info("%s: injected fault: delayed by %g s", operation, effect.delay)
            self._stopping.wait(effect.delay)
        if effect.drop:
            _log.info("%s: injected fault: connection dropped", operation)
            _close_connection(request)
        if effect.body is not None:
            _log.info("%s: injected fault: malformed response", operation)
            return Response(effect.body, content_type="text/html")
        try:
            if effect.error is not None:
                raise effect.error
            response = json_response(self._perform(request, body, target_prefix, operation))
        except ServiceError as error:
            _log.info("%s: %s", operation, error)
            response = error_response(error)
        except Exception:
            _log.exception("%s failed unexpectedly", operation)
            response = error_response(ServiceError("ServerInternalErrorException", "The emulator failed unexpectedly."))
        if effect.lose:
            _log.info("%s: injected fault: response lost", operation)
            _close_connection(request)
        if effect.release is not None:
            _log.info("%s: injected fault: response held", operation)
            self._faults.hold(effect.release)
            if self._stopping.is_set():
                _close_connection(request)
        return response

    def _perform(self, request: Request, body: bytes, target_prefix: str, operation: str) -> dict[str, Any]:
        self._credentials.check_call(request)
        if operation not in self.operations or operation not in SERVICES[target_prefix].operation_names:
            raise ServiceError("UnknownOperationException", f"The emulator has no operation {operation!r}.")
        region = region_of(request.headers.get("Authorization", ""))
        parameters = parse_parameters(body, SERVICES[target_prefix].operation_model(operation))
        content = self.operations[operation](parameters, region)
        _log.info("%s in %s", operation, region)
        return content

    def _batch_delete_import_data(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        """Return the injected errors, and delete the other tasks."""
        errors = []
        others = []
        for import_task_id in parameters["importTaskIds"]:
            if fault := self._faults.apply_to_import_task(import_task_id):
                code, description = fault.kind, fault.description
                errors.append({"importTaskId": import_task_id, "errorCode": code, "errorDescription": description})
            else:
                others.append(import_task_id)
        response = self._tasks.batch_delete_import_data({**parameters, "importTaskIds": others}, region)
        return {"errors": errors + response["errors"]}

    def _answer_control(self, request: Request) -> Response:
        is_form = _is_form(request)
        method = request.form.get("_method", request.method) if is_form else request.method
        control = f"{method} {request.path}"
        _log.info("%s", control)
        if _is_from_another_site(request):
            message = f"{control} was refused because another site's page sent it. Use the emulator's page or a script."
            return Response(to_json({"message": message}), 403, content_type="application/json")
        if control not in self._controls:
            message = f"The control interface has no {control}; GET /_ads/ lists it."
            return Response(to_json({"message": message}), 404, content_type="application/json")
        _, answer = self._controls[control]
        try:
            content = answer(request)
        except (TypeError, ValueError) as error:
            if is_form:
                return render_page(self._page_state(), notice=str(error), form=request.form, status=400)
            return Response(to_json({"message": str(error)}), 400, content_type="application/json")
        if is_form:
            return self._answer_form(request.form)
        if content is None:
            return Response(status=204)
        return Response(to_json(content), content_type="application/json")

    def _answer_form(self, form: Mapping[str, str]) -> Response:
        """Send the browser back to the page, or the page itself if the form has closed the port."""
        if form.get("fault") != "refuse":
            return Response(status=303, headers={"Location": "/"})
        seconds = float(form["seconds"])
        notice = f"The port is closed for {seconds:g} seconds. This page loads itself again afterwards."
        return render_page(self._page_state(), notice=notice, closed_seconds=seconds)


def _is_for_page(request: Request) -> bool:
    """Return True for the emulator's page; a signed request lists buckets instead."""
    is_page = (request.method, request.path) == ("GET", "/") and request.query_string in (b"", b"refresh")
    return is_page and "Authorization" not in request.headers and prefers_html(request)


def _is_form(request: Request) -> bool:
    """Return True if a browser sent one of the page's forms; curl gives JSON the same content type."""
    return request.mimetype == "application/x-www-form-urlencoded" and prefers_html(request)


def _is_from_another_site(request: Request) -> bool:
    """
    Return True if a browser sent a request that changes something from the page of another site.

    https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
    Browsers send ``Sec-Fetch-Site`` to localhost and HTTPS only, and scripts send neither header.
    """
    if request.method in ("GET", "HEAD"):
        return False
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and origin.partition("://")[2] != host_of(request)


def _close_connection(request: Request) -> NoReturn:
    """Close the connection without a response."""
    with contextlib.suppress(OSError):  # the client has already closed it
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("injected into the emulator")
