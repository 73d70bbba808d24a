from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_provider_ads.emulator import AdsEmulator
from tests.unit.emulator.conftest import HOME_REGION, MakeClient, fetch, wait_for_import

BUCKET = {"Bucket": "inventory"}
OBJECT = {**BUCKET, "Key": "2026/servers.csv"}
UPLOAD = {**OBJECT, "UploadId": "1"}
COPY = {"CopySource": "inventory/2026/servers.csv"}
TAGS = {"Tagging": {"TagSet": [{"Key": "k", "Value": "v"}]}}


@pytest.mark.parametrize(
    ("operation", "parameters", "actions"),
    [
        ("list_buckets", {}, ["s3:ListAllMyBuckets"]),
        ("create_bucket", {"Bucket": "another"}, ["s3:CreateBucket"]),
        ("head_bucket", BUCKET, ["s3:ListBucket"]),
        ("delete_bucket", BUCKET, ["s3:DeleteBucket"]),
        ("list_objects", {**BUCKET, "Prefix": "uploads/"}, ["s3:ListBucket"]),
        ("list_objects_v2", {**BUCKET, "Delimiter": "/"}, ["s3:ListBucket"]),
        ("list_object_versions", BUCKET, ["s3:ListBucketVersions"]),
        ("list_multipart_uploads", BUCKET, ["s3:ListBucketMultipartUploads"]),
        ("get_bucket_location", BUCKET, ["s3:GetBucketLocation"]),
        ("get_bucket_versioning", BUCKET, ["s3:GetBucketVersioning"]),
        (
            "put_bucket_versioning",
            {**BUCKET, "VersioningConfiguration": {"Status": "Enabled"}},
            ["s3:PutBucketVersioning"],
        ),
        ("get_bucket_tagging", BUCKET, ["s3:GetBucketTagging"]),
        ("put_bucket_tagging", {**BUCKET, **TAGS}, ["s3:PutBucketTagging"]),
        ("delete_bucket_tagging", BUCKET, ["s3:PutBucketTagging"]),
        ("head_object", OBJECT, ["s3:GetObject"]),
        ("get_object", OBJECT, ["s3:GetObject"]),
        ("get_object", {**OBJECT, "VersionId": "1"}, ["s3:GetObjectVersion"]),
        ("put_object", {**OBJECT, "Body": b""}, ["s3:PutObject"]),
        ("put_object", {**OBJECT, "ContentType": "application/x-www-form-urlencoded"}, ["s3:PutObject"]),
        ("copy_object", {**OBJECT, **COPY}, ["s3:GetObject", "s3:PutObject"]),
        ("delete_object", OBJECT, ["s3:DeleteObject"]),
        ("delete_object", {**OBJECT, "VersionId": "1"}, ["s3:DeleteObjectVersion"]),
        ("delete_objects", {**BUCKET, "Delete": {"Objects": [{"Key": "a"}, {"Key": "b"}]}}, ["s3:DeleteObject"]),
        ("get_object_acl", OBJECT, ["s3:GetObjectAcl"]),
        ("put_object_acl", {**OBJECT, "ACL": "private"}, ["s3:PutObjectAcl"]),
        ("get_object_tagging", OBJECT, ["s3:GetObjectTagging"]),
        ("get_object_tagging", {**OBJECT, "VersionId": "1"}, ["s3:GetObjectVersionTagging"]),
        ("put_object_tagging", {**OBJECT, **TAGS}, ["s3:PutObjectTagging"]),
        ("delete_object_tagging", OBJECT, ["s3:DeleteObjectTagging"]),
        ("create_multipart_upload", OBJECT, ["s3:PutObject"]),
        ("upload_part", {**UPLOAD, "PartNumber": 1, "Body": b""}, ["s3:PutObject"]),
        ("upload_part_copy", {**UPLOAD, "PartNumber": 1, **COPY}, ["s3:GetObject", "s3:PutObject"]),
        ("list_parts", UPLOAD, ["s3:ListMultipartUploadParts"]),
        ("abort_multipart_upload", UPLOAD, ["s3:AbortMultipartUpload"]),
        ("get_bucket_cors", BUCKET, ["s3: unknown (GetBucketCors)"]),
        ("get_public_access_block", BUCKET, ["s3: unknown (GetPublicAccessBlock)"]),
    ],
)
def test_s3(ads: AdsEmulator, client: MakeClient, operation: str, parameters: Any, actions: list[str]) -> None:
    ads.upload("s3://inventory/2026/servers.csv", "ExternalId\na\n")
    s3 = client("s3", region="us-east-1")
    with suppress(ClientError):  # an upload or a version that there is not
        getattr(s3, operation)(**parameters)
    assert ads.iam_actions() == dict.fromkeys(actions, 1)


def test_upload_in_parts(ads: AdsEmulator, client: MakeClient) -> None:
    s3 = client("s3", region="us-east-1")
    s3.create_bucket(**BUCKET)
    ads.clear_calls()
    upload = {**OBJECT, "UploadId": s3.create_multipart_upload(**OBJECT)["UploadId"]}
    part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=b"content")["ETag"]}
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    assert ads.iam_actions() == {"s3:PutObject": 3}


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "actions"),
    [
        ("discovery", "describe_import_tasks", {}, ["discovery:DescribeImportTasks"]),
        (
            "discovery",
            "batch_delete_import_data",
            {"importTaskIds": [f"import-task-{'0' * 32}"]},
            ["discovery:BatchDeleteImportData"],
        ),
        ("discovery", "describe_tags", {}, ["discovery:DescribeTags"]),
        ("migrationhub-config", "get_home_region", {}, ["mgh:GetHomeRegion"]),
        (
            "sts",
            "assume_role",
            {"RoleArn": "arn:aws:iam::123456789012:role/importer", "RoleSessionName": "session"},
            ["sts:AssumeRole"],
        ),
        ("sts", "get_caller_identity", {}, []),
        ("sts", "get_session_token", {}, []),
        ("dynamodb", "list_tables", {}, ["dynamodb: unknown (POST /)"]),
    ],
)
def test_other_services(
    ads: AdsEmulator, client: MakeClient, service: str, operation: str, parameters: Any, actions: list[str]
) -> None:
    with suppress(ClientError):
        getattr(client(service), operation)(**parameters)
    assert ads.iam_actions() == dict.fromkeys(actions, 1)


def test_sts_still_answers(client: MakeClient) -> None:
    role = "arn:aws:iam::123456789012:role/importer"
    with AdsEmulator() as ads:
        assumed = client("sts", emulator=ads).assume_role(RoleArn=role, RoleSessionName="session")
    assert assumed["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/importer/session"


def test_call_that_meets_a_fault_counts(ads: AdsEmulator, discovery: Any) -> None:
    ads.inject("AuthorizationErrorException")
    with pytest.raises(ClientError):
        discovery.describe_import_tasks()
    assert ads.iam_actions() == {"discovery:DescribeImportTasks": 1}


@pytest.mark.parametrize("key", ["servers.csv", "missing.csv"])
def test_file_counts_as_read_once_for_each_import(ads: AdsEmulator, discovery: Any, key: str) -> None:
    ads.upload("s3://inventory/servers.csv", "ExternalId\na\n \n")
    for name in ("first", "second"):
        started = discovery.start_import_task(name=name, importUrl=f"s3://inventory/{key}")
        wait_for_import(discovery, started["task"]["importTaskId"])
    counted = ads.iam_actions()
    assert counted.keys() == {"discovery:StartImportTask", "discovery:DescribeImportTasks", "s3:GetObject"}
    assert counted["discovery:StartImportTask"] == counted["s3:GetObject"] == 2


class TestPresignedUrls:
    def test_error_archive(self, ads: AdsEmulator, discovery: Any) -> None:
        url = ads.upload("s3://inventory/servers.csv", "ExternalId\n \n")
        started = discovery.start_import_task(name="n", importUrl=url)
        link = wait_for_import(discovery, started["task"]["importTaskId"])["errorsAndFailedEntriesZip"]
        ads.clear_calls()
        assert fetch(link)
        assert ads.iam_actions() == {}

    @pytest.mark.parametrize("signature_version", ["s3v4", "s3"])
    def test_either_signature_version(self, ads: AdsEmulator, signature_version: str) -> None:
        ads.upload("s3://inventory/servers.csv", "content")
        signing = make_s3_client(ads.endpoint_url, signature_version=signature_version)
        parameters = {"Bucket": "inventory", "Key": "servers.csv"}
        assert fetch(signing.generate_presigned_url("get_object", Params=parameters)) == b"content"
        signing.close()
        assert ads.iam_actions() == {}


class TestWithoutACredentialScope:
    @pytest.fixture(params=["s3", UNSIGNED])
    def s3(self, request: pytest.FixtureRequest, ads: AdsEmulator) -> Iterator[Any]:
        """Make a client that signs with version 2 or not at all."""
        made = make_s3_client(ads.endpoint_url, signature_version=request.param)
        yield made
        made.close()

    def test_is_taken_for_s3(self, ads: AdsEmulator, s3: Any) -> None:
        with suppress(ClientError):
            s3.list_objects_v2(Bucket="inventory")
        assert ads.iam_actions() == {"s3:ListBucket": 1}

    def test_form_with_an_action_is_taken_for_sts(self, ads: AdsEmulator, client: MakeClient) -> None:
        client("sts").assume_role_with_web_identity(
            RoleArn="arn:aws:iam::123456789012:role/importer", RoleSessionName="session", WebIdentityToken="token"
        )
        assert ads.iam_actions() == {"sts:AssumeRoleWithWebIdentity": 1}

    def test_form_without_an_action_is_not_dropped(self, ads: AdsEmulator) -> None:
        request = urllib.request.Request(f"{ads.endpoint_url}/inventory/key", b"colour=red", method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)
        caught.value.close()
        assert ads.iam_actions() == {"s3: unknown (POST /inventory/key)": 1}


class TestBucketInTheHostName:
    @pytest.fixture
    def virtual(self, ads: AdsEmulator) -> Iterator[Any]:
        """Make a client that writes the bucket before the host, and sends everything to the emulator."""
        made = make_s3_client(
            "http://localhost", s3={"addressing_style": "virtual"}, proxies={"http": ads.endpoint_url}
        )
        yield made
        made.close()

    @pytest.mark.parametrize(
        ("operation", "parameters", "action"),
        [
            ("head_bucket", BUCKET, "s3:ListBucket"),
            ("get_bucket_versioning", BUCKET, "s3:GetBucketVersioning"),
            ("get_object", {**BUCKET, "Key": "servers.csv"}, "s3:GetObject"),
        ],
    )
    def test_is_no_part_of_the_path(
        self, ads: AdsEmulator, virtual: Any, operation: str, parameters: Any, action: str
    ) -> None:
        ads.upload("s3://inventory/servers.csv", "content")
        getattr(virtual, operation)(**parameters)
        assert ads.iam_actions() == {action: 1}


def test_public_url_with_dots_names_no_bucket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with AdsEmulator(port=port, public_url="http://ads.example.com") as ads:
        proxies = {"http": f"http://127.0.0.1:{port}"}
        s3 = make_s3_client(ads.endpoint_url, s3={"addressing_style": "path"}, proxies=proxies)
        ads.upload("s3://inventory/servers.csv", "content")
        s3.head_bucket(Bucket="inventory")
        s3.close()
        assert ads.iam_actions() == {"s3:ListBucket": 1}


@pytest.mark.parametrize("path", ["/moto-api/", "/favicon.ico", "/_ads/", "/_ads/iam-actions"])
def test_what_is_about_the_emulator_does_not_count(ads: AdsEmulator, path: str) -> None:
    with suppress(urllib.error.HTTPError):
        fetch(ads.endpoint_url + path)
    assert ads.iam_actions() == {}


def test_clear(ads: AdsEmulator, discovery: Any) -> None:
    discovery.describe_import_tasks()
    ads.clear_calls()
    assert ads.iam_actions() == ads.calls() == {}


def test_each_emulator_counts_its_own(ads: AdsEmulator, client: MakeClient) -> None:
    with AdsEmulator() as other:
        client("s3").list_buckets()
        assert (ads.iam_actions(), other.iam_actions()) == ({"s3:ListAllMyBuckets": 1}, {})


def make_s3_client(endpoint_url: str, **config: Any) -> Any:
    return botocore.session.Session().create_client(
        "s3",
        region_name=HOME_REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id="user",
        aws_secret_access_key="secret",
        config=Config(**{"proxies": {}, **config}),
    )
