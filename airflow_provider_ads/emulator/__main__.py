"""The command line: ``python -m airflow_provider_ads.emulator``."""

from __future__ import annotations

import argparse
import logging
import shlex
import signal
import sys
from threading import Event

from airflow_provider_ads.emulator import AdsEmulator

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """
    Run an emulator until it is interrupted.

    :param arguments: the command line's arguments; None: those of the process.
    :return: the exit status, 1 if an argument is not valid or the port is not available.
    """
    options = vars(_parser().parse_args(arguments))
    options["home_region"] = options["home_region"] or None
    checks_credentials = options["access_keys"] is not None or options["roles"]
    options["access_keys"] = dict(options["access_keys"] or ()) if checks_credentials else None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    interrupted = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    try:
        emulator = AdsEmulator(**options)
        emulator.start()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, OverflowError) as error:
        print(f"Cannot listen on {options['host']}:{options['port']}: {error}", file=sys.stderr)
        return 1
    try:
        print(f"The emulator is listening at {emulator.endpoint_url}")
        print(f"export AIRFLOW_CONN_AWS_DEFAULT={shlex.quote(emulator.airflow_connection)}")
        access_key, secret = map(shlex.quote, emulator.access_key)
        print(
            f"export AWS_ENDPOINT_URL={shlex.quote(emulator.endpoint_url)} AWS_ACCESS_KEY_ID={access_key} "
            f"AWS_SECRET_ACCESS_KEY={secret} "
            f"AWS_DEFAULT_REGION={shlex.quote(emulator.home_region or 'us-west-2')}",
            flush=True,
        )
        interrupted.wait()
    finally:
        emulator.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_ads.emulator",
        description="A local emulator of AWS Application Discovery Service, with S3 and STS.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5005, help="port to listen on (default: %(default)s)")
    parser.add_argument("--public-url", help="URL at which clients reach the emulator, if it differs")
    for name in ("import_seconds", "delete_seconds", "token_seconds", "role_seconds"):
        setting = getattr(AdsEmulator, name)
        description = f"{setting.description} (default: {setting.default or 'forever'})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=setting.default, help=description)
    parser.add_argument(
        "--home-region",
        default="us-west-2",
        help="Migration Hub home region; '' means not set (default: %(default)s)",
    )
    parser.add_argument(
        "--access-key",
        type=_access_key,
        action="append",
        dest="access_keys",
        metavar="ID:SECRET",
        help="a known access key; can be repeated (default: credentials are not checked)",
    )
    parser.add_argument(
        "--role",
        action="append",
        default=[],
        dest="roles",
        metavar="ARN",
        help="a role that callers may assume; can be repeated, and requires credentials",
    )
    return parser


def _access_key(argument: str) -> tuple[str, str]:
    access_key, _, secret = argument.partition(":")
    if not access_key or not secret:
        raise argparse.ArgumentTypeError(f"{argument!r} is not an access key and its secret, separated by a colon")
    return access_key, secret


if __name__ == "__main__":
    sys.exit(main())
