from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_provider_ads.emulator import AdsEmulator, s3
from airflow_provider_ads.emulator.s3 import parse_import_url
from tests.unit.emulator.conftest import (
    MakeClient,
    describe,
    fetch_archive,
    run_import,
    send,
    wait_for,
)

OBJECT = {"Bucket": "inventory", "Key": "servers.csv"}


class TestImportUrl:
    @pytest.mark.parametrize(
        ("import_url", "expected"),
        [
            ("s3://inventory/a+b%20c?d#e f", ("inventory", "a+b%20c?d#e f")),
            ("https://inventory.s3.amazonaws.com/2026/servers.csv", ("inventory", "2026/servers.csv")),
            ("https://inventory.s3.us-west-2.amazonaws.com/my+a%2Bb%20c.csv", ("inventory", "my a+b c.csv")),
            ("https://my.s3.bucket.s3-us-west-2.amazonaws.com/k?versionId=1", ("my.s3.bucket", "k")),
            ("https://s3.us-west-2.amazonaws.com/inventory/2026/servers.csv", ("inventory", "2026/servers.csv")),
        ],
    )
    def test_s3_and_https_urls_name_an_object(self, import_url: str, expected: tuple[str, str]) -> None:
        assert parse_import_url(import_url) == expected

    @pytest.mark.parametrize(
        "import_url", ["http://s3.amazonaws.com/inventory/k", "https://s3.amazonaws.com.example.com/inventory/k"]
    )
    def test_other_urls_are_refused(self, import_url: str) -> None:
        with pytest.raises(ValueError, match="is not the URL of an S3 object"):
            parse_import_url(import_url)


class TestUpload:
    @pytest.mark.parametrize("content", ["ExternalId\n\N{SNOWMAN}\n", "ExternalId\n\N{SNOWMAN}\n".encode()])
    def test_an_upload_creates_the_bucket(self, ads: AdsEmulator, client: MakeClient, content: str | bytes) -> None:
        assert ads.upload("s3://new-bucket/2026/servers.csv", content) == "s3://new-bucket/2026/servers.csv"
        found = client("s3").get_object(Bucket="new-bucket", Key="2026/servers.csv")
        assert found["Body"].read().decode() == "ExternalId\n\N{SNOWMAN}\n"

    def test_an_upload_replaces_a_file_in_an_existing_bucket(self, ads: AdsEmulator, s3: Any) -> None:
        url = "https://inventory.s3.us-west-2.amazonaws.com/servers.csv"
        for content in (b"first", b"second"):
            assert ads.upload(url, content) == url
        assert s3.get_object(**OBJECT)["Body"].read() == b"second"

    @pytest.mark.parametrize(
        "import_url",
        ["servers.csv", "s3://inventory", "s3://inventory/", "s3:///servers.csv", "s3://ab/k", "s3://a b/k"],
    )
    def test_an_upload_to_an_invalid_url_is_refused(
        self, ads: AdsEmulator, client: MakeClient, import_url: str
    ) -> None:
        with pytest.raises(ValueError, match=f"^{import_url} is not the URL of an S3 object"):
            ads.upload(import_url, "")
        assert client("s3").list_buckets()["Buckets"] == []

    def test_an_upload_is_neither_affected_by_faults_nor_counted(self, ads: AdsEmulator) -> None:
        ads.inject("refuse", seconds=3600)
        ads.upload("s3://inventory/servers.csv", "")
        assert ads.calls() == ads.iam_actions() == {}


def test_each_description_has_a_new_archive_link_that_expires(client: MakeClient) -> None:
    with AdsEmulator(import_seconds=0, archive_link_seconds=1) as ads:
        discovery = client("discovery", emulator=ads)
        task = run_import(discovery, ads.upload("s3://inventory/bad.csv", "ExternalId\n \n"))
        link = task["errorsAndFailedEntriesZip"]
        assert link.startswith(ads.endpoint_url)
        response = wait_for(lambda: (got := send(link)).status != 200 and got)
        assert response.status == 403
        assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in response.body
        assert describe(discovery, task["importTaskId"])["errorsAndFailedEntriesZip"] != link


class TestPresignedUrls:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("signature_version", ["s3v4", "s3"])
    def test_an_expired_url_is_refused(
        self, ads: AdsEmulator, client: MakeClient, signature_version: str, method: str
    ) -> None:
        signer = client("s3", signature_version=signature_version)
        url = signer.generate_presigned_url(f"{method.lower()}_object", Params=OBJECT, ExpiresIn=-1)
        response = send(url, method)
        assert (response.status, response.headers["Content-Type"]) == (403, "application/xml")
        assert (b"Request has expired" in response.body) == (method == "GET")

    @pytest.mark.parametrize(
        ("query", "moto_response"),
        [
            ("X-Amz-Expires=60", (403, b"")),
            ("X-Amz-Expires=x&X-Amz-Date=y", (403, b"")),
            ("Signature=x&Expires=y", (200, b"content")),
            ("Expires=0", (403, b"")),
        ],
    )
    def test_moto_decides_about_other_urls(
        self, ads: AdsEmulator, query: str, moto_response: tuple[int, bytes]
    ) -> None:
        ads.upload("s3://inventory/servers.csv", b"content")
        response = send(f"{ads.endpoint_url}/inventory/servers.csv?{query}")
        assert (response.status, response.body) == moto_response


class TestMoto:
    @pytest.mark.parametrize(
        ("operation", "parameters"),
        [
            ("upload_part", {"PartNumber": 1, "Body": b""}),
            ("complete_multipart_upload", {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "x"}]}}),
        ],
    )
    def test_a_part_of_an_unknown_upload_is_refused_without_a_traceback(
        self, s3: Any, caplog: pytest.LogCaptureFixture, operation: str, parameters: dict[str, Any]
    ) -> None:
        with pytest.raises(ClientError) as caught:
            getattr(s3, operation)(**OBJECT, UploadId="1", **parameters)
        assert caught.value.response["Error"]["Code"] == "NoSuchUpload"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        s3.list_buckets()  # werkzeug logs a traceback after the response, but before it reads the next request
        (warning,) = (record for record in caplog.records if record.levelname in ("WARNING", "ERROR"))
        assert warning.getMessage() == f"moto failed: {'POST' if 'complete' in operation else 'PUT'} " + (
            "/inventory/servers.csv: KeyError('1')"
        )
        assert warning.exc_info is None

    def test_any_other_failure_of_moto_is_an_internal_error(
        self, ads: AdsEmulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        response = send(f"{ads.endpoint_url}/inventory/key", "POST", b"colour=red")
        assert response.status == 500
        assert b"<Code>InternalError</Code><Message>moto failed: KeyError" in response.body
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert warnings == ["moto failed: POST /inventory/key: KeyError('DEFAULT')"]

    def test_emulators_share_buckets_until_the_last_one_stops(self, client: MakeClient) -> None:
        with AdsEmulator() as first:
            with AdsEmulator() as second:
                client("s3", region="us-east-1", emulator=first).create_bucket(Bucket="shared")
            assert second.calls() == first.calls() == {}
            with AdsEmulator() as third:
                buckets = client("s3", emulator=third).list_buckets()["Buckets"]
                assert [bucket["Name"] for bucket in buckets] == ["shared"]
        with AdsEmulator() as fourth:
            assert client("s3", emulator=fourth).list_buckets()["Buckets"] == []


def test_the_user_s_aws_configuration_is_ignored(monkeypatch: pytest.MonkeyPatch, client: MakeClient) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/missing")
    s3._s3_client.cache_clear()
    with AdsEmulator(import_seconds=0) as ads:
        import_url = ads.upload("s3://inventory/bad.csv", "ExternalId\n \n")
        monkeypatch.undo()
        task = run_import(client("discovery", emulator=ads), import_url)
        assert fetch_archive(task)["failed-entries-file.csv"] == b"ExternalId\n \n"
