"""What operators share that put files into S3."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.exceptions import call_error
from airflow_provider_ads.hooks import AdsHook

__all__ = ["AdsS3FilesOperator"]


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
        bucket_name, _, prefix = self.destination_url.removeprefix("s3://").partition("/")
        if not self.destination_url.startswith("s3://") or not bucket_name:
            raise ValueError(f"destination_url must be of the form s3://bucket/prefix; got {self.destination_url!r}")
        return "/".join(["s3:/", bucket_name, *filter(None, [prefix.rstrip("/"), *folders]), ""])

    def upload(self, file: Path, s3_url: str) -> str:
        """
        Write a file to S3, over one that is there.

        :return: its URL.
        :raises AdsCallError: S3 refused or could not be reached.
        """
        bucket_name, _, key = s3_url.removeprefix("s3://").partition("/")
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
