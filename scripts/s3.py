"""Files for imports in the emulator's S3."""

from __future__ import annotations

from typing import Any

import boto3

from airflow_provider_ads.emulator import AdsEmulator

__all__ = ["upload"]


def upload(ads: AdsEmulator, import_url: str, content: str) -> str:
    """
    Put a file into the emulator's S3, into a bucket that is made for it.

    :param import_url: where to, as ``s3://bucket/key``.
    :return: the import URL.
    """
    bucket, _, key = import_url.removeprefix("s3://").partition("/")
    client: Any = boto3.client(
        "s3",
        region_name="us-west-2",
        endpoint_url=ads.endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    try:
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        client.put_object(Bucket=bucket, Key=key, Body=content.encode())
    finally:
        client.close()
    return import_url
