from __future__ import annotations

import pickle
import ssl
import traceback
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
)

from airflow_provider_ads import exceptions
from airflow_provider_ads.exceptions import (
    AdsCallError,
    AdsError,
    DeletionWaitTimeout,
    ExportFailedError,
    ExportTaskNotFound,
    ExportWaitTimeout,
    ImportDeletionError,
    ImportNotSeen,
    ImportOutcomeError,
    ImportTaskNotFound,
    ImportWaitTimeout,
    call_error,
    deletion_error,
    fail_without_retry,
)
from airflow_provider_ads.version_compat import AirflowFailException

ID = "import-task-" + "0" * 32


def client_error(code: str, status: int = 400, operation: str = "DescribeImportTasks") -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "AWS's words."},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "request-1"},
    }
    return ClientError(response, operation)


def explain(error: ClientError | BotoCoreError) -> AdsCallError:
    return call_error(error, "DescribeImportTasks", "cmdb", "us-west-2", "my_aws")


class TestTree:
    @pytest.mark.parametrize(
        ("error", "is_call_error"),
        [
            (ImportOutcomeError("it failed", [{"importTaskId": ID, "status": "IMPORT_FAILED"}], True), False),
            (ImportDeletionError("refused", {ID: "NOT_FOUND"}), False),
            (AdsCallError("refused", "AuthorizationErrorException", import_task_id=ID, transient=True), True),
            (ImportTaskNotFound(ID, "us-west-2"), True),
            (ImportWaitTimeout([{"importTaskId": ID, "status": "IMPORT_IN_PROGRESS"}], "throttled"), True),
            (ImportNotSeen("cmdb", "us-west-2", None), True),
            (DeletionWaitTimeout([{"importTaskId": ID, "status": "DELETE_IN_PROGRESS"}], None), True),
            (ExportFailedError("it failed", {"exportId": "export-1", "exportStatus": "FAILED"}), False),
            (ExportTaskNotFound("export-1", "us-west-2"), True),
            (ExportWaitTimeout([{"exportId": "export-1", "exportStatus": "IN_PROGRESS"}], "throttled"), True),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_every_error_has_its_place_and_survives_pickling(self, error: AdsError, is_call_error: bool) -> None:
        assert isinstance(error, AdsError)
        assert isinstance(error, AdsCallError) is is_call_error
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))

    def test_no_error_derives_from_airflows_exceptions(self) -> None:
        # With soft_fail, Airflow skips its own exceptions only if the sensor was deferred.
        assert AdsError.__mro__ == (AdsError, Exception, BaseException, object)

    def test_fail_without_retry_keeps_the_message_in_one_traceback(self) -> None:
        cause = ImportOutcomeError("it failed", [], try_again=False)
        with pytest.raises(AirflowFailException, match="it failed") as failure:
            fail_without_retry(cause)
        assert failure.value.__context__ is cause
        assert "".join(traceback.format_exception(failure.value)).count("it failed") == 1


class TestWaitTimeout:
    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (
                ImportWaitTimeout([{"importTaskId": ID, "name": "cmdb", "status": "IMPORT_IN_PROGRESS"}], "Throttled."),
                "Allow more time, with a sensor's timeout or an operator's execution_timeout. The import keeps running "
                "at AWS, which processes imports one at a time and cannot cancel them; AdsImportTaskSensor can wait "
                "for it.\n"
                f"Timed out waiting for the import. Last status: IMPORT_IN_PROGRESS: 'cmdb' ({ID}).\n"
                "The last poll failed: Throttled.",
            ),
            (
                ExportWaitTimeout([{"exportId": "export-1", "exportStatus": "IN_PROGRESS"}], "Throttled."),
                "Allow more time with execution_timeout: a retry starts another export, although this one continues at "
                "AWS.\nTimed out waiting for the export. Last status: EXPORT: IN_PROGRESS (export-1).\nThe last poll "
                "failed: Throttled.",
            ),
            (
                DeletionWaitTimeout([], None),
                "Allow more time; a retry of the task waits for the deletion, which continues at AWS.\n"
                "Timed out waiting for the deletion.",
            ),
            (
                ImportNotSeen("cmdb", "us-west-2", "Throttled."),
                "Check that name is exactly the import's name, that region_name is the Migration Hub home region in "
                "which it is started, and that aws_conn_id is for the same account: it is not known if there is such "
                "an import.\nTimed out waiting for an import named 'cmdb' in us-west-2.\n"
                "The last poll failed: Throttled.",
            ),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_the_message_gives_the_last_status_the_last_error_and_advice(
        self, error: ImportWaitTimeout, message: str
    ) -> None:
        assert (str(error), error.code, error.transient) == (message, type(error).__name__, False)


class TestCallError:
    def test_the_message_names_call_region_connection_reason_and_advice(self) -> None:
        error = explain(client_error("AuthorizationErrorException"))
        assert str(error) == (
            "Allow discovery:DescribeImportTasks in the IAM policy of the user or role behind aws_conn_id='my_aws'.\n"
            "DescribeImportTasks for cmdb in us-west-2 with aws_conn_id='my_aws' failed with "
            "AuthorizationErrorException: AWS's words (request id request-1)."
        )
        assert (error.code, error.transient) == ("AuthorizationErrorException", False)

    def test_every_documented_code_of_the_service_and_of_the_home_region_has_advice(self) -> None:
        session: Any = botocore.session.get_session()
        discovery, home_region = map(session.get_service_model, ("discovery", "migrationhub-config"))
        operations = (
            *("StartImportTask", "DescribeImportTasks", "BatchDeleteImportData"),
            *("StartExportTask", "DescribeExportTasks"),
        )
        models = [*map(discovery.operation_model, operations), home_region.operation_model("GetHomeRegion")]
        codes = {shape.name for model in models for shape in model.error_shapes}
        assert len(codes) == 12
        for code in codes:
            # AWS documents the status 500 for its own failures.
            status = 500 if code.startswith(("InternalServer", "Server", "Service")) else 400
            assert "no advice for this code" not in str(explain(client_error(code, status)))

    @pytest.mark.parametrize(
        ("code", "operation", "action"),
        [
            ("AccessDenied", "AssumeRole", "sts:AssumeRole"),
            ("AccessDeniedException", "GetHomeRegion", "mgh:GetHomeRegion"),
            ("AuthorizationErrorException", "StartImportTask", "discovery:StartImportTask"),
            ("403", "PutObject", "s3:PutObject"),
        ],
    )
    def test_a_denied_action_has_its_iam_name(self, code: str, operation: str, action: str) -> None:
        message = str(explain(client_error(code, 403, operation)))
        assert message.startswith(f"Allow {action} in the IAM policy of the user or role behind aws_conn_id='my_aws'.")
        assert f"\n{operation} for cmdb" in message
        assert "s3:ListBucket" not in message

    def test_a_file_that_s3_denies_might_be_missing_or_denied_by_its_bucket(self) -> None:
        message = str(explain(client_error("403", 403, "GetObject")))
        assert message.startswith("Allow s3:GetObject in the IAM policy")
        assert "policies of the bucket and of its KMS key. Without s3:ListBucket" in message

    @pytest.mark.parametrize(
        ("advice", "codes"),
        [
            ("Correct the access key", ["IncompleteSignature", "IncompleteSignatureException"]),
            ("Add an access key or a role", ["MissingAuthenticationToken", "MissingAuthenticationTokenException"]),
            (
                "Correct the secret of aws_conn_id='my_aws', which",
                ["InvalidSignatureException", "SignatureDoesNotMatch"],
            ),
            ("Migration Hub home region", ["HomeRegionNotSetException", "InvalidInputException"]),
            ("See AWS's message; AWS Support can look up", ["NewException"]),
            ("Try again later: this failure is usually temporary.", ["ThrottlingException"]),
        ],
    )
    def test_every_spelling_of_a_code_has_the_same_advice(self, advice: str, codes: list[str]) -> None:
        assert all(advice in str(explain(client_error(code))) for code in codes)

    @pytest.mark.parametrize("error_type", [EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError])
    @pytest.mark.parametrize(
        ("url", "is_about_sts"),
        [
            ("https://sts.us-west-2.amazonaws.com", True),
            ("https://sts-fips.us-west-2.amazonaws.com", True),
            ("https://vpce-1.sts.example/", True),
            ("https://discovery.us-west-2.amazonaws.com", False),
        ],
    )
    def test_an_unreachable_sts_has_its_own_advice(self, error_type: Any, url: str, is_about_sts: bool) -> None:
        error = error_type(endpoint_url=url, error=OSError())
        settings = ("DescribeImportTasks", "cmdb", "us-west-2", "my_aws")
        explained = call_error(error, *settings, sts_endpoint_url="https://vpce-1.sts.example")
        about_sts = "Check the network and the proxy between this machine and AWS STS, which issues the credentials"
        assert str(explained).startswith(about_sts) is is_about_sts
        assert explained.transient

    def test_a_missing_profile_has_advice(self) -> None:
        assert "Correct profile_name in aws_conn_id='my_aws'" in str(explain(ProfileNotFound(profile="nope")))

    @pytest.mark.parametrize(
        "error",
        [
            *map(client_error, ["ThrottlingException", "TooManyRequestsException", "LimitExceededException"]),
            client_error("ServerInternalErrorException", 500),
            EndpointConnectionError(endpoint_url="http://x"),
            ConnectTimeoutError(endpoint_url="http://x"),
            ReadTimeoutError(endpoint_url="http://x"),
            ConnectionClosedError(endpoint_url="http://x"),
            IncompleteReadError(actual_bytes=1, expected_bytes=2),
        ],
        ids=str,
    )
    def test_throttling_server_errors_and_broken_connections_are_transient(self, error: Any) -> None:
        assert explain(error).transient

    @pytest.mark.parametrize(
        "error",
        [
            *map(client_error, ["AuthorizationErrorException", "HomeRegionNotSetException", "ExpiredTokenException"]),
            *map(client_error, ["InvalidParameterValueException", "NewException"]),
            NoCredentialsError(),
            SSLError(endpoint_url="http://x", error=OSError("certificate")),
            HTTPClientError(error=ssl.SSLError("no certificate in the bundle")),
            HTTPClientError(error=FileNotFoundError("no bundle")),
            HTTPClientError(error=IsADirectoryError("no file")),
            HTTPClientError(error=PermissionError("unreadable bundle")),
        ],
        ids=str,
    )
    def test_refusals_and_certificate_problems_are_not_transient(self, error: Any) -> None:
        assert not explain(error).transient

    @pytest.mark.parametrize("code", ["NoCredentialsError", "NoRegionError", "AuthorizationErrorException"])
    def test_a_missing_connection_is_named(self, code: str) -> None:
        error = call_error(
            client_error(code), "DescribeImportTasks", "cmdb", "us-west-2", "nope", is_connection_missing=True
        )
        if code == "AuthorizationErrorException":
            assert "aws_conn_id='nope', which Airflow did not find, so with the machine's own" in str(error)
        else:
            assert str(error).startswith("Create the connection 'nope' (Admin > Connections, or 'airflow connections")

    def test_all_advice_begins_with_a_verb_and_needs_no_more_than_its_own_line(self) -> None:
        verbs = {"Add", "Allow", "Check", "Correct", "Renew", "See", "Set", "Use"}
        for code in exceptions._ADVICE:
            advice, call = str(explain(client_error(code))).splitlines()
            assert advice.split()[0] in verbs, code
            assert call.startswith("DescribeImportTasks for cmdb in us-west-2"), code


class TestDeletionError:
    def test_every_code_of_the_service_has_advice(self) -> None:
        model: Any = botocore.session.get_session().get_service_model("discovery")
        for code in model.shape_for("BatchDeleteImportDataErrorCode").enum:
            error = deletion_error({ID: {"errorCode": code, "errorDescription": "AWS's words."}}, "us-west-2")
            assert f"Not deleted in us-west-2: {ID} ({code}: AWS's words)." in str(error)
            assert "See AWS's message" not in str(error)
            assert error.errors == {ID: code}

    def test_an_unknown_code_is_quoted(self) -> None:
        error = deletion_error({ID: {"errorCode": "ON_HOLD"}, ID[:-1] + "1": {}}, "us-west-2")
        assert str(error) == f"See AWS's message.\nNot deleted in us-west-2: {ID} (ON_HOLD); {ID[:-1]}1 (no code)."

    def test_the_message_names_a_limited_number_of_imports_but_the_error_has_all(self) -> None:
        refused = {f"import-task-{number}": {"errorCode": "NOT_FOUND"} for number in range(20 + 1_000)}
        error = deletion_error(refused, "us-west-2")
        assert str(error).count("NOT_FOUND") == 20
        assert str(error).endswith("; and 1,000 more.")
        assert error.errors == dict.fromkeys(refused, "NOT_FOUND")


def test_a_session_token_that_aws_quotes_is_not_in_the_message() -> None:
    message = "The Canonical String for this request should have been 'POST x-amz-security-token:FwoGZXIvYXdzEJr'"
    response: Any = {"Error": {"Code": "InvalidSignatureException", "Message": message}}
    error = call_error(ClientError(response, "DescribeImportTasks"), "DescribeImportTasks", "all imports", None, None)
    assert "FwoGZXIvYXdzEJr" not in str(error)
    assert "InvalidSignatureException" in str(error)
