"""What users use: boto3, aiobotocore and the AWS CLI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # aiobotocore has no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # aiobotocore has no types

from airflow_provider_ads.emulator import AdsEmulator
from tests.unit.emulator.conftest import HOME_REGION, wait_for_import

CSV = "ExternalId\na\n \n"


def test_boto3(ads: AdsEmulator, s3: Any) -> None:
    s3.put_object(Bucket="inventory", Key="servers.csv", Body=CSV)
    session = boto3.Session(aws_access_key_id="user", aws_secret_access_key="secret", region_name=HOME_REGION)
    discovery: Any = session.client("discovery", endpoint_url=ads.endpoint_url)
    started = discovery.start_import_task(name="servers", importUrl="s3://inventory/servers.csv")["task"]
    assert wait_for_import(discovery, started["importTaskId"])["status"] == "IMPORT_COMPLETE_WITH_ERRORS"
    pages = discovery.get_paginator("describe_import_tasks").paginate()
    assert [task["name"] for page in pages for task in page["tasks"]] == ["servers"]
    discovery.close()


@pytest.mark.anyio
async def test_aiobotocore(ads: AdsEmulator) -> None:
    ids = [ads.add_import_task() for _ in range(3)]
    async with AioSession().create_client(
        "discovery",
        region_name=HOME_REGION,
        endpoint_url=ads.endpoint_url,
        aws_access_key_id="user",
        aws_secret_access_key="secret",
        config=AioConfig(proxies={}),
    ) as discovery:
        started = await discovery.start_import_task(name="servers", importUrl="s3://inventory/servers.csv")
        pages = discovery.get_paginator("describe_import_tasks").paginate(PaginationConfig={"PageSize": 2})
        found = [task["importTaskId"] async for page in pages for task in page["tasks"]]
    assert found == [*ids, started["task"]["importTaskId"]]


def test_aws_cli(ads: AdsEmulator, s3: Any, discovery: Any, tmp_path: Path) -> None:
    def aws(*arguments: str) -> Any:
        done = subprocess.run(
            [Path(sys.executable).with_name("aws"), *arguments, "--endpoint-url", ads.endpoint_url],
            env={
                "PATH": os.environ["PATH"],
                "AWS_ACCESS_KEY_ID": "user",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_DEFAULT_REGION": HOME_REGION,
                "AWS_DEFAULT_OUTPUT": "json",
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            },
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout

    (tmp_path / "servers.csv").write_text(CSV)
    aws("s3", "cp", str(tmp_path / "servers.csv"), "s3://inventory/servers.csv")
    started = aws("discovery", "start-import-task", "--name", "servers", "--import-url", "s3://inventory/servers.csv")
    wait_for_import(discovery, started["task"]["importTaskId"])
    (task,) = aws("discovery", "describe-import-tasks", "--filters", "name=NAME,values=servers")["tasks"]
    assert (task["status"], task["serverImportFailure"]) == ("IMPORT_COMPLETE_WITH_ERRORS", 1)
    assert aws("migrationhub-config", "get-home-region") == {"HomeRegion": HOME_REGION}
