"""The command line: ``python -m airflow_provider_ads.emulator``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from threading import Event

from airflow_provider_ads.discovery import limits
from airflow_provider_ads.emulator import AdsEmulator

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """
    Run an emulator until it is interrupted.

    :param arguments: the command line's arguments; None for those of the process.
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
        print(f"Open {emulator.endpoint_url}/ in a browser to see imports, quotas and calls, and to set faults.")
        print(*emulator.exports, sep="\n", flush=True)
        interrupted.wait()
    finally:
        emulator.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_ads.emulator",
        description="A local emulator of AWS Application Discovery Service, with S3 and STS.",
        epilog="Open the printed address in a browser to see imports, quotas and calls, and to set faults such as "
        "throttling, lost responses or an outage. Scripts do the same over HTTP: GET /_ads/ lists the requests.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5005, help="port to listen on (default: %(default)s)")
    parser.add_argument("--public-url", help="URL at which clients reach the emulator, if it differs")
    for name in ("import_seconds", "delete_seconds", "export_seconds", "token_seconds", "role_seconds"):
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
    quotas = parser.add_argument_group("quotas", "The defaults are AWS's quotas.")
    for name, default, description in (
        ("record_quota", limits.IMPORT_RECORDS_PER_ACCOUNT, "imported records that the account can hold"),
        ("server_quota", limits.IMPORTED_SERVERS_PER_ACCOUNT, "imported servers that the account can hold"),
        ("application_quota", limits.APPLICATIONS_PER_ACCOUNT, "applications that the account can hold"),
        ("servers_per_application", limits.SERVERS_PER_APPLICATION, "servers that an application can have"),
        ("tags_per_server", limits.TAGS_PER_SERVER, "tags that a server can have"),
        ("deletion_quota", limits.IMPORT_RECORD_DELETIONS_PER_DAY, "imported records that can be deleted per day"),
    ):
        quotas.add_argument(
            f"--{name.replace('_', '-')}",
            type=int,
            default=default,
            metavar="NUMBER",
            help=f"{description} (default: %(default)s)",
        )
    return parser


def _access_key(argument: str) -> tuple[str, str]:
    access_key, _, secret = argument.partition(":")
    if not access_key or not secret:
        raise argparse.ArgumentTypeError(f"{argument!r} is not an access key and its secret, separated by a colon")
    return access_key, secret


if __name__ == "__main__":
    sys.exit(main())
