"""The page that a browser shows at the emulator's address: plain HTML without scripts."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from html import escape
from typing import Any

from werkzeug.wrappers import Request, Response

from airflow_provider_ads.emulator.export_tasks import ExportTask
from airflow_provider_ads.emulator.faults import DELETION_ERRORS, EXPORT_OUTCOMES, KINDS, ActiveFault
from airflow_provider_ads.emulator.import_tasks import ImportTask
from airflow_provider_ads.emulator.protocol import HTTP_STATUS
from airflow_provider_ads.emulator.quotas import Quotas

__all__ = ["PageState", "RegionUsage", "parse_form", "prefers_html", "render_page"]

#: Number of imports that the page shows.
_MAX_IMPORTS = 100

#: Seconds between two loads of the page, if it refreshes itself.
_REFRESH_SECONDS = 5

#: The browser loads nothing else, runs no script, and shows the page in no frame.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

_STYLE = """
:root { color-scheme: light dark; --line: #d5d9e0; --soft: #5a6473; --box: #f5f7fa; --page: #fff; --text: #1b2330;
  --good: #18794e; --warn: #8f5a00; --bad: #c0262d; --busy: #0b62c4; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a404b; --soft: #a3adbb; --box: #1d2128; --page: #14171c; --text: #e6e9ee;
    --good: #4cc38a; --warn: #f1a10d; --bad: #ff8088; --busy: #70b8ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 88rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; }
h1 a { color: inherit; text-decoration: none; }
h2 { margin: 2rem 0 .5rem; font-size: 1.15rem; }
h3 { margin: 1rem 0 .25rem; font-size: 1rem; }
p, form, details { margin: .5rem 0; }
a { color: var(--busy); }
small, label, th, .soft { color: var(--soft); }
small, label, th, pre, code { font-size: .85rem; }
pre, code { font-family: ui-monospace, Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace; }
pre { margin: .5rem 0; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .4rem;
  background: var(--box); white-space: pre-wrap; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .5rem 0; }
summary { cursor: pointer; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .4rem 1rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; }
td:first-child, td small { overflow-wrap: anywhere; }
td small { display: block; }
.cards th:first-child { width: 34%; }
.number { text-align: right; }
.number, .time { font-variant-numeric: tabular-nums; }
.time, .time small { white-space: nowrap; }
meter { width: 100%; min-width: 5rem; height: 1rem; }
.good, .warn, .bad, .busy { font-weight: 600; }
.good { color: var(--good); }
.warn { color: var(--warn); }
.bad { color: var(--bad); }
.busy { color: var(--busy); }
.notice { padding: .6rem 1rem; border: 1px solid; border-radius: .4rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 0 4rem; }
.fields { display: flex; flex-wrap: wrap; gap: .75rem; align-items: end; }
input, select, button { display: block; max-width: 100%; padding: .35rem .5rem; font: inherit; }
input { width: 7rem; }
@media (max-width: 44rem) {
  body { padding: 1rem; }
  .fields > *, input, select { width: 100%; }
  .cards thead { display: none; }
  .cards tbody { display: block; }
  .cards tr { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.5rem; padding: .6rem 0;
    border-bottom: 1px solid var(--line); }
  .cards td { grid-column: 1 / -1; display: flex; gap: 1rem; justify-content: space-between; padding: .1rem 0;
    border: 0; }
  .cards td.number { grid-column: auto; }
  .cards td > div { min-width: 0; overflow-wrap: anywhere; text-align: right; }
  .cards td:first-child > div { text-align: left; }
  .cards td:not(:first-child)::before { content: attr(data-label); color: var(--soft); font-size: .85rem;
    text-align: left; }
  .cards td:has(> div:empty) { display: none; }
}
"""


@dataclass(frozen=True, kw_only=True)
class RegionUsage:
    """
    A region's use of its quotas.

    :param region: the region.
    :param used: the part of each quota that its imports use.
    :param deleted: the number of records that were deleted today.
    :param deletion_quota: the number of records that can be deleted per day.
    """

    region: str
    used: Quotas
    deleted: int
    deletion_quota: int


@dataclass(frozen=True, kw_only=True)
class PageState:
    """
    The state that the page shows.

    :param endpoint_url: the URL at which clients reach the emulator.
    :param home_region: the home region; None: not set.
    :param import_seconds: the number of seconds that each import takes.
    :param checks_credentials: True if the emulator checks credentials.
    :param exports: the shell commands that point clients to the emulator, without a secret.
    :param operations: the operations that the emulator performs.
    :param tasks: the import tasks, oldest first.
    :param export_tasks: the export tasks, oldest first.
    :param quotas: the quotas of each region.
    :param usage: each region's use of them.
    :param faults: the faults that still affect calls.
    :param held: the number of responses that are being held.
    :param calls: the number of calls by operation.
    :param iam_actions: the number of requests by the IAM action that they need.
    """

    endpoint_url: str
    home_region: str | None
    import_seconds: float
    checks_credentials: bool
    exports: Sequence[str]
    operations: Sequence[str]
    tasks: Sequence[ImportTask]
    export_tasks: Sequence[ExportTask]
    quotas: Quotas
    usage: Sequence[RegionUsage]
    faults: Sequence[ActiveFault]
    held: int
    calls: Counter[str]
    iam_actions: Counter[str]


def prefers_html(request: Request) -> bool:
    """Return True if a request prefers HTML to JSON, as browsers do and scripts do not."""
    return request.accept_mimetypes["text/html"] > request.accept_mimetypes["application/json"]


def parse_form(form: Mapping[str, str]) -> dict[str, Any]:
    """
    Read the arguments of :meth:`airflow_provider_ads.emulator.AdsEmulator.inject` from the page's form.

    :param form: the fields of the form. An empty field is not an argument.
    :return: the arguments. Text in a field for a number remains a string, which ``inject`` refuses.
    """
    return {
        name: _to_number(value) if name in ("calls", "delay", "seconds", "share", "status") else value
        for name, value in form.items()
        if value
    }


def render_page(
    state: PageState,
    *,
    refreshes: bool = False,
    notice: str = "",
    form: Mapping[str, str] | None = None,
    closed_seconds: float | None = None,
    status: int = 200,
) -> Response:
    """
    Render the page. It contains no client request token and no presigned URL.

    :param state: the state to show.
    :param refreshes: True if it loads itself again every few seconds.
    :param notice: a message about a fault.
    :param form: the fields of a form that was refused; its fields keep their values.
    :param closed_seconds: the number of seconds for which the port was just closed. The page loads itself afterwards.
    :param status: the HTTP status.
    :return: the response.
    """
    refresh = f"{_REFRESH_SECONDS}; url=/?refresh" if refreshes else None
    if closed_seconds is not None:
        refresh = f"{int(closed_seconds) + 1}; url=/"
    head = [
        _tag("meta", charset="utf-8"),
        _tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _tag("meta", http_equiv="refresh", content=refresh) if refresh else "",
        _tag("link", rel="icon", href="data:,"),  # otherwise the browser requests /favicon.ico
        _tag("title", "ADS emulator"),
        _tag("style", _Html(_STYLE)),
    ]
    body = [
        *_header(state, refreshes),
        *_clients(state),
        *_imports(state),
        *_exports(state),
        _tag(
            "div",
            _tag("section", *_faults(state, notice, form or {}, refreshes)),
            _tag("section", *_quotas(state), *_calls(state)),
            class_="columns",
        ),
    ]
    page = _tag("html", _tag("head", *head), _tag("body", *body), lang="en")
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(f"<!DOCTYPE html>\n{page}\n", status, headers, content_type="text/html; charset=utf-8")


# -- the parts of the page -----------------------------------------------------------------------------------


def _header(state: PageState, refreshes: bool) -> Iterable[object]:
    yield _tag("h1", _tag("a", "Emulator of AWS Application Discovery Service", href="/"))
    facts = (
        state.endpoint_url,
        f"home region {state.home_region}" if state.home_region else "no home region",
        f"an import takes {_duration(state.import_seconds)}",
        "credentials are checked" if state.checks_credentials else "any credentials are accepted",
    )
    yield _tag("p", " · ".join(facts), class_="soft")
    links = [
        (f"Imports ({len(state.tasks):,})", "#imports"),
        (f"Faults ({len(state.faults):,})", "#faults"),
        ("Quotas", "#quotas"),
        ("Calls", "#calls"),
        ("Stop refreshing", "/") if refreshes else (f"Refresh every {_REFRESH_SECONDS} seconds", "/?refresh"),
    ]
    yield _tag("nav", *(_tag("a", text, href=url) for text, url in links))


def _clients(state: PageState) -> Iterable[object]:
    advice = "Paste these lines into a shell, then start Airflow, the AWS CLI or a program that uses an AWS SDK there."
    if state.checks_credentials:
        advice += " Replace SECRET with the secret of the access key."
    yield _tag(
        "details",
        _tag("summary", _tag("strong", "Connect Airflow and other AWS clients")),
        _tag("p", advice),
        _tag("pre", "\n".join(state.exports)),
        open=not state.tasks,
    )


def _imports(state: PageState) -> Iterable[object]:
    yield _tag("h2", "Imports", id="imports")
    if not state.tasks:
        yield _tag("p", "There are no imports yet. Export the variables above, and run these commands to start one:")
        yield _tag(
            "pre",
            "aws s3 mb s3://inventory\n"
            "aws s3 cp servers.csv s3://inventory/\n"
            "aws discovery start-import-task --name servers --import-url s3://inventory/servers.csv",
        )
        return
    statuses = Counter(str(task.fields["status"]) for task in state.tasks)
    counts = " · ".join(f"{number:,}\N{NO-BREAK SPACE}{status}" for status, number in statuses.most_common())
    yield _tag("p", f"{len(state.tasks):,} in total: {counts}", class_="soft")
    shown = list(reversed(state.tasks))[:_MAX_IMPORTS]
    records = [f"{kind} {outcome}" for kind in ("Servers", "Applications") for outcome in ("imported", "failed")]
    yield _table(
        ["Name and file", "Status", *records, "Requested (UTC)"],
        [_import_cells(task, has_regions=len(state.usage) > 1) for task in shown],
        classes=["", "", *["number"] * 4, "time"],
    )
    if len(state.tasks) > _MAX_IMPORTS:
        yield _tag("p", f"These are the newest {_MAX_IMPORTS}. ", _tag("a", "All as JSON", href="/_ads/import-tasks"))


def _exports(state: PageState) -> Iterable[object]:
    if not state.export_tasks:
        return
    yield _tag("h2", "Exports", id="exports")
    shown = list(reversed(state.export_tasks))[:_MAX_IMPORTS]
    rows = [
        (
            _group(
                _tag("strong", "Summary" if task.preferences is None else "EC2 recommendations"),
                _tag("small", task.id),
            ),
            _group(
                _tag("span", task.fields["exportStatus"], class_=_status_class(task.fields["exportStatus"])),
                _tag("small", task.fields["statusMessage"]),
            ),
            f"{task.fields['exportRequestTime'].astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        )
        for task in shown
    ]
    yield _table(["Content", "Status", "Requested (UTC)"], rows, classes=["", "", "time"])
    if len(state.export_tasks) > _MAX_IMPORTS:
        yield _tag("p", f"These are the newest {_MAX_IMPORTS}. ", _tag("a", "All as JSON", href="/_ads/export-tasks"))


def _import_cells(task: ImportTask, *, has_regions: bool) -> list[object]:
    fields = task.fields
    status = str(fields["status"])
    names = ("serverImportSuccess", "serverImportFailure", "applicationImportSuccess", "applicationImportFailure")
    requested, completed = fields.get("importRequestTime"), fields.get("importCompletionTime")
    since = ""
    if requested is not None and completed is not None:
        since = f"ended after {_duration(completed.timestamp() - requested.timestamp())}"
    elif requested is not None and task.in_progress:
        since = f"{_duration(time.time() - requested.timestamp())} ago"
    return [
        _group(
            _tag("strong", fields["name"]),
            _tag("small", _without_credentials(str(fields["importUrl"]))),
            _tag("small", f"{task.id} in {task.region}" if has_regions else task.id),
        ),
        _group(
            _tag("span", status, class_=_status_class(status)),
            _tag("small", _without_credentials(task.reason)) if _status_class(status) == "bad" else "",
            _tag("small", "with an error archive") if task.has_archive else "",
        ),
        *("" if fields.get(name) is None else f"{fields[name]:,}" for name in names),
        _group(
            "" if requested is None else f"{requested.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            _tag("small", since) if since else "",
        ),
    ]


def _faults(state: PageState, notice: str, form: Mapping[str, str], refreshes: bool) -> Iterable[object]:
    yield _tag("h2", "Faults", id="faults")
    if notice:
        yield _tag("p", notice, class_="notice bad", role="alert")
    if state.faults or state.held:
        if state.faults:
            yield _table(["Fault", "Affected calls", "Ends"], map(_fault_cells, state.faults), classes=["", "", ""])
        if state.held:
            yield _tag("p", f"Held responses: {state.held:,}")
        yield _button("Clear all faults", "/_ads/faults#faults")
    else:
        yield _tag("p", "No fault is set. Calls are answered as AWS answers them.")
    if refreshes:
        yield _tag("p", _tag("a", "Stop refreshing", href="/"), " to set a fault.")
        return
    kinds = [
        ("Effects", [(kind, f"{kind}: {effect}") for kind, effect in KINDS.items()]),
        ("Error codes", [(code, code) for code in sorted(HTTP_STATUS)]),
        ("Errors of single imports in BatchDeleteImportData", [(code, code) for code in sorted(DELETION_ERRORS)]),
        ("Outcomes of exports", [(outcome, outcome) for outcome in sorted(EXPORT_OUTCOMES)]),
    ]
    chosen = form.get("fault", "ThrottlingException")
    operations = [("", "every operation"), *((name, name) for name in state.operations)]
    numbers = (
        ("calls", "Number of calls", {"min": 1, "step": 1}),
        ("seconds", "or seconds", {"min": 0, "step": "any"}),
        ("share", "Share of calls (0 to 1)", {"min": 0, "max": 1, "step": "any"}),
        ("delay", "Seconds of latency", {"min": 0, "step": "any"}),
    )
    yield _tag("h3", "Set a fault")
    yield _tag(
        "form",
        _tag(
            "div",
            _select("Fault", "fault", *(_tag("optgroup", *_options(each, chosen), label=name) for name, each in kinds)),
            _select("Operation", "operation", *_options(operations, form.get("operation", ""))),
            *(
                _tag("label", label, _tag("input", type="number", name=name, value=form.get(name, ""), **limits))
                for name, label, limits in numbers
            ),
            _tag("button", "Set fault"),
            class_="fields",
        ),
        method="post",
        action="/_ads/faults#faults",
    )
    yield _tag("p", "Without a number of calls or seconds, a fault stays until it is cleared.", class_="soft")
    url = f"{state.endpoint_url}/_ads/faults"
    fault = json.dumps({"fault": "ThrottlingException", "operation": "DescribeImportTasks", "calls": 3})
    yield _tag(
        "details",
        _tag("summary", "From a script, also with other error codes and messages"),
        _tag("pre", f"curl {url} -d '{fault}'\ncurl -X DELETE {url}"),
        _tag("p", _tag("a", "/_ads/", href="/_ads/"), " lists every request for scripts."),
    )


def _fault_cells(active: ActiveFault) -> list[object]:
    fault = active.fault
    details = [] if fault.delay is None else [f"by {_duration(fault.delay)}"]
    details += [] if fault.status is None else [f"HTTP status {fault.status}"]
    details += [] if fault.message is None else [fault.message[:100]]
    calls = fault.operation or "every operation"
    if fault.concerns_import_tasks:
        calls = "BatchDeleteImportData"
    elif fault.concerns_exports:
        calls = "StartExportTask"
    ends = "when it is cleared"
    if active.calls is not None:
        ends = f"after {active.calls:,} more call{'' if active.calls == 1 else 's'}"
    elif active.ends is not None:
        ends = f"in {_duration(active.ends - time.monotonic())}"
    return [
        _group(_tag("strong", fault.kind), *(_tag("small", each) for each in details)),
        _group(
            calls,
            "" if fault.import_task_id is None else _tag("small", fault.import_task_id),
            "" if fault.share is None else _tag("small", f"{100 * fault.share:.3g}% of them"),
        ),
        ends,
    ]


def _quotas(state: PageState) -> Iterable[object]:
    yield _tag("h2", "Quotas", id="quotas")
    quotas = state.quotas
    for usage in state.usage:
        if len(state.usage) > 1:
            yield _tag("h3", usage.region)
        used = usage.used
        rows = [
            ("Records", used.records, quotas.records),
            ("Servers", used.servers, quotas.servers),
            ("Applications", used.applications, quotas.applications),
            ("Servers of the largest application", used.servers_per_application, quotas.servers_per_application),
            ("Tags of the server with the most", used.tags_per_server, quotas.tags_per_server),
            ("Records deleted today (UTC)", usage.deleted, usage.deletion_quota),
        ]
        yield _table(
            ["Quota", "Used", "Limit", ""],
            [
                (
                    _group(name, _tag("small", "exhausted", class_="bad") if number >= quota else ""),
                    f"{number:,}",
                    f"{quota:,}",
                    _tag(
                        "meter",
                        value=number,
                        max=max(quota, 1),
                        low=quota * 0.8,
                        high=max(quota - 1, 0),
                        optimum=0,
                        aria_label=name,
                    ),
                )
                for name, number, quota in rows
            ],
            classes=["", "number", "number", ""],
            is_wide=False,
        )


def _calls(state: PageState) -> Iterable[object]:
    yield _tag("h2", "Calls", id="calls")
    if not state.calls and not state.iam_actions:
        yield _tag("p", "There have been no calls yet.")
        return
    for header, counts in (("Operation", state.calls), ("Required IAM action", state.iam_actions)):
        rows = [(name, f"{number:,}") for name, number in sorted(counts.items())]
        yield _table([header, "Requests"], rows, classes=["", "number"], is_wide=False)
    yield _button("Reset the counts", "/_ads/calls#calls")


# -- HTML ----------------------------------------------------------------------------------------------------


class _Html(str):
    """HTML. Every other string is escaped when it becomes part of an element."""

    __slots__ = ()


def _group(*children: object) -> _Html:
    """Join HTML and text, which is escaped."""
    return _Html("".join(each if isinstance(each, _Html) else escape(str(each)) for each in children))


def _tag(name: str, /, *children: object, **attributes: object) -> _Html:
    """Create an element. The attributes ``class_`` and ``http_equiv`` stand for ``class`` and ``http-equiv``."""
    written = "".join(
        f" {attribute.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for attribute, value in attributes.items()
        if value is not False
    )
    end = "" if name in ("input", "link", "meta") else f"{_group(*children)}</{name}>"
    return _Html(f"<{name}{written}>{end}")


def _table(
    header: Sequence[str], rows: Iterable[Iterable[object]], *, classes: Sequence[str], is_wide: bool = True
) -> _Html:
    """Create a table, with a class for each column. A narrow screen shows the rows of a wide one as cards."""
    columns = list(zip(header, classes, strict=True))
    head = _tag("tr", *(_tag("th", name, scope="col", class_=each) for name, each in columns))
    body = [
        _tag(
            "tr",
            *(
                _tag("td", _tag("div", cell), class_=each, data_label=name)
                for (name, each), cell in zip(columns, row, strict=True)
            ),
        )
        for row in rows
    ]
    return _tag("table", _tag("thead", head), _tag("tbody", *body), class_="cards" if is_wide else "")


def _button(label: str, path: str) -> _Html:
    """Create a button that sends DELETE, which a form can send only as a field."""
    method = _tag("input", type="hidden", name="_method", value="DELETE")
    return _tag("form", method, _tag("button", label), method="post", action=path)


def _select(label: str, name: str, *options: _Html) -> _Html:
    return _tag("label", label, _tag("select", *options, name=name))


def _options(options: Iterable[tuple[str, str]], chosen: str) -> list[_Html]:
    return [_tag("option", label, value=value, selected=value == chosen) for value, label in options]


# -- values --------------------------------------------------------------------------------------------------


def _status_class(status: str) -> str:
    classes = {
        "IMPORT_COMPLETE": "good",
        "IMPORT_COMPLETE_WITH_ERRORS": "warn",
        "DELETE_COMPLETE": "soft",
        "SUCCEEDED": "good",
    }
    return classes.get(status, "busy" if status.endswith("IN_PROGRESS") else "bad")


def _without_credentials(text: str) -> str:
    """Remove the parts of a URL that can be credentials: user and password, and the query of a presigned URL."""
    return re.sub(r"\?\S+", "?…", re.sub(r"(?<=://)[^/\s]*@", "", text))


def _duration(seconds: float) -> str:
    seconds = max(seconds, 0)
    if seconds < 59.5:
        return f"{seconds:.2g} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def _to_number(text: str) -> int | float | str:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text
