from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError

from airflow_provider_ads.emulator import AdsEmulator
from tests.unit.emulator.conftest import MakeClient, run_import, send

BUCKET = {"Bucket": "inventory"}
OBJECT = {**BUCKET, "Key": "2026/servers.csv"}
UPLOAD = {**OBJECT, "UploadId": "1"}
COPY = {"CopySource": "inventory/2026/servers.csv"}
ROLE = "arn:aws:iam::123456789012:role/importer"
TAGS = {"Tagging": {"TagSet": [{"Key": "k", "Value": "v"}]}}


@pytest.mark.parametrize(
    ("operation", "parameters", "actions"),
    [
        ("list_buckets", {}, ["s3:ListAllMyBuckets"]),
        ("create_bucket", {"Bucket": "another"}, ["s3:CreateBucket"]),
        ("head_bucket", BUCKET, ["s3:ListBucket"]),
        ("delete_bucket", BUCKET, ["s3:DeleteBucket"]),
        ("list_objects", {**BUCKET, "Prefix": "uploads/"}, ["s3:ListBucket"]),
        ("list_objects_v2", BUCKET, ["s3:ListBucket"]),
        ("list_object_versions", BUCKET, ["s3:ListBucketVersions"]),
        ("list_multipart_uploads", BUCKET, ["s3:ListBucketMultipartUploads"]),
        ("get_bucket_versioning", BUCKET, ["s3:GetBucketVersioning"]),
        ("delete_bucket_tagging", BUCKET, ["s3:PutBucketTagging"]),
        ("head_object", OBJECT, ["s3:GetObject"]),
        ("get_object", OBJECT, ["s3:GetObject"]),
        ("get_object", {**OBJECT, "VersionId": "1"}, ["s3:GetObjectVersion"]),
        ("put_object", {**OBJECT, "ContentType": "application/x-www-form-urlencoded"}, ["s3:PutObject"]),
        ("copy_object", {**OBJECT, **COPY}, ["s3:GetObject", "s3:PutObject"]),
        ("delete_object", OBJECT, ["s3:DeleteObject"]),
        ("delete_object", {**OBJECT, "VersionId": "1"}, ["s3:DeleteObjectVersion"]),
        ("delete_objects", {**BUCKET, "Delete": {"Objects": [{"Key": "a"}, {"Key": "b"}]}}, ["s3:DeleteObject"]),
        ("put_object_acl", {**OBJECT, "ACL": "private"}, ["s3:PutObjectAcl"]),
        ("get_object_tagging", OBJECT, ["s3:GetObjectTagging"]),
        ("get_object_tagging", {**OBJECT, "VersionId": "1"}, ["s3:GetObjectVersionTagging"]),
        ("put_object_tagging", {**OBJECT, **TAGS}, ["s3:PutObjectTagging"]),
        ("create_multipart_upload", OBJECT, ["s3:PutObject"]),
        ("upload_part", {**UPLOAD, "PartNumber": 1, "Body": b""}, ["s3:PutObject"]),
        ("complete_multipart_upload", UPLOAD, ["s3:PutObject"]),
        ("upload_part_copy", {**UPLOAD, "PartNumber": 1, **COPY}, ["s3:GetObject", "s3:PutObject"]),
        ("list_parts", UPLOAD, ["s3:ListMultipartUploadParts"]),
        ("abort_multipart_upload", UPLOAD, ["s3:AbortMultipartUpload"]),
        ("get_bucket_cors", BUCKET, ["s3: unknown (GetBucketCors)"]),
    ],
)
def test_s3_operations_need_their_documented_actions(
    ads: AdsEmulator, client: MakeClient, operation: str, parameters: Any, actions: list[str]
) -> None:
    ads.upload("s3://inventory/2026/servers.csv", "ExternalId\na\n")
    s3 = client("s3", region="us-east-1")
    with suppress(ClientError):  # neither the upload nor the version exists
        getattr(s3, operation)(**parameters)
    assert ads.iam_actions() == dict.fromkeys(actions, 1)


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "actions"),
    [
        ("discovery", "describe_import_tasks", {}, ["discovery:DescribeImportTasks"]),
        ("discovery", "describe_tags", {}, ["discovery:DescribeTags"]),
        ("migrationhub-config", "get_home_region", {}, ["mgh:GetHomeRegion"]),
        ("sts", "assume_role", {"RoleArn": ROLE, "RoleSessionName": "session"}, ["sts:AssumeRole"]),
        ("sts", "get_caller_identity", {}, []),
        ("sts", "get_session_token", {}, []),
        ("dynamodb", "list_tables", {}, ["dynamodb: unknown (POST /)"]),
    ],
)
def test_operations_of_other_services_need_their_actions(
    ads: AdsEmulator, client: MakeClient, service: str, operation: str, parameters: Any, actions: list[str]
) -> None:
    with suppress(ClientError):
        getattr(client(service), operation)(**parameters)
    assert ads.iam_actions() == dict.fromkeys(actions, 1)


@pytest.mark.parametrize("key", ["servers.csv", "missing.csv"])
def test_each_import_counts_as_reading_its_file_once(ads: AdsEmulator, discovery: Any, key: str) -> None:
    ads.upload("s3://inventory/servers.csv", "ExternalId\na\n \n")
    for _ in range(2):
        run_import(discovery, f"s3://inventory/{key}")
    counted = ads.iam_actions()
    assert counted.keys() == {"discovery:StartImportTask", "discovery:DescribeImportTasks", "s3:GetObject"}
    assert counted["discovery:StartImportTask"] == counted["s3:GetObject"] == 2


@pytest.mark.parametrize("signature_version", ["s3v4", "s3"])
def test_a_presigned_url_does_not_count(ads: AdsEmulator, client: MakeClient, signature_version: str) -> None:
    ads.upload("s3://inventory/servers.csv", "content")
    signer = client("s3", signature_version=signature_version)
    parameters = {"Bucket": "inventory", "Key": "servers.csv"}
    assert send(signer.generate_presigned_url("get_object", Params=parameters)).body == b"content"
    assert ads.iam_actions() == {}


class TestWithoutACredentialScope:
    @pytest.mark.parametrize("signature_version", ["s3", UNSIGNED])
    def test_a_request_is_treated_as_one_to_s3(
        self, ads: AdsEmulator, client: MakeClient, signature_version: Any
    ) -> None:
        with suppress(ClientError):
            client("s3", signature_version=signature_version).list_objects_v2(Bucket="inventory")
        assert ads.iam_actions() == {"s3:ListBucket": 1}

    def test_a_form_with_an_action_is_treated_as_a_request_to_sts(self, ads: AdsEmulator, client: MakeClient) -> None:
        session = {"RoleArn": ROLE, "RoleSessionName": "session", "WebIdentityToken": "token"}
        assert client("sts").assume_role_with_web_identity(**session)["AssumedRoleUser"]["Arn"].endswith("/session")
        assert ads.iam_actions() == {"sts:AssumeRoleWithWebIdentity": 1}

    def test_a_form_without_an_action_is_an_unknown_request_to_s3(self, ads: AdsEmulator) -> None:
        send(f"{ads.endpoint_url}/inventory/key", "POST", b"colour=red")
        assert ads.iam_actions() == {"s3: unknown (POST /inventory/key)": 1}


@pytest.mark.parametrize(
    ("operation", "parameters", "action"),
    [
        ("head_bucket", BUCKET, "s3:ListBucket"),
        ("get_object", {**BUCKET, "Key": "servers.csv"}, "s3:GetObject"),
    ],
)
def test_a_bucket_in_the_host_name_is_recognized(
    ads: AdsEmulator, client: MakeClient, operation: str, parameters: Any, action: str
) -> None:
    ads.upload("s3://inventory/servers.csv", "content")
    # Through a proxy, all host names lead to the emulator.
    virtual = client(
        "s3", url="http://localhost", s3={"addressing_style": "virtual"}, proxies={"http": ads.endpoint_url}
    )
    getattr(virtual, operation)(**parameters)
    assert ads.iam_actions() == {action: 1}


@pytest.mark.parametrize("path", ["/moto-api/", "/favicon.ico", "/_ads/", "/_ads/iam-actions"])
def test_requests_about_the_emulator_do_not_count(ads: AdsEmulator, path: str) -> None:
    send(ads.endpoint_url + path)
    assert ads.iam_actions() == {}
