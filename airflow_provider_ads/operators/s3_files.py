"""What operators share that put files into S3."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.exceptions import call_error
from airflow_provider_ads.hooks import AdsHook

__all__ = ["AdsS3FilesOperator", "split_s3_url"]

#: Bytes of a prefix, which leave room for the names of folders and files in the 1,024 bytes of a key.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
PREFIX_MAX_BYTES = 900


class AdsS3FilesOperator(AwsBaseOperator[AdsHook]):
    """
    AWS Application Discovery Service: the base of operators that put files into a folder of S3.

    A subclass has a ``destination_url``, and templates it.
    """

    aws_hook_class = AdsHook

    #: Where the files go, as ``s3://bucket/prefix``.
    destination_url: str

    def folder_url(self, *folders: str) -> str:
        """
        Return ``destination_url``, or a folder below it, with a slash at its end.

        :raises ValueError: ``destination_url`` is not of its form.
        """
        bucket_name, prefix = split_s3_url("destination_url", self.destination_url, "prefix")
        if len(prefix.encode()) > PREFIX_MAX_BYTES:
            raise ValueError(
                f"destination_url must have a prefix of at most {PREFIX_MAX_BYTES} bytes, because a key of S3 has at "
                f"most 1,024; got {len(prefix.encode()):,}"
            )
        return "/".join(["s3:/", bucket_name, *filter(None, [prefix.rstrip("/"), *folders]), ""])

    def upload(self, file: Path, s3_url: str) -> str:
        """
        Write a file to S3, over one that is there.

        :return: its URL.
        :raises AdsCallError: S3 refused or could not be reached.
        """
        bucket_name, key = split_s3_url("s3_url", s3_url, "key")
        try:
            with file.open("rb") as content:
                self.s3_hook.load_file_obj(content, key, bucket_name, replace=True)
        except (ClientError, BotoCoreError) as error:
            raise call_error(error, "PutObject", s3_url, self.s3_hook.region_name, self.aws_conn_id) from error
        return s3_url

    @cached_property
    def s3_hook(self) -> S3Hook:
        """The hook that reaches S3 as this task reaches the service."""
        return S3Hook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.hook.config,
            # An import file goes up with one request, so that a task that is killed leaves no unfinished upload.
            transfer_config_args={"multipart_threshold": IMPORT_FILE_MAX_BYTES + 1},
        )


def split_s3_url(name: str, s3_url: Any, rest: str) -> tuple[str, str]:
    """
    Return the bucket of a URL, and what follows it.

    :param name: the parameter that the URL is from.
    :param rest: what follows the bucket, in a word: a prefix, which may be empty, or a key.
    :raises ValueError: it is not of the form ``s3://bucket/key``.
    """
    found = re.fullmatch(r"s3://([^\s/]+)(?:|/(.*))", s3_url, re.DOTALL) if isinstance(s3_url, str) else None
    if found is None or not (found[2] or rest == "prefix"):
        # What follows the question mark of a presigned URL is a credential.
        shown = s3_url.partition("?")[0] if isinstance(s3_url, str) else s3_url
        raise ValueError(f"{name} must be of the form s3://bucket/{rest}; got {shown!r}")
    return found[1], found[2] or ""
