"""Read moto's state directly: a request to the emulator's port would count as a use of IAM permissions."""

from __future__ import annotations

import json

from moto.backends import get_backend

__all__ = ["create_topic", "objects_under", "read_object", "sent_messages"]

ACCOUNT = "123456789012"


def objects_under(s3_url: str) -> dict[str, bytes]:
    """Return the objects whose URL, ``s3://bucket/key``, begins with this one, by the rest of their keys."""
    bucket_name, _, prefix = s3_url.removeprefix("s3://").partition("/")
    keys = get_backend("s3")[ACCOUNT]["aws"].get_bucket(bucket_name).keys
    return {key.removeprefix(prefix): bytes(found.value) for key, found in keys.items() if key.startswith(prefix)}


def read_object(s3_url: str) -> bytes:
    """Return the object with this URL."""
    return objects_under(s3_url)[""]


def create_topic(region_name: str, name: str) -> None:
    """Create an SNS topic."""
    get_backend("sns")[ACCOUNT][region_name].create_topic(name)


def sent_messages(region_name: str, name: str) -> list[str]:
    """Return the default message of each notification that was published to an SNS topic, oldest first."""
    topic = get_backend("sns")[ACCOUNT][region_name].topics[f"arn:aws:sns:{region_name}:{ACCOUNT}:{name}"]
    # https://docs.aws.amazon.com/sns/latest/api/API_Publish.html, MessageStructure
    return [json.loads(message)["default"] for _, message, *_ in topic.sent_notifications]
