"""Files for imports in the emulator's S3."""

from __future__ import annotations

from typing import Any

import boto3

from airflow_provider_ads.emulator import AdsEmulator


def upload(ads: AdsEmulator, content: str, key: str = "inventory.csv") -> str:
    """Put a file into the emulator's S3 and return its URL."""
    client: Any = boto3.client(
        "s3",
        region_name="us-west-2",
        endpoint_url=ads.endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    try:
        client.create_bucket(Bucket="inventory", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        client.put_object(Bucket="inventory", Key=key, Body=content.encode())
    finally:
        client.close()
    return f"s3://inventory/{key}"
