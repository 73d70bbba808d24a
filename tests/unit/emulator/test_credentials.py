from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError

from airflow_provider_ads.emulator import AdsEmulator
from tests.unit.emulator.conftest import HOME_REGION, MakeClient, fetch_archive, run_import, send

KNOWN = ("AKIAKNOWN", "secret")
ROLE = "arn:aws:iam::111122223333:role/migration/importer"
ASSUME = {"RoleArn": ROLE, "RoleSessionName": "airflow"}
ASSUMED_ARN = "arn:aws:sts::111122223333:assumed-role/importer/airflow"

CALLS: dict[str, Callable[[Any], Any]] = {
    "discovery": lambda discovery: discovery.describe_import_tasks(filters=[{"name": "NAME", "values": ["ü"]}]),
    "migrationhub-config": lambda config: config.get_home_region(),
    "s3": lambda s3: s3.put_object(
        Bucket="inventory", Key="a b/ü+~*.csv", Body=b"ExternalId\n", Metadata={"a": "b  c"}
    ),
    "sts": lambda sts: sts.get_caller_identity(),
}
#: The error code and HTTP status of each service, in the order of CALLS.
REFUSALS = {
    "unknown": [
        *(("UnrecognizedClientException", 400),) * 2,
        ("InvalidAccessKeyId", 403),
        ("InvalidClientTokenId", 403),
    ],
    "wrong secret": [
        *(("InvalidSignatureException", 400),) * 2,
        ("SignatureDoesNotMatch", 403),
        ("SignatureDoesNotMatch", 403),
    ],
    "expired": [*(("ExpiredTokenException", 400),) * 2, ("ExpiredToken", 400), ("ExpiredToken", 403)],
    "unsigned": [
        *(("MissingAuthenticationTokenException", 400),) * 2,
        ("AccessDenied", 403),
        ("MissingAuthenticationToken", 403),
    ],
}


@pytest.fixture
def ads() -> Iterator[AdsEmulator]:
    with AdsEmulator(import_seconds=0, access_keys=dict([KNOWN]), roles=[ROLE]) as emulator:
        emulator.upload("s3://inventory/servers.csv", "ExternalId\na\n")
        yield emulator


def refusal(call: Callable[[], Any]) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Message"]
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def keys(answer: dict[str, Any]) -> tuple[str, str, str]:
    credentials = answer["Credentials"]
    return credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]


@pytest.fixture
def assumed(client: MakeClient) -> tuple[str, str, str]:
    return keys(client("sts", credentials=KNOWN).assume_role(**ASSUME))


@pytest.mark.parametrize("service", CALLS)
class TestCalls:
    def test_a_known_key_is_accepted(self, client: MakeClient, service: str) -> None:
        CALLS[service](client(service, credentials=KNOWN))

    def test_the_key_of_a_role_is_accepted(
        self, client: MakeClient, assumed: tuple[str, str, str], service: str
    ) -> None:
        CALLS[service](client(service, credentials=assumed))

    @pytest.mark.parametrize("case", REFUSALS)
    def test_others_are_refused(
        self, ads: AdsEmulator, client: MakeClient, assumed: tuple[str, str, str], service: str, case: str
    ) -> None:
        config = {"signature_version": UNSIGNED} if case == "unsigned" else {}
        credentials = {
            "unknown": ("AKIAUNKNOWN", "secret"),
            "wrong secret": (KNOWN[0], "another"),
            "expired": assumed,
            "unsigned": KNOWN,
        }
        ads.expire_role_credentials()
        refused = client(service, credentials=credentials[case], **config)
        expected = REFUSALS[case][list(CALLS).index(service)]
        assert refusal(lambda: CALLS[service](refused)) == expected

    def test_a_key_of_a_role_needs_its_token_and_its_secret(
        self, client: MakeClient, assumed: tuple[str, str, str], service: str
    ) -> None:
        number = list(CALLS).index(service)
        for case, credentials in {
            "unknown": (assumed[0], assumed[1], "another"),
            "wrong secret": (assumed[0], "another", assumed[2]),
        }.items():
            refused = client(service, credentials=credentials)
            assert refusal(lambda: CALLS[service](refused)) == REFUSALS[case][number]  # noqa: B023 - called immediately
        assert refusal(lambda: CALLS[service](client(service, credentials=assumed[:2]))) == REFUSALS["unknown"][number]

    def test_without_the_option_every_request_is_accepted(self, client: MakeClient, service: str) -> None:
        with AdsEmulator() as ads:
            ads.upload("s3://inventory/servers.csv", "")
            CALLS[service](client(service, emulator=ads))


class TestSignature:
    @pytest.mark.parametrize("changed", ["body", "target", "date", "region", "signed headers"])
    def test_every_signed_part_counts(self, ads: AdsEmulator, client: MakeClient, changed: str) -> None:
        discovery = client("discovery", credentials=KNOWN)

        def change(request: Any, **_: Any) -> None:
            if changed == "body":
                request.body = b'{"maxResults": 9}'
                request.headers["Content-Length"] = str(len(request.body))
            elif changed == "target":
                request.headers["X-Amz-Target"] = "AWSPoseidonService_V2015_11_01.BatchDeleteImportData"
            elif changed == "date":
                request.headers["X-Amz-Date"] = "20200101T000000Z"
            else:
                old, new = ("us-west-2", "eu-west-1") if changed == "region" else ("content-type;", "")
                header = request.headers["Authorization"]
                text = header.decode() if isinstance(header, bytes) else header
                assert old in text
                request.headers["Authorization"] = text.replace(old, new)

        discovery.meta.events.register("before-send.discovery", change)
        assert refusal(discovery.describe_import_tasks) == ("InvalidSignatureException", 400)
        assert ads.calls().total() == 1

    def test_the_host_at_a_public_url_is_the_one_that_the_client_signed(self, client: MakeClient) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        public_url = f"http://ads.localhost:{port}"
        with AdsEmulator(port=port, public_url=public_url, access_keys=dict([KNOWN])) as ads:
            for service in ("discovery", "sts"):
                here = client(service, emulator=ads, credentials=KNOWN)
                # Not every machine resolves names below localhost.
                here.meta.events.register(f"before-send.{service}", lambda request, **_: redirect(request, port))
                CALLS[service](here)

    def test_query_parameters_of_s3_are_verified(self, client: MakeClient) -> None:
        s3 = client("s3", credentials=KNOWN)
        assert s3.list_objects_v2(Bucket="inventory", Prefix="a b/&ü", Delimiter="/")["KeyCount"] == 0
        assert s3.list_objects_v2(Bucket="inventory", Prefix="s")["KeyCount"] == 1


def redirect(request: Any, port: int) -> None:
    request.headers["Host"] = f"ads.localhost:{port}"
    request.url = request.url.replace("ads.localhost", "127.0.0.1")


class TestPresignedUrls:
    @pytest.mark.parametrize("version", ["s3v4", "s3"])
    def test_a_user_can_presign(self, client: MakeClient, assumed: tuple[str, str, str], version: str) -> None:
        for credentials in (KNOWN, assumed):
            s3 = client("s3", credentials=credentials, signature_version=version)
            url = s3.generate_presigned_url("get_object", {"Bucket": "inventory", "Key": "servers.csv"})
            assert send(url).body == b"ExternalId\na\n"

    @pytest.mark.parametrize(
        ("version", "case", "expected"),
        [
            ("s3v4", "unknown", (403, b"InvalidAccessKeyId")),
            ("s3", "unknown", (403, b"InvalidAccessKeyId")),
            ("s3v4", "wrong secret", (403, b"SignatureDoesNotMatch")),
            ("s3v4", "expired", (400, b"ExpiredToken")),
            ("s3", "expired", (400, b"ExpiredToken")),
        ],
    )
    def test_others_are_refused(
        self, ads: AdsEmulator, client: MakeClient, assumed: Any, version: str, case: str, expected: Any
    ) -> None:
        ads.expire_role_credentials()
        credentials = {"unknown": ("unknown", "secret"), "wrong secret": (KNOWN[0], "another"), "expired": assumed}
        s3 = client("s3", credentials=credentials[case], signature_version=version)
        response = send(s3.generate_presigned_url("get_object", {"Bucket": "inventory", "Key": "servers.csv"}))
        assert response.status == expected[0]
        assert b"<Code>%b</Code>" % expected[1] in response.body

    def test_links_to_error_archives_work(self, ads: AdsEmulator, client: MakeClient) -> None:
        import_url = ads.upload("s3://inventory/bad.csv", "ExternalId\n \n")
        task = run_import(client("discovery", credentials=KNOWN), import_url)
        assert fetch_archive(task)
        changed = task["errorsAndFailedEntriesZip"].replace("X-Amz-Expires=3600", "X-Amz-Expires=7200")
        assert b"SignatureDoesNotMatch" in send(changed).body

    def test_the_emulators_own_key_is_accepted_nowhere_else(self, client: MakeClient) -> None:
        s3 = client("s3", credentials=("emulator", "emulator"))
        assert refusal(s3.list_buckets) == ("InvalidAccessKeyId", 403)


class TestRoles:
    def test_the_caller_is_the_role(self, ads: AdsEmulator, client: MakeClient) -> None:
        answer = client("sts", credentials=KNOWN).assume_role(**ASSUME)
        assert answer["AssumedRoleUser"]["Arn"] == ASSUMED_ARN
        identity = client("sts", credentials=keys(answer)).get_caller_identity()
        assert (identity["Arn"], identity["Account"]) == (ASSUMED_ARN, "111122223333")
        assert identity["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
        assert ads.role_of(keys(answer)[0]) == ROLE
        assert ads.role_of(KNOWN[0]) is None
        assert client("sts", credentials=KNOWN).get_caller_identity()["Arn"] != ASSUMED_ARN

    def test_a_web_identity_needs_no_key(self, client: MakeClient) -> None:
        sts = client("sts", signature_version=UNSIGNED)
        answer = sts.assume_role_with_web_identity(**ASSUME, WebIdentityToken="token")
        assert client("sts", credentials=keys(answer)).get_caller_identity()["Arn"] == ASSUMED_ARN

    def test_a_role_that_is_not_listed_is_denied(self, ads: AdsEmulator, client: MakeClient) -> None:
        sts = client("sts", credentials=KNOWN)
        ads.roles.remove(ROLE)
        assert refusal(lambda: sts.assume_role(**ASSUME)) == ("AccessDenied", 403)
        with_token = {**ASSUME, "WebIdentityToken": "token"}
        assert refusal(lambda: sts.assume_role_with_web_identity(**with_token)) == ("AccessDenied", 403)
        ads.roles.add(ROLE)
        assert sts.assume_role(**ASSUME)

    def test_assuming_a_role_needs_a_known_key(self, client: MakeClient) -> None:
        sts = client("sts")
        assert refusal(lambda: sts.assume_role(**ASSUME)) == ("InvalidClientTokenId", 403)

    def test_a_role_can_assume_a_role(self, client: MakeClient, assumed: tuple[str, str, str]) -> None:
        assert keys(client("sts", credentials=assumed).assume_role(**ASSUME))[0] != assumed[0]

    def test_credentials_expire_at_their_stated_time(self, ads: AdsEmulator, client: MakeClient) -> None:
        ads.role_seconds = 900
        answer = client("sts", credentials=KNOWN).assume_role(**ASSUME)
        left = answer["Credentials"]["Expiration"] - datetime.now(UTC)
        assert timedelta(seconds=840) < left <= timedelta(seconds=900)

    def test_credentials_last_for_the_seconds_that_were_set_when_they_were_issued(
        self, ads: AdsEmulator, client: MakeClient, assumed: tuple[str, str, str]
    ) -> None:
        ads.role_seconds = 0
        later = keys(client("sts", credentials=assumed).assume_role(**ASSUME))
        assert refusal(client("discovery", credentials=later).describe_import_tasks)[0] == "ExpiredTokenException"
        client("discovery", credentials=assumed).describe_import_tasks()

    def test_a_role_can_be_assumed_again_after_its_credentials_expired(
        self, ads: AdsEmulator, client: MakeClient, assumed: tuple[str, str, str]
    ) -> None:
        ads.expire_role_credentials()
        assert refusal(client("discovery", credentials=assumed).describe_import_tasks)[0] == "ExpiredTokenException"
        again = keys(client("sts", credentials=KNOWN).assume_role(**ASSUME))
        client("discovery", credentials=again).describe_import_tasks()

    def test_another_emulator_does_not_know_the_key(self, client: MakeClient, assumed: tuple[str, str, str]) -> None:
        with AdsEmulator(access_keys=dict([KNOWN]), roles=[ROLE]) as other:
            discovery = client("discovery", emulator=other, credentials=assumed)
            assert refusal(discovery.describe_import_tasks)[0] == "UnrecognizedClientException"

    @pytest.mark.parametrize("role", ["importer", "arn:aws:iam::1:role/importer"])
    def test_a_role_must_be_an_arn(self, role: str) -> None:
        with pytest.raises(ValueError, match="roles must contain ARNs such as arn:aws:iam::123456789012:role/name"):
            AdsEmulator(access_keys={}, roles=[role])


def test_keys_can_be_rotated(ads: AdsEmulator, client: MakeClient) -> None:
    discovery = client("discovery", credentials=KNOWN)
    ads.access_keys = {"AKIANEW": "new"}
    assert refusal(discovery.describe_import_tasks)[0] == "UnrecognizedClientException"
    client("discovery", credentials=("AKIANEW", "new")).describe_import_tasks()
    assert json.loads(ads.airflow_connection)["login"] == "AKIANEW"
    ads.access_keys = None
    discovery.describe_import_tasks()


def test_the_airflow_connection_has_a_known_key(ads: AdsEmulator) -> None:
    connection = json.loads(ads.airflow_connection)
    assert (connection["login"], connection["password"]) == KNOWN


def test_refused_calls_count_and_are_affected_by_faults(ads: AdsEmulator, client: MakeClient) -> None:
    discovery = client("discovery")
    ads.inject("ThrottlingException", calls=1)
    assert [refusal(discovery.describe_import_tasks)[0] for _ in range(2)] == [
        "ThrottlingException",
        "UnrecognizedClientException",
    ]
    assert ads.calls() == {"DescribeImportTasks": 2}


def test_the_control_interface_and_moto_itself_need_no_credentials(ads: AdsEmulator) -> None:
    assert send(f"{ads.endpoint_url}/_ads/calls").status == 200
    assert b"Moto" in send(f"{ads.endpoint_url}/moto-api/").body


def test_a_header_of_another_scheme_is_not_a_signature(ads: AdsEmulator) -> None:
    body = urlencode({"Action": "GetCallerIdentity", "Version": "2011-06-15"}).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Bearer {HOME_REGION}"}
    response = send(ads.endpoint_url, "POST", body, **form)
    assert response.status == 403
    assert b"<Code>MissingAuthenticationToken</Code>" in response.body
