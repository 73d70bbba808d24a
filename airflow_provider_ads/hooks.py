"""Hook that calls AWS Application Discovery Service through boto3."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import boto3
import botocore.session
from airflow.providers.amazon.aws.hooks import base_aws
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, NoCredentialsError
from botocore.utils import parse_timestamp

from airflow_provider_ads.discovery.export_task import ExportTask
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.limits import (
    EXPORT_TASK_PAGE_SIZE,
    IMPORT_TASK_PAGE_SIZE,
    IMPORT_TASKS_PER_DELETION,
    SERVICE_REGIONS,
    VALUES_PER_FILTER,
)
from airflow_provider_ads.discovery.parameters import (
    as_list,
    check_client_request_token,
    check_ec2_recommendations,
    check_export_ids,
    check_import_task_ids,
    check_import_url,
    check_name,
    filter_parameters,
    summarize_ids,
)
from airflow_provider_ads.discovery.verdicts import MISSING_TASK_POLLS
from airflow_provider_ads.exceptions import (
    EXPIRED_CREDENTIALS_CODES,
    OVER_LIMIT,
    AdsCallError,
    ExportTaskNotFound,
    ImportTaskNotFound,
    call_error,
    connection_changed_error,
    deletion_error,
    lookup_error,
)
from airflow_provider_ads.log_redaction import redact_logs

__all__ = ["AdsHook", "explained_errors"]

T = TypeVar("T")

#: Seconds between two polls for a task that the service does not list.
MISSING_TASK_INTERVAL = 2.0


def get_called_region(hook: base_aws.AwsGenericHook[Any]) -> str | None:
    """Return the region of a hook's client or, before there is one, of its settings, without calling AWS."""
    return hook.conn_region_name if "conn" in vars(hook) else hook.region_name


def get_error_details(hook: base_aws.AwsGenericHook[Any]) -> dict[str, Any]:
    """Return the arguments of :func:`~airflow_provider_ads.exceptions.call_error` about a hook's connection."""
    connection = hook.conn_config
    sts_endpoint_url = connection.get_service_endpoint_url("sts", sts_connection_assume=True)
    if sts_endpoint_url == connection.get_service_endpoint_url(str(hook.client_type)):
        # Both services use this URL, so an error with it does not show which of them was called.
        sts_endpoint_url = None
    return {"is_connection_missing": bool(hook.aws_conn_id) and not connection, "sts_endpoint_url": sts_endpoint_url}


def get_identity(hook: base_aws.AwsGenericHook[Any]) -> tuple[str | None, ...]:
    """Return values that determine a hook's account and region; an item is None if the machine's settings apply."""
    config = hook.conn_config
    conn_id = hook.aws_conn_id if config else None
    return (conn_id, config.aws_access_key_id, config.role_arn, config.profile_name, hook.region_name)


@contextmanager
def explained_errors(
    hook: base_aws.AwsGenericHook[Any], operation: str, about: str, region_name: str | None = None
) -> Iterator[None]:
    """
    Convert errors that boto3 raises in the block into errors with advice.

    :param hook: the hook that makes the call, which also knows the connection.
    :param operation: the operation, such as ``GetObject``.
    :param about: the imports or the file of the call, for the message.
    :param region_name: the region that is called, if it is not the hook's.
    :raises AdsCallError: the call failed.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        failure = call_error(
            error,
            operation,
            about,
            region_name or get_called_region(hook),
            hook.aws_conn_id,
            **get_error_details(hook),
        )
        # Otherwise Airflow would show a second traceback, and AWS's message twice.
        raise failure from None


class AdsHook(base_aws.AwsGenericHook[Any]):
    """
    Interact with AWS Application Discovery Service (ADS).

    A thin wrapper around ``boto3.client("discovery")``. It accepts the arguments of every AWS hook: ``aws_conn_id``,
    ``region_name``, ``verify`` and ``config``. The region must be the account's Migration Hub home region.

    .. seealso:: :class:`airflow.providers.amazon.aws.hooks.base_aws.AwsBaseHook`
    """

    #: True if the hook has read the connection again, and it might now be for another account or region.
    _has_changed = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        redact_logs()
        super().__init__(*args, **{**kwargs, "client_type": "discovery"})
        if isinstance(self._verify, os.PathLike):
            self._verify = os.fspath(self._verify)

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """
        Return a client or, if deferrable, aiobotocore's context manager for one: see the base class.

        :raises UnknownRegionError: no AWS partition has a region with a name of this form. Without this check, the call
            would fail because the endpoint cannot be reached, and waits would treat that as an outage. A wrong name in
            the right format still has this effect.
        """
        if region_name is not None:
            _check_region(region_name)
        return super().get_client_type(region_name, config, deferrable)

    def async_client_factory(self, config: Config) -> Callable[[], Any]:
        """
        Return a function that returns aiobotocore's context manager for a client.

        All blocking work is done here; for a role, this calls AWS STS. The credentials never refresh.

        :param config: the config of the client.
        :raises UnknownRegionError: see :meth:`get_client_type`.
        """
        if self.region_name is not None:
            _check_region(self.region_name)
        return functools.partial(
            self.get_session(self.region_name, deferrable=True).create_client,
            "discovery",
            endpoint_url=self.conn_config.get_service_endpoint_url("discovery"),
            config=self._get_config(config),
            verify=self.verify,
        )

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """
        Return a boto3 session or, if deferrable, an aiobotocore session with the boto3 session's current credentials.

        The credentials of the aiobotocore session never refresh, because the Amazon provider would ask AWS STS for new
        ones on the event loop.
        """
        factory = base_aws.SessionFactory(conn=self.conn_config, region_name=region_name, config=self.config)
        # With a role, this session calls AWS STS. Reading botocore's data again would take longer than the call.
        _share_data(factory.basic_session)
        session: Any = factory.create_session()
        _share_data(session)
        session.events.register("before-parse.application-discovery-service", _check_answer)
        return _static_session(session) if deferrable else session

    def test_connection(self) -> tuple[bool, str]:
        """
        Check credentials, region, home region and permissions without starting an import.

        https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/API_GetHomeRegion.html

        It needs the permissions ``mgh:GetHomeRegion`` and ``discovery:DescribeImportTasks``. It cannot check the
        permission to start an import, because AWS offers no way to check it without starting one.

        Airflow's own connection test, in the UI and as ``airflow connections test``, does not call this method. It
        calls the hook for the connection type, which is the Amazon provider's and checks only the credentials. Call
        this method from Python, ``AdsHook("aws_default").test_connection()``, or run
        ``example_dags/example_ads_check_connection.py``.

        :return: True and the result; or False and one line for each failed check with the reason and what to do next.
            The method does not raise, no matter what the connection contains and AWS returns.
        """
        problems: list[str] = []
        with self._record_problem(problems, "credentials", "GetCallerIdentity", None):
            region_name = boto3.session.Session(**self.conn_config.session_kwargs).region_name
        if problems:
            return False, problems[0]
        available = region_name in SERVICE_REGIONS
        if not available:
            problems.append(
                f"region: {f'The service is not available in {region_name}' if region_name else 'No region is set'}. "
                "Set region_name, in the Dag or in aws_conn_id, to the account's Migration Hub home region, which is "
                f"one of {', '.join(SERVICE_REGIONS)}."
            )
        # AWS's own collector calls us-west-2 for the home region, no matter which region that is:
        # https://docs.aws.amazon.com/application-discovery/latest/userguide/agentless-collector-gs-prerequisites.html
        called_region = region_name if available else "us-west-2"
        remarks = []
        has_credentials = False
        with self._record_problem(problems, "credentials", "GetCallerIdentity", called_region):
            session = self.get_session(called_region)
            credentials = session.get_credentials()
            # With a role, this calls AWS STS.
            has_credentials = credentials is not None and bool(credentials.get_frozen_credentials().access_key)
            identity = self._client_for(session, "sts", sts_test_connection=True).get_caller_identity()
            remarks.append(f"Checked as {identity['Arn']} of account {identity['Account']}.")
        if has_credentials:
            # The other services can be reached even if AWS STS cannot.
            with self._record_problem(problems, "home region", "GetHomeRegion", called_region):
                home_region = self._client_for(session, "migrationhub-config").get_home_region().get("HomeRegion")
                if home_region is None:
                    problems.append(
                        "home region: The account has no Migration Hub home region. Choose one on the Settings page of "
                        "the Migration Hub console, and set region_name to it, in the Dag or in aws_conn_id."
                    )
                elif home_region != region_name:
                    problems.append(
                        f"home region: The account's Migration Hub home region is {home_region}, not {region_name}. "
                        f"Set region_name to {home_region}, in the Dag or in aws_conn_id."
                    )
            if available:
                with self._record_problem(problems, "permissions", "DescribeImportTasks", region_name):
                    self.conn.describe_import_tasks(maxResults=1)
            if self.aws_conn_id and not self.conn_config:
                remarks.append(
                    f"Airflow found no readable connection {self.aws_conn_id!r} and used the machine's own "
                    "credentials. Create or correct the connection, unless this is intended."
                )
        if problems:
            return False, "\n".join([*problems, *remarks])
        result = (
            f"Imports can be listed in {region_name}, the account's Migration Hub home region. Only the first import "
            "shows whether the credentials may start it (discovery:StartImportTask) and read its file (s3:GetObject)."
        )
        return True, "\n".join([result, *remarks])

    def start_import_task(self, name: str, import_url: str, client_request_token: str | None = None) -> ImportTask:
        """
        Start an import.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

        :param name: the name of the import, 1 to 255 characters.
        :param import_url: the URL of the file, such as ``s3://bucket/key``, at most 4,000 characters.
        :param client_request_token: 1 to 100 characters. The service starts one import for a token, no matter how many
            times it is sent. None for a new token in each call.
        :return: the new task or, if the token was sent before, the task that it belongs to.
        :raises ValueError: the service does not accept a parameter; nothing was sent.
        :raises AdsCallError: the call failed.
        """
        parameters = {"name": check_name(name), "importUrl": check_import_url(import_url)}
        if client_request_token is not None:
            parameters["clientRequestToken"] = check_client_request_token(client_request_token)
        about = f"{name!r} from {import_url}"
        try:
            response = self._call("StartImportTask", about, lambda client: client.start_import_task(**parameters))
        except AdsCallError as error:
            if error.code != "ResourceInUseException" or client_request_token is None:
                raise
            named = error
            with suppress(AdsCallError):
                named = self._name_import_of_token(error, client_request_token)
            raise named from None
        return ImportTask.from_response(response["task"])

    def get_import_tasks(self, import_task_ids: str | Iterable[str]) -> list[ImportTask]:
        """
        Describe import tasks, 100 per call.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_DescribeImportTasks.html

        :param import_task_ids: one id, or any iterable of ids.
        :return: the tasks in the order of the ids.
        :raises ValueError: there is no id, or one does not have the form of an import task id; nothing was sent.
        :raises ImportTaskNotFound: the service does not list one of them, even after further polls.
        :raises AdsCallError: a call failed.
        """
        ids = check_import_task_ids(import_task_ids)
        return self._find_all(ids, self._describe_ids, ImportTaskNotFound)

    def find_import_tasks(self, import_task_ids: str | Iterable[str]) -> dict[str, ImportTask]:
        """
        Describe those of the import tasks that the service lists, 100 per call.

        :param import_task_ids: one id, or any iterable of ids.
        :return: the tasks by id, without those that are not listed.
        :raises ValueError: there is no id, or one does not have the form of an import task id; nothing was sent.
        :raises AdsCallError: a call failed, or a task is not listed and the hook's connection has changed meanwhile.
        """
        ids = check_import_task_ids(import_task_ids)
        found = self._describe_ids(ids)
        missing = [import_task_id for import_task_id in ids if import_task_id not in found]
        if missing and self._has_changed:
            raise connection_changed_error(missing)
        return found

    def get_import_task(self, import_task_id: str) -> ImportTask:
        """Describe one import task: see :meth:`get_import_tasks`."""
        return self.get_import_tasks([import_task_id])[0]

    def list_import_tasks(
        self, name: str | Iterable[str] | None = None, name_prefix: str | None = None
    ) -> Iterator[ImportTask]:
        """
        List the import tasks of the account in this region.

        There is no parameter for the status, because a ``STATUS`` filter makes the service ignore all other filters
        (https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTaskFilter.html).

        :param name: only tasks with exactly this name, or with one of these names, 100 per call.
        :param name_prefix: only tasks whose name starts with this prefix.
        :return: the tasks in the service's order; every page is fetched before the first task is returned.
        :raises ValueError: the service does not accept a name; nothing was sent.
        :raises AdsCallError: a call failed.
        """
        if name is None:
            tasks = self._describe("all imports")
        else:
            names = [check_name(each) for each in as_list(name)]
            tasks = self._describe_each(
                names, "NAME", lambda batch: "imports named " + summarize_ids([repr(each) for each in batch])
            )
        return (task for task in tasks if (task.name or "").startswith(name_prefix or ""))

    def delete_import_data(self, import_task_ids: str | Iterable[str], delete_history: bool = False) -> None:
        """
        Start the deletion of the imported data, 10 imports per call; the service continues it on its own.

        After a refusal with ``OVER_LIMIT``, the account's daily limit of deleted records, no further call is made. The
        remaining imports count as refused with the same code.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html

        :param import_task_ids: one id, or any iterable of ids.
        :param delete_history: True to delete the import tasks too, so that the service no longer lists them.
        :raises ValueError: there is no id, or one does not have the form of an import task id; nothing was sent.
        :raises ImportDeletionError: the service refused some imports, which the error names; the data of the others is
            being deleted.
        :raises AdsCallError: a call failed; the data of the imports in earlier calls is being deleted.
        """
        ids = list(dict.fromkeys(check_import_task_ids(import_task_ids)))
        refused: dict[str, Any] = {}
        for start in range(0, len(ids), IMPORT_TASKS_PER_DELETION):
            batch = ids[start : start + IMPORT_TASKS_PER_DELETION]
            if any(error.get("errorCode") == OVER_LIMIT for error in refused.values()):
                refused.update((import_task_id, {"errorCode": OVER_LIMIT}) for import_task_id in batch)
                continue
            response = self._call(
                "BatchDeleteImportData",
                summarize_ids(batch),
                lambda client, batch=batch: client.batch_delete_import_data(
                    importTaskIds=batch, deleteHistory=delete_history
                ),
            )
            refused.update((error["importTaskId"], error) for error in response.get("errors", []))
        if refused:
            raise deletion_error(refused, self.called_region)

    def start_export_task(self, ec2_recommendations: Mapping[str, Any] | None = None) -> str:
        """
        Start an export.

        The service accepts no request token, so each call starts another export.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartExportTask.html

        :param ec2_recommendations: the preferences of EC2 instance recommendations without ``enabled``, such as
            ``{"preferredRegion": "us-west-2"}``:
            https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_Ec2RecommendationsExportPreferences.html.
            None to export a summary of all discovered servers instead.
        :return: the export's id.
        :raises ValueError: the preferences are not a dictionary, or contain ``enabled``; nothing was sent.
        :raises AdsCallError: the call failed, or botocore refused the preferences before sending them.
        """
        preferences = check_ec2_recommendations(ec2_recommendations)
        parameters: dict[str, Any] = {}
        if preferences is not None:
            parameters["preferences"] = {"ec2RecommendationsPreferences": {"enabled": True, **preferences}}
        about = "a summary of all servers" if preferences is None else "EC2 recommendations"
        response = self._call("StartExportTask", about, lambda client: client.start_export_task(**parameters))
        return str(response["exportId"])

    def get_export_tasks(self, export_ids: str | Iterable[str]) -> list[ExportTask]:
        """
        Describe export tasks, 100 per call.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_DescribeExportTasks.html

        :param export_ids: one id, or any iterable of ids.
        :return: the tasks in the order of the ids.
        :raises ValueError: there is no id, or one cannot be an export's id; nothing was sent.
        :raises ExportTaskNotFound: the service does not list one of them, even after further polls.
        :raises AdsCallError: a call failed.
        """
        ids = check_export_ids(export_ids)
        return self._find_all(ids, self._describe_exports, ExportTaskNotFound)

    def get_export_task(self, export_id: str) -> ExportTask:
        """Describe one export task: see :meth:`get_export_tasks`."""
        return self.get_export_tasks([export_id])[0]

    def _name_import_of_token(self, error: AdsCallError, client_request_token: str) -> AdsCallError:
        """Return the error with the import that the token belongs to, if the service lists that import."""
        for task in self.list_import_tasks():
            if task.client_request_token == client_request_token:
                return AdsCallError(
                    f"{error}\nThe token belongs to this import; to get it again, use its name and URL. "
                    f"{task.describe(with_url=True)}.",
                    error.code,
                    task.import_task_id,
                )
        return error

    @contextmanager
    def _record_problem(
        self, problems: list[str], check: str, operation: str, region_name: str | None
    ) -> Iterator[None]:
        """Append the problem to ``problems`` if the block raises."""
        try:
            with explained_errors(self, operation, "the connection test", region_name):
                yield
        except AdsCallError as error:
            problems.append(f"{check}: {error}".replace("\n", " "))
        except Exception as error:
            # Airflow and boto3 raise unrelated exceptions for an invalid connection.
            reason = f"{type(error).__name__}: {error}".rstrip(".")
            problems.append(f"{check}: {reason}. Correct the connection {self.aws_conn_id!r}.")

    def _client_for(self, session: Any, service: str, **endpoint: bool) -> Any:
        endpoint_url = self.conn_config.get_service_endpoint_url(service, **endpoint)
        return session.client(service, endpoint_url=endpoint_url, config=self.config, verify=self.verify)

    def _find_all(
        self,
        ids: Sequence[str],
        describe: Callable[[list[str]], dict[str, T]],
        not_found: Callable[[str, str | None], AdsCallError],
    ) -> list[T]:
        """Return the tasks in the order of the ids; poll again for those that the service does not list."""
        found: dict[str, T] = {}
        for poll in range(MISSING_TASK_POLLS):
            if poll:
                time.sleep(MISSING_TASK_INTERVAL)
            found |= describe([id_ for id_ in ids if id_ not in found])
            if all(id_ in found for id_ in ids):
                return [found[id_] for id_ in ids]
        raise not_found(next(id_ for id_ in ids if id_ not in found), self.called_region)

    def _describe_ids(self, import_task_ids: Iterable[str]) -> dict[str, ImportTask]:
        """Return those tasks that the service lists, by id."""
        tasks = self._describe_each(import_task_ids, "IMPORT_TASK_ID", summarize_ids)
        return {task.import_task_id: task for task in tasks}

    def _describe_each(
        self, values: Iterable[str], filter_name: str, about: Callable[[list[str]], str]
    ) -> list[ImportTask]:
        """Return the tasks with one of these ids or names, with as few calls as possible."""
        return [
            task
            for batch in _batches(values, VALUES_PER_FILTER)
            for task in self._describe(about(batch), **filter_parameters(batch, filter_name))
        ]

    def _describe(self, about: str, **parameters: Any) -> list[ImportTask]:
        result = self._call_pages("DescribeImportTasks", about, IMPORT_TASK_PAGE_SIZE, parameters)
        return [ImportTask.from_response(task) for task in result.get("tasks", [])]

    def _describe_exports(self, export_ids: Iterable[str]) -> dict[str, ExportTask]:
        """Return those exports that the service lists, by id."""
        tasks: list[ExportTask] = []
        for batch in _batches(export_ids, EXPORT_TASK_PAGE_SIZE):
            about = summarize_ids(batch)
            result = self._call_pages("DescribeExportTasks", about, EXPORT_TASK_PAGE_SIZE, {"exportIds": batch})
            tasks += [ExportTask.from_response(task) for task in result.get("exportsInfo", [])]
        return {task.export_id: task for task in tasks}

    def _call_pages(self, operation: str, about: str, page_size: int, parameters: Mapping[str, Any]) -> Any:
        """Call an operation until its last page, and return the sum of all pages."""
        return self._call(
            operation,
            about,
            lambda client: (
                client.get_paginator(xform_name(operation))
                .paginate(**parameters, PaginationConfig={"PageSize": page_size})
                .build_full_result()
            ),
        )

    def _call(self, operation: str, about: str, call: Any) -> Any:
        try:
            return self._call_once(operation, about, call)
        except AdsCallError as error:
            if error.code not in EXPIRED_CREDENTIALS_CODES:
                # Airflow's UI shows the end of a log. The frames below this one would push the message out of view.
                raise error.with_traceback(None) from None
        # The connection might have newer credentials by now. Read it again, once.
        identity = get_identity(self)
        old: dict[str, Any] = {
            name: self.__dict__.pop(name) for name in ("conn", "conn_config") if name in self.__dict__
        }
        try:
            reason = "Airflow no longer finds it" if old.get("conn_config") and not self.conn_config else None
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        if reason:
            # Without the connection, this and later calls would use the machine's own credentials, perhaps of another
            # account.
            self.__dict__.update(old)
            raise lookup_error(self.aws_conn_id, reason)
        self._has_changed = self._has_changed or get_identity(self) != identity
        return self._call_once(operation, about, call)

    def _call_once(self, operation: str, about: str, call: Any) -> Any:
        with explained_errors(self, operation, about):
            return call(self.conn)

    @property
    def called_region(self) -> str | None:
        """The region of the client or, before there is one, of the settings; reading it never calls AWS."""
        return get_called_region(self)


class MalformedAnswer(IncompleteReadError):
    """
    A successful response that does not come from the service, is incomplete, or contains values of another type than
    the service documents: for example the page of a proxy, an empty body, or a string instead of a number.

    The message does not quote the response, which can contain secrets.
    """

    fmt = "HTTP {status}, {content_type}, {length:,} bytes, without a valid {expected}"


#: The part of each operation's response that the provider needs, and how to read the ids in it.
_EXPECTED: dict[str, tuple[str, Callable[[Any], list[Any]]]] = {
    "DescribeExportTasks": ("exportsInfo", lambda answer: [task["exportId"] for task in answer["exportsInfo"]]),
    "DescribeImportTasks": ("tasks", lambda answer: [task["importTaskId"] for task in answer["tasks"]]),
    "StartExportTask": ("exportId", lambda answer: [answer["exportId"]]),
    "StartImportTask": ("task", lambda answer: [answer["task"]["importTaskId"]]),
}


def _check_answer(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """
    Raise for a successful response that lacks required content or contains values of another type, because botocore
    would return an empty result or those values.

    :raises MalformedAnswer: the response does not come from the service, is incomplete, or contains values of another
        type.
    """
    if response_dict["status_code"] >= 300:
        return
    expected, read_ids = _EXPECTED.get(operation_model.name, ("JSON object", lambda _: []))
    try:
        answer = json.loads(response_dict["body"])
        is_valid = isinstance(answer, dict) and _has_types_of(operation_model.output_shape, answer)
        is_valid = is_valid and all(isinstance(id_, str) and id_ for id_ in read_ids(answer))
    except Exception:
        # Parsing a time can raise four types of exceptions.
        is_valid = False
    if not is_valid:
        raise MalformedAnswer(
            status=response_dict["status_code"],
            content_type=response_dict["headers"].get("Content-Type", "no content type"),
            length=len(response_dict["body"]),
            expected=repr(expected) if operation_model.name in _EXPECTED else expected,
        )


#: The beginning of the last year of Python's ``datetime``, in seconds since the epoch.
_YEAR_9999 = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def _has_types_of(shape: Any, value: Any) -> bool:
    """
    Return True if a value of a response has the type in botocore's model of the service.

    :raises Exception: a time cannot be read.
    """
    match shape.type_name:
        case "string":
            return isinstance(value, str)
        case "integer" | "long":
            # Airflow cannot pass larger numbers to a task.
            return type(value) is int and abs(value) < 2**63
        case "timestamp":
            if isinstance(value, str):
                return bool(parse_timestamp(value).astimezone(UTC))
            # Comparing seconds is faster than parsing them.
            return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _YEAR_9999
        case "structure":
            members = shape.members
            return isinstance(value, dict) and all(
                # botocore ignores null.
                each is None or name not in members or _has_types_of(members[name], each)
                for name, each in value.items()
            )
        case "list":
            return isinstance(value, list) and all(_has_types_of(shape.member, item) for item in value)
        case "boolean":
            return isinstance(value, bool)
    return True


def _batches(values: Iterable[str], size: int) -> list[list[str]]:
    """Return the values without repetitions, as many at a time as one call accepts."""
    unique = list(dict.fromkeys(values))
    return [unique[start : start + size] for start in range(0, len(unique), size)]


def _static_session(session: boto3.session.Session) -> Any:
    from aiobotocore.session import AioSession  # type: ignore[import-untyped]

    credentials = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    static: Any = AioSession()
    # The client is created on the event loop, so read the files that it needs here.
    static.register_component("data_loader", _service_data())
    static.set_credentials(*credentials.get_frozen_credentials()[:3])
    static.set_config_variable("region", session.region_name)
    if session.profile_name != "default":
        static.set_config_variable("profile", session.profile_name)
    static.register("before-parse.application-discovery-service", _check_answer)
    return static


def _share_data(session: Any) -> None:
    """Let a boto3 session use the data that other sessions have read."""
    session._session.register_component("data_loader", _data_loader())


@functools.cache
def _data_loader() -> Any:
    """Return a shared loader of botocore's data, which caches the megabytes that it has read."""
    return botocore.session.get_session().get_component("data_loader")


@functools.cache
def _service_data() -> Any:
    for name in ("_retry", "endpoints", "partitions", "sdk-default-configuration"):
        _data_loader().load_data_with_path(name)
    for type_name in ("service-2", "endpoint-rule-set-1", "paginators-1"):
        _data_loader().load_service_model("discovery", type_name)
    return _data_loader()


@functools.cache
def _check_region(region_name: str) -> None:
    session = botocore.session.get_session()
    session.register_component("data_loader", _data_loader())
    session.get_partition_for_region(region_name)
