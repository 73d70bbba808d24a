"""The command line, run in its own process."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.unit.emulator.conftest import send

ROOT = Path(__file__).parents[3]

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run() -> Iterator[Run]:
    """Start processes, and kill those that remain after the test."""
    with ExitStack() as processes:

        def run(*arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow_provider_ads.emulator", *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONWARNINGS": "error::ResourceWarning", "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield run


def read_output(process: subprocess.Popen[str]) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Return the printed endpoint, Airflow connection, and environment variables for AWS's tools."""
    assert process.stdout is not None
    endpoint = process.stdout.readline()
    assert process.stdout.readline().startswith(f"Open {endpoint.split()[-1]}/ in a browser")
    connection = re.fullmatch("export AIRFLOW_CONN_AWS_DEFAULT='(.*)'\n", process.stdout.readline())
    assert connection is not None
    export, *variables = shlex.split(process.stdout.readline())
    assert export == "export"
    return endpoint.split()[-1], json.loads(connection[1]), dict(each.split("=", 1) for each in variables)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_emulator_runs_until_it_is_interrupted(
    run: Run, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = run("--port", "0", "--import-seconds", "0", "--home-region", "eu-central-1")
    endpoint_url, connection, variables = read_output(process)
    assert urlsplit(endpoint_url).hostname == "127.0.0.1"
    assert connection["extra"]["endpoint_url"] == endpoint_url
    assert connection["extra"]["region_name"] == "eu-central-1"
    assert variables == {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config: Any = botocore.session.Session().create_client("migrationhub-config", config=Config(proxies={}))
    assert config.get_home_region()["HomeRegion"] == "eu-central-1"
    config.close()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "")
    assert "GetHomeRegion in eu-central-1" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("has_key", [True, False])
def test_credentials_can_be_required(run: Run, has_key: bool) -> None:
    """A role requires credentials too: a web identity can assume it without a key."""
    role = "arn:aws:iam::123456789012:role/importer"
    keys = ("--access-key", "AKIAFIRST:a:b", "--access-key", "AKIASECOND:c") if has_key else ()
    endpoint_url, connection, variables = read_output(
        run("--port", "0", "--role", role, "--role-seconds", "900", *keys)
    )
    expected = ("AKIAFIRST", "a:b") if has_key else ("emulator", "emulator")
    assert (connection["login"], connection["password"]) == expected
    assert (variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]) == expected
    clients = ExitStack()

    def sts(access_key: str, secret: str) -> Any:
        new: Any = botocore.session.Session().create_client(
            "sts",
            region_name="us-west-2",
            endpoint_url=endpoint_url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            config=Config(proxies={}),
        )
        clients.callback(new.close)
        return new

    with clients:
        assume = {"RoleArn": role, "RoleSessionName": "airflow"}
        assert sts("", "").assume_role_with_web_identity(**assume, WebIdentityToken="token")["Credentials"]
        for access_key, secret in (("AKIAFIRST", "a:b"), ("AKIASECOND", "c")) if has_key else ():
            assert sts(access_key, secret).assume_role(**assume)["Credentials"]
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            sts("AKIATHIRD", "c").get_caller_identity()


def test_the_help_mentions_quotas_and_faults(run: Run) -> None:
    output, _ = run("--help").communicate(timeout=60)
    words = " ".join(output.split())
    assert "--record-quota NUMBER imported records that the account can hold (default: 25000)" in words
    assert "set faults such as throttling" in words


def test_a_quota_can_be_set(run: Run) -> None:
    quotas = ("record", "server", "application", "deletion")
    options = [f"--{name}-quota=7" for name in quotas] + ["--servers-per-application=7", "--tags-per-server=7"]
    endpoint_url, _, _ = read_output(run("--port", "0", *options))
    page = send(endpoint_url, Accept="text/html").body.decode()
    assert page.count('data-label="Limit"><div>7</div>') == 6


@pytest.mark.parametrize("argument", ["AKIAFIRST", "AKIAFIRST:", ":secret"])
def test_an_access_key_needs_its_secret(run: Run, argument: str) -> None:
    process = run("--access-key", argument)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"{argument!r} is not an access key and its secret, separated by a colon" in errors


def test_an_empty_home_region_is_not_set(run: Run) -> None:
    _, connection, variables = read_output(run("--port", "0", "--home-region", ""))
    assert connection["extra"]["region_name"] == variables["AWS_DEFAULT_REGION"] == "us-west-2"


def test_an_invalid_argument_is_refused_in_one_line(run: Run) -> None:
    process = run("--port", "0", "--token-seconds=-1")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert errors.startswith("token_seconds must be None or a finite number of 0 or more, not -1.0")
    assert errors.count("\n") == 1


def test_a_port_that_is_not_available_is_refused_in_one_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        for port, reason in ((other.getsockname()[1], "Address already in use"), (70000, "port must be 0-65535")):
            process = run("--port", str(port))
            output, errors = process.communicate(timeout=60)
            assert (process.returncode, output) == (1, "")
            assert re.fullmatch(rf"Cannot listen on 127\.0\.0\.1:{port}: .*{reason}.*\n", errors)


def test_a_missing_library_is_reported_with_the_extra_to_install(tmp_path: Path) -> None:
    (tmp_path / "moto.py").write_text("raise ModuleNotFoundError(\"No module named 'moto'\", name='moto')")
    done = subprocess.run(
        [sys.executable, "-c", "import airflow_provider_ads.emulator"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'airflow-provider-ads[emulator]'" in done.stderr.splitlines()[-1]
