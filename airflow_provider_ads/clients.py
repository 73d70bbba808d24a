"""
Shared aiobotocore clients, whose credentials are fetched outside the event loop.

Credentials of a role or a web identity come from AWS STS, and others from a metadata endpoint or a process. The Amazon
provider asks for them on the event loop, which stops every other trigger until there is an answer. Here, a thread asks
for them and passes them on as static keys. Keys expire and connections change, so the client is renewed every few
minutes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from threading import Thread
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_provider_ads.exceptions import AdsCallError, lookup_error

__all__ = [
    "CLIENT_LIFETIME",
    "CREDENTIALS_TIMEOUT",
    "MIN_CLIENT_AGE",
    "SECOND_THREAD_AFTER",
    "AwsSettings",
    "OpenClient",
    "SharedClient",
    "uncancelled",
]

T = TypeVar("T")

#: The range of seconds after which a client is renewed. They are random, so that waits of many connections do not all
#: renew at the same time.
CLIENT_LIFETIME = (240.0, 300.0)

#: Seconds for which a client is not renewed because of an error: its credentials have just been read.
MIN_CLIENT_AGE = 30.0

#: Seconds for which polls wait for credentials before they count as an outage.
CREDENTIALS_TIMEOUT = 10.0

#: Seconds after which a second thread may ask for credentials, because the first one might never return.
SECOND_THREAD_AFTER = 300.0

#: Minimum number of seconds between the starts of two threads, unless the first one has ended. Creating a session uses
#: the CPU, and many threads doing it at the same time would starve the event loop.
THREAD_INTERVAL = 0.05

#: Seconds from a failed renewal to the next one, while the old client serves.
RENEWAL_INTERVAL = 30.0


@dataclass(frozen=True)
class AwsSettings:
    """
    The hook arguments that a trigger stores.

    :param aws_conn_id: the Airflow connection; None for boto3's default credentials.
    :param region_name: the region; None for the connection's region.
    :param verify: False to skip the verification of certificates, or the path of a CA bundle.
    :param botocore_config: arguments for :class:`botocore.config.Config`.
    """

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: dict[str, Any] | None

    @property
    def key(self) -> str:
        """Key of the shared client; equal settings have equal keys."""
        return json.dumps(asdict(self), sort_keys=True, default=str)


@dataclass(eq=False)
class OpenClient:
    """
    An open aiobotocore client.

    :param client: the client.
    :param identity: values that determine the account and region; an item is None if the machine's settings apply.
    :param opened: when it was opened, in seconds of the loop's clock.
    :param calls: the number of calls that use it at the moment.
    :param is_retired: True once another client has replaced it; its last call closes it.
    """

    client: Any
    identity: tuple[str | None, ...]
    opened: float
    _context: Any
    calls: int = 0
    is_retired: bool = False

    async def retire(self) -> None:
        """Close the client, unless a call still uses it."""
        self.is_retired = True
        if not self.calls:
            await uncancelled(self._context.__aexit__(None, None, None))


class _Attempt(NamedTuple):
    """A thread that asks for credentials; its outcome is a function that makes a client, or an exception."""

    started: float
    fingerprint: bytes
    outcome: asyncio.Future[tuple[Any, BaseException | None]]


@dataclass
class _Loop:
    """State that all waits of one event loop share."""

    clients: dict[str, SharedClient] = field(default_factory=dict)
    #: Threads can outlive the client that started them, so they are kept by the settings' key.
    attempts: dict[str, list[_Attempt]] = field(default_factory=dict)
    #: Creating a client blocks the loop for some milliseconds, so create one at a time.
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: Held from the start of a thread for :data:`THREAD_INTERVAL` at most.
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


class SharedClient:
    """
    The client of all waits of an event loop that reach AWS in the same way.

    :param settings: how to reach AWS.
    """

    def __init__(self, settings: AwsSettings, key: str, loop: _Loop) -> None:
        self.region_name = settings.region_name
        #: Arguments of :func:`exceptions.call_error` that describe the connection that was looked up last.
        self.error_details: dict[str, Any] = {}
        self._settings = settings
        self._key = key
        self._loop = loop
        self._users = 0
        self._open: OpenClient | None = None
        self._renew_at = 0.0
        self._renewal: asyncio.Task[None] | None = None

    @classmethod
    def join(cls, settings: AwsSettings) -> SharedClient:
        """Return the client for these settings on this loop; call :meth:`leave` when you are done with it."""
        loop = _loops.setdefault(asyncio.get_running_loop(), _Loop())
        key = settings.key
        client = loop.clients.setdefault(key, cls(settings, key, loop))
        client._users += 1
        return client

    async def leave(self) -> None:
        """Leave the client; the last user closes it."""
        self._users -= 1
        if self._users:
            return
        self._loop.clients.pop(self._key)
        # Credentials that nobody has used must not stay in memory.
        attempts = self._loop.attempts.get(self._key, [])
        attempts[:] = [each for each in attempts if not each.outcome.done()]
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})
        if self._open is not None:
            await self._open.retire()

    @property
    def opened(self) -> OpenClient | None:
        """The current client; None before the first one is open."""
        return self._open

    @property
    def identity(self) -> tuple[str | None, ...] | None:
        """Values that determine which account and region the client calls; None before it is opened."""
        return None if self._open is None else self._open.identity

    @asynccontextmanager
    async def use(self) -> AsyncIterator[OpenClient]:
        """
        Yield the open client, which is not closed before the block ends.

        :raises AdsCallError: the connection could not be looked up, or there were no credentials in time.
        :raises Exception: botocore's error, if credentials are not available or the settings are invalid.
        """
        now = asyncio.get_running_loop().time()
        if self._open is None:
            await asyncio.shield(self._start_renewal())
        elif now >= self._renew_at:
            # The old client serves until the new one is open, and longer if that fails.
            self._renew_at = now + RENEWAL_INTERVAL
            self._start_renewal()
        opened = cast(OpenClient, self._open)
        opened.calls += 1
        try:
            yield opened
        finally:
            opened.calls -= 1
            if opened.is_retired:
                await opened.retire()

    async def replace(self, failed: OpenClient | None = None) -> bool:
        """
        Open another client after an error that new credentials could resolve, unless the client is new.

        :param failed: the client that had the error; None for the current one.
        :return: True if the client was replaced.
        """
        failed = failed or self._open
        if self._open is failed and failed is not None:
            if asyncio.get_running_loop().time() - failed.opened < MIN_CLIENT_AGE:
                return False
            with suppress(Exception):
                await asyncio.shield(self._start_renewal())
        return self._open is not failed

    def _start_renewal(self) -> asyncio.Task[None]:
        if self._renewal is None or self._renewal.done():
            # A new context, because in a trigger's context log lines would go to the log of that trigger's task.
            self._renewal = asyncio.get_running_loop().create_task(self._renew(), context=Context())
            # Otherwise asyncio logs that an exception was never retrieved.
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._renewal

    async def _renew(self) -> None:
        old = self._open
        hook = await uncancelled(self._look_up())
        if old is not None and old.identity[0] is not None and not hook.conn_config:
            # Airflow does not distinguish a missing connection from a secrets backend that fails. Without the
            # connection, the machine's own credentials would be used, perhaps of another account.
            raise lookup_error(self._settings.aws_conn_id, "Airflow no longer finds it")
        identity = _get_identity(hook)
        self.error_details = _get_error_details(hook)
        if _looks_up_in_sessions():
            factory = await uncancelled(sync_to_async(_make_factory)(hook))
        else:
            factory = await self._make_factory_in_thread(hook)
        async with self._loop.opening:
            context = factory()
            client = await uncancelled(context.__aenter__())
        now = asyncio.get_running_loop().time()
        self._open = OpenClient(client, (*identity[:-1], client.meta.region_name), now, context)
        self._renew_at = now + random.uniform(*CLIENT_LIFETIME)
        self.region_name = client.meta.region_name
        if old is not None:
            await old.retire()

    async def _look_up(self) -> Any:
        # On Airflow 3.0 and 3.1, a lookup from any other thread than asgiref's can end the triggerer.
        try:
            return await sync_to_async(_look_up)(self._settings)
        except Exception as error:
            raise lookup_error(self._settings.aws_conn_id, f"{type(error).__name__}: {error}") from error

    async def _make_factory_in_thread(self, hook: Any) -> Callable[[], Any]:
        attempts = self._loop.attempts.setdefault(self._key, [])
        fingerprint = _get_fingerprint(hook)
        async with self._loop.starting:
            now = asyncio.get_running_loop().time()
            # Other credentials are old, or those of a connection that has changed since.
            current = [
                each
                for each in attempts
                if each.fingerprint == fingerprint and now - each.started < SECOND_THREAD_AFTER
            ]
            attempts[:] = [each for each in attempts if each in current or not each.outcome.done()]
            if not any(each.outcome.done() for each in current) and (
                not attempts or (len(attempts) == 1 and now - attempts[0].started > SECOND_THREAD_AFTER)
            ):
                current.append(_Attempt(now, fingerprint, _in_thread(lambda: _make_factory(hook))))
                attempts.append(current[-1])
                await asyncio.wait({current[-1].outcome}, timeout=THREAD_INTERVAL)
        if current:
            outcomes = {each.outcome for each in current}
            await asyncio.wait(outcomes, timeout=CREDENTIALS_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        ended = next((each for each in current if each.outcome.done()), None)
        if ended is None:
            raise AdsCallError(
                f"Check that AWS STS, or whatever provides the credentials of {self._settings.aws_conn_id!r}, can be "
                f"reached: it has not answered within {CREDENTIALS_TIMEOUT:.0f} seconds.",
                code="CredentialsTimeout",
                transient=True,
            )
        attempts.remove(ended)
        factory, error = ended.outcome.result()
        if error is not None:
            raise error
        return cast("Callable[[], Any]", factory)


def _look_up(settings: AwsSettings) -> Any:
    # Imported here, because the triggerer imports this module on its event loop and loading boto3 would block it.
    from airflow_provider_ads.hooks import AdsHook

    hook = AdsHook(
        aws_conn_id=settings.aws_conn_id,
        region_name=settings.region_name,
        verify=settings.verify,
        # botocore changes the dictionaries in it.
        config=deepcopy(settings.botocore_config),
    )
    hook.conn_config  # noqa: B018  # looks up the connection, and keeps it
    return hook


def _get_error_details(hook: Any) -> dict[str, Any]:
    from airflow_provider_ads.hooks import get_error_details

    return get_error_details(hook)


def _looks_up_in_sessions() -> bool:
    """Return True if a custom session factory might look up connections, which only Airflow's own thread may do."""
    from airflow import __version__
    from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory, SessionFactory

    return SessionFactory is not BaseSessionFactory and __version__.startswith(("3.0.", "3.1."))


def _get_identity(hook: Any) -> tuple[str | None, ...]:
    from airflow_provider_ads.hooks import get_identity

    return get_identity(hook)


def _get_fingerprint(hook: Any) -> bytes:
    """Return a digest of the connection's credential settings, which themselves are secrets."""
    config = hook.conn_config
    parts = (*_get_identity(hook), config.aws_secret_access_key, config.aws_session_token, config.extra_config)
    return hashlib.sha256(repr(parts).encode()).digest()


def _make_factory(hook: Any) -> Callable[[], Any]:
    from botocore.config import Config

    config = hook.config
    if config.retries is None:
        # During an outage, botocore's retries inside a poll would multiply the calls of all waits.
        config = config.merge(Config(retries={"total_max_attempts": 1}))
    factory: Callable[[], Any] = hook.async_client_factory(config)
    return factory


def _in_thread(function: Callable[[], Any]) -> asyncio.Future[tuple[Any, BaseException | None]]:
    """Call a function in a daemon thread, which keeps neither the loop nor the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def call() -> None:
        try:
            outcome: tuple[Any, BaseException | None] = (function(), None)
        except BaseException as error:
            outcome = (None, error)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(lambda: None if future.done() else future.set_result(outcome))

    Thread(target=call, name="ads-credentials", daemon=True).start()
    return future


async def uncancelled(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to completion even if the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(coroutine)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise
