"""The boto3 side of AWS Application Discovery Service imports."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import boto3
import botocore.session
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_ads.discovery.import_task import (
    MISSING_TASK_LOOKS,
    ImportTask,
    check_client_request_token,
    check_import_task_ids,
    check_import_url,
    check_name,
    describe_parameters,
    name_some,
)
from airflow_provider_ads.discovery.limits import (
    IMPORT_TASK_PAGE_SIZE,
    IMPORT_TASKS_PER_DELETION,
    SERVICE_REGIONS,
    VALUES_PER_FILTER,
)
from airflow_provider_ads.exceptions import (
    EXPIRED_CREDENTIALS_CODES,
    OVER_LIMIT,
    AdsCallError,
    ImportTaskNotFound,
    call_error,
    deletion_error,
)

__all__ = ["AdsHook"]

#: Seconds between two looks of the hook for a task that the service does not list.
MISSING_TASK_INTERVAL = 2.0


class AdsHook(AwsGenericHook[Any]):
    """
    Interact with AWS Application Discovery Service (ADS).

    A thin wrapper around ``boto3.client("discovery")``. It takes the arguments of every AWS hook, ``aws_conn_id``,
    ``region_name``, ``verify`` and ``config``; the region must be the account's Migration Hub home region.

    .. seealso:: :class:`airflow.providers.amazon.aws.hooks.base_aws.AwsBaseHook`
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "client_type": "discovery"})

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """
        Return a client, or what aiobotocore opens one with: see the base class.

        :raises UnknownRegionError: no partition of AWS has a region of such a name. Without the check the endpoint
            could not be reached, which looks like an outage and is waited out, as it still is for a name that is
            wrong but of the right form.
        """
        if region_name is not None:
            _check_region(region_name)
        return super().get_client_type(region_name, config, deferrable)

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """Return a session of boto3 or, deferrable, of aiobotocore: see the base class."""
        session: Any = super().get_session(region_name, deferrable)
        if deferrable:
            # Read by this thread, and once for all: the client, which is made on the event loop, needs them.
            session.register_component("data_loader", _service_data())
        return session

    def test_connection(self) -> tuple[bool, str]:
        """
        Check credentials, region, home region and permissions, and start no import.

        https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/API_GetHomeRegion.html

        It needs the permissions ``mgh:GetHomeRegion`` and ``discovery:DescribeImportTasks``. Whether an import may be
        started cannot be tried without starting one.

        Airflow's own test of a connection, in the UI and as ``airflow connections test``, does not come here: it
        asks the hook of the connection's type, which is the Amazon provider's and checks the credentials alone.
        Call this one from Python, ``AdsHook("aws_default").test_connection()``, or run
        ``example_dags/example_ads_check_connection.py``.

        :return: True and what was found; or False and, on a line for each check that failed, why and what to do
            next. Nothing is raised, whatever the connection holds and AWS answers.
        """
        problems: list[str] = []
        with self._noting(problems, "credentials", "GetCallerIdentity", None):
            region_name = boto3.session.Session(**self.conn_config.session_kwargs).region_name
        if problems:
            return False, problems[0]
        offered = region_name in SERVICE_REGIONS
        if not offered:
            problems.append(
                f"region: {f'The service is not offered in {region_name}' if region_name else 'No region is set'}. "
                "Set region_name, here or in aws_conn_id, to the account's Migration Hub home region, which is one of "
                f"{', '.join(SERVICE_REGIONS)}."
            )
        # AWS's own collector asks us-west-2 for the home region, wherever that is:
        # https://docs.aws.amazon.com/application-discovery/latest/userguide/agentless-collector-gs-prerequisites.html
        asked_region = region_name if offered else "us-west-2"
        remarks = []
        identity = None
        with self._noting(problems, "credentials", "GetCallerIdentity", asked_region):
            session = self.get_session(asked_region)
            identity = self._client_of(session, "sts", sts_test_connection=True).get_caller_identity()
        if identity is not None:
            remarks.append(f"Checked as {identity['Arn']} of account {identity['Account']}.")
            with self._noting(problems, "home region", "GetHomeRegion", asked_region):
                home_region = self._client_of(session, "migrationhub-config").get_home_region().get("HomeRegion")
                if home_region is None:
                    problems.append(
                        "home region: The account has no Migration Hub home region. Choose one on the Settings page of "
                        "the Migration Hub console, and set region_name to it, here or in aws_conn_id."
                    )
                elif home_region != region_name:
                    problems.append(
                        f"home region: The account's Migration Hub home region is {home_region}, the hook's region is "
                        f"{region_name}. Set region_name to {home_region}, here or in aws_conn_id."
                    )
            if offered:
                with self._noting(problems, "permissions", "DescribeImportTasks", region_name):
                    self.conn.describe_import_tasks(maxResults=1)
        if self.aws_conn_id and not self.conn_config:
            remarks.append(
                f"Airflow found no connection {self.aws_conn_id!r} that it can read; without one, the machine's own "
                "credentials are used. Create or correct the connection, unless that is meant."
            )
        if problems:
            return False, "\n".join([*problems, *remarks])
        found = (
            f"Imports can be listed in {region_name}, the account's Migration Hub home region. Whether they may be "
            "started too (discovery:StartImportTask), and the file be read (s3:GetObject), shows with the first import."
        )
        return True, "\n".join([found, *remarks])

    def start_import_task(self, name: str, import_url: str, client_request_token: str | None = None) -> ImportTask:
        """
        Start an import.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

        :param name: what to call the import, 1 to 255 characters.
        :param import_url: the file, as ``s3://bucket/key``, at most 4,000 characters.
        :param client_request_token: 1 to 100 characters; the service starts one import for a token, however
            often it is sent. Without one, boto3 makes a token for each call.
        :return: the task, new or, when the service knows the token, the one that it stands for.
        :raises ValueError: the service would not take a parameter; nothing was sent.
        :raises AdsCallError: the call failed.
        """
        parameters = {"name": check_name(name), "importUrl": check_import_url(import_url)}
        if client_request_token is not None:
            parameters["clientRequestToken"] = check_client_request_token(client_request_token)
        about = f"{name!r} from {import_url}"
        try:
            response = self._call("StartImportTask", about, lambda client: client.start_import_task(**parameters))
        except AdsCallError as error:
            if error.code == "ResourceInUseException" and client_request_token is not None:
                with suppress(AdsCallError):
                    error = self._name_the_holder(error, client_request_token)
            raise error
        return ImportTask.from_response(response["task"])

    def get_import_tasks(self, import_task_ids: str | Iterable[str]) -> list[ImportTask]:
        """
        Describe import tasks, 100 with a call.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_DescribeImportTasks.html

        :param import_task_ids: one id, or any number of them.
        :return: the tasks in the order of the ids.
        :raises ValueError: there is no id, or one is not of the form of an import task id; nothing was sent.
        :raises ImportTaskNotFound: the service does not list one of them, also when asked again.
        :raises AdsCallError: a call failed.
        """
        ids = check_import_task_ids(import_task_ids)
        found: dict[str, ImportTask] = {}
        for look in range(MISSING_TASK_LOOKS):
            if look:
                time.sleep(MISSING_TASK_INTERVAL)
            found.update(
                self.find_import_tasks(import_task_id for import_task_id in ids if import_task_id not in found)
            )
            if all(import_task_id in found for import_task_id in ids):
                return [found[import_task_id] for import_task_id in ids]
        raise ImportTaskNotFound(
            next(import_task_id for import_task_id in ids if import_task_id not in found),
            self._called_region,
        )

    def find_import_tasks(self, import_task_ids: str | Iterable[str]) -> dict[str, ImportTask]:
        """
        Describe those of the import tasks that the service lists, 100 with a call.

        :param import_task_ids: one id, or any number of them.
        :return: the tasks by their id, without those that are not listed.
        :raises ValueError: there is no id, or one is not of the form of an import task id; nothing was sent.
        :raises AdsCallError: a call failed.
        """
        ids = list(dict.fromkeys(check_import_task_ids(import_task_ids)))
        found: dict[str, ImportTask] = {}
        for start in range(0, len(ids), VALUES_PER_FILTER):
            some = ids[start : start + VALUES_PER_FILTER]
            found.update(
                (task.import_task_id, task) for task in self._describe(name_some(some), **describe_parameters(some))
            )
        return found

    def get_import_task(self, import_task_id: str) -> ImportTask:
        """Describe one import task: see :meth:`get_import_tasks`."""
        return self.get_import_tasks([import_task_id])[0]

    def list_import_tasks(self, name: str | None = None, name_prefix: str | None = None) -> Iterator[ImportTask]:
        """
        Describe the import tasks of the account in this region, from every page of the answer.

        A status is not among the parameters: with a ``STATUS`` filter the service ignores all other filters
        (https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTaskFilter.html).

        :param name: only tasks of exactly this name.
        :param name_prefix: only tasks whose name starts like this.
        :return: the tasks in the service's order; every page is fetched before the first task is returned.
        :raises ValueError: the service would not take the name; nothing was sent.
        :raises AdsCallError: a call failed.
        """
        filters = {} if name is None else describe_parameters([check_name(name)], "NAME")
        tasks = self._describe("all imports" if name is None else f"imports named {name!r}", **filters)
        return (task for task in tasks if (task.name or "").startswith(name_prefix or ""))

    def delete_import_data(self, import_task_ids: str | Iterable[str], delete_history: bool = False) -> None:
        """
        Have the data that imports brought in deleted, 10 imports with a call; the service goes on with it by itself.

        Once the account has deleted as many records as a day allows, no further call is made: the imports left count as
        refused with ``OVER_LIMIT``.

        https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html

        :param import_task_ids: one id, or any number of them.
        :param delete_history: whether the import tasks go too, so that the service lists them no more.
        :raises ValueError: there is no id, or one is not of the form of an import task id; nothing was sent.
        :raises ImportDeletionError: the service refused some of them; it names all of these, and the others are being
            deleted.
        :raises AdsCallError: a call failed; the ids of the calls before it are being deleted.
        """
        ids = list(dict.fromkeys(check_import_task_ids(import_task_ids)))
        refused: dict[str, Any] = {}
        for start in range(0, len(ids), IMPORT_TASKS_PER_DELETION):
            some = ids[start : start + IMPORT_TASKS_PER_DELETION]
            if any(error.get("errorCode") == OVER_LIMIT for error in refused.values()):
                refused.update((import_task_id, {"errorCode": OVER_LIMIT}) for import_task_id in some)
                continue
            response = self._call(
                "BatchDeleteImportData",
                name_some(some),
                lambda client, some=some: client.batch_delete_import_data(
                    importTaskIds=some, deleteHistory=delete_history
                ),
            )
            refused.update((error["importTaskId"], error) for error in response.get("errors", []))
        if refused:
            raise deletion_error(refused, self._called_region)

    def _name_the_holder(self, error: AdsCallError, client_request_token: str) -> AdsCallError:
        """Add to an error which import a token stands for, if it is listed."""
        for task in self.list_import_tasks():
            if task.client_request_token == client_request_token:
                more = (
                    f"It stands for {task} from {task.import_url}: to get that import again, ask for its name and URL."
                )
                return AdsCallError(f"{error} {more}", error.code, task.import_task_id)
        return error

    @contextmanager
    def _noting(self, problems: list[str], check: str, operation: str, region_name: str | None) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            explained = call_error(error, operation, "the connection test", region_name, self.aws_conn_id)
            problems.append(f"{check}: {explained}")
        except Exception as error:
            # What Airflow and boto3 raise about a connection that makes no sense has nothing in common.
            reason = f"{type(error).__name__}: {error}".rstrip(".")
            problems.append(f"{check}: {reason}. Correct the connection {self.aws_conn_id!r}.")

    def _client_of(self, session: Any, service: str, **endpoint: bool) -> Any:
        endpoint_url = self.conn_config.get_service_endpoint_url(service, **endpoint)
        return session.client(service, endpoint_url=endpoint_url, config=self.config, verify=self.verify)

    def _describe(self, about: str, **parameters: Any) -> list[ImportTask]:
        result = self._call(
            "DescribeImportTasks",
            about,
            lambda client: (
                client.get_paginator("describe_import_tasks")
                .paginate(**parameters, PaginationConfig={"PageSize": IMPORT_TASK_PAGE_SIZE})
                .build_full_result()
            ),
        )
        return [ImportTask.from_response(task) for task in result.get("tasks", [])]

    def _call(self, operation: str, about: str, call: Any) -> Any:
        try:
            return self._call_once(operation, about, call)
        except AdsCallError as error:
            if error.code not in EXPIRED_CREDENTIALS_CODES:
                raise
            # The connection may hold newer credentials by now: read it again, once.
            for cached in ("conn", "conn_config"):
                self.__dict__.pop(cached, None)
            return self._call_once(operation, about, call)

    def _call_once(self, operation: str, about: str, call: Any) -> Any:
        try:
            return call(self.conn)
        except (ClientError, BotoCoreError) as error:
            raise call_error(error, operation, about, self._called_region, self.aws_conn_id) from error

    @property
    def _called_region(self) -> str | None:
        return self.conn_region_name if "conn" in self.__dict__ else self.region_name


@functools.cache
def _data_loader() -> Any:
    """Return the one that keeps what it has read of botocore's data, which is some megabytes."""
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
