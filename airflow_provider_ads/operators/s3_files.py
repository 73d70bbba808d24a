"""Base class for operators that write files to S3."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from botocore.httpsession import get_cert_path

from airflow_provider_ads.hooks import AdsHook, explained_errors

__all__ = ["AdsS3FilesOperator", "split_s3_url"]

#: Maximum size of a prefix in bytes. It leaves room for names of folders and files in a key, which has at most 1,024.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
PREFIX_MAX_BYTES = 900

#: Maximum size of a file that is uploaded in one request, 5 GiB, which no file of this package exceeds.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html
PUT_OBJECT_MAX_BYTES = 5 * 1024**3


class AdsS3FilesOperator(AwsBaseOperator[AdsHook]):
    """
    AWS Application Discovery Service: base class for operators that write files to a folder in S3.

    Subclasses set ``destination_url``, which is templated.
    """

    aws_hook_class = AdsHook

    #: The folder for the files, as ``s3://bucket/prefix``.
    destination_url: Any

    def folder_url(self, *folders: str) -> str:
        """
        Return ``destination_url``, or a folder in it, with a trailing slash.

        :param folders: names of nested folders.
        :raises ValueError: ``destination_url`` does not have the form ``s3://bucket/prefix``, or is too long.
        """
        bucket_name, prefix = split_s3_url("destination_url", self.destination_url, "prefix")
        if len(prefix.encode()) > PREFIX_MAX_BYTES:
            raise ValueError(
                f"destination_url must have a prefix of at most {PREFIX_MAX_BYTES} bytes, because an S3 key can have "
                f"1,024; got {len(prefix.encode()):,}"
            )
        return "/".join(["s3:/", bucket_name, *filter(None, [prefix.rstrip("/"), *folders]), ""])

    def upload(self, file: Path, s3_url: str) -> str:
        """
        Upload a file to S3. An existing object is overwritten.

        :param file: the file.
        :param s3_url: the URL of the object.
        :return: the URL.
        :raises AdsCallError: the call failed.
        """
        bucket_name, key = split_s3_url("s3_url", s3_url, "key")
        with file.open("rb") as content, explained_errors(self.s3_hook, "PutObject", s3_url):
            self.s3_hook.load_file_obj(content, key, bucket_name, replace=True)
        return s3_url

    @property
    def ca_bundle(self) -> bool | str | None:
        """The CA bundle that boto3 would use for a download from S3, or False."""
        verify: bool | str | None = self.hook.verify
        if verify is None or verify is True:
            verify = os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True)
        return verify

    @cached_property
    def s3_hook(self) -> S3Hook:
        """S3 hook with the connection and settings that the task uses for the service."""
        return S3Hook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.hook.config,
            # Upload a file in one request, so that a killed task cannot leave an incomplete multipart upload.
            transfer_config_args={"multipart_threshold": PUT_OBJECT_MAX_BYTES + 1},
        )


def split_s3_url(name: str, s3_url: Any, rest: str) -> tuple[str, str]:
    """
    Return the bucket and the key or prefix of an S3 URL.

    :param name: the name of the parameter that contains the URL.
    :param s3_url: the URL.
    :param rest: ``key``, or ``prefix``, which can be empty.
    :raises ValueError: the URL does not have the form ``s3://bucket/key``.
    """
    found = re.fullmatch(r"s3://([^\s/]+)(?:|/(.*))", s3_url, re.DOTALL) if isinstance(s3_url, str) else None
    if found is None or not (found[2] or rest == "prefix"):
        # The query string of a presigned URL is a credential.
        shown = s3_url.partition("?")[0] if isinstance(s3_url, str) else s3_url
        raise ValueError(f"{name} must have the form s3://bucket/{rest}; got {shown!r}")
    return found[1], found[2] or ""
