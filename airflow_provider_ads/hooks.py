"""The boto3 side of AWS Application Discovery Service imports."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import boto3
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_ads.discovery.import_task import (
    ImportTask,
    check_client_request_token,
    check_import_task_ids,
    check_import_url,
    check_name,
)
from airflow_provider_ads.discovery.limits import IMPORT_TASK_PAGE_SIZE, VALUES_PER_FILTER
from airflow_provider_ads.exceptions import (
    EXPIRED_CREDENTIALS_CODES,
    AdsCallError,
    ImportTaskNotFound,
    call_error,
)

__all__ = ["MISSING_TASK_LOOKS", "AdsHook", "describe_parameters", "name_some"]

#: How often an import task that the service does not list is looked for before it is called missing. AWS does
#: not say how soon a new task is listed.
MISSING_TASK_LOOKS = 3

#: Seconds between two such looks of the hook.
MISSING_TASK_INTERVAL = 2.0


class AdsHook(AwsGenericHook[Any]):
    """
    Interact with AWS Application Discovery Service (ADS).

    A thin wrapper around :external+boto3:py:class:`boto3.client("discovery")
    <ApplicationDiscoveryService.Client>`. It takes the arguments of every AWS hook, ``aws_conn_id``,
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
        response = self._call("StartImportTask", about, lambda client: client.start_import_task(**parameters))
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
            missing = [import_task_id for import_task_id in dict.fromkeys(ids) if import_task_id not in found]
            for start in range(0, len(missing), VALUES_PER_FILTER):
                some = missing[start : start + VALUES_PER_FILTER]
                tasks = self._describe(name_some(some), **describe_parameters(some))
                found.update((task.import_task_id, task) for task in tasks)
            if all(import_task_id in found for import_task_id in ids):
                return [found[import_task_id] for import_task_id in ids]
        raise ImportTaskNotFound(
            next(import_task_id for import_task_id in ids if import_task_id not in found),
            self._called_region,
        )

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
        :raises AdsCallError: a call failed.
        """
        filters = {} if name is None else {"filters": [{"name": "NAME", "values": [check_name(name)]}]}
        tasks = self._describe("all imports" if name is None else f"imports named {name!r}", **filters)
        return (task for task in tasks if (task.name or "").startswith(name_prefix or ""))

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
def _check_region(region_name: str) -> None:
    boto3.session.Session().get_partition_for_region(region_name)


def describe_parameters(import_task_ids: Sequence[str]) -> dict[str, Any]:
    """
    Return the parameters of ``DescribeImportTasks`` that ask for these tasks.

    :param import_task_ids: at most 100 ids.
    """
    return {"filters": [{"name": "IMPORT_TASK_ID", "values": list(import_task_ids)}]}


def name_some(import_task_ids: Sequence[str]) -> str:
    """Name the first of many ids, for a message."""
    more = len(import_task_ids) - 1
    return import_task_ids[0] + (f" and {more} more" if more else "")
