// -- The page --------------------------------------------------------------------------------------------------------

// Milliseconds between two loads while the run is in progress, and otherwise, because a run can be cleared.
const REFRESH = 3000;
const SLOW_REFRESH = 30000;

// Number of runs that the page of a Dag shows, and of entries that a list shows at first.
const RUNS = 14;
const FIRST = 10;

const main = document.getElementById("page");
const expanded = new Set();
let loading = 0;
let timer;
let shown = "";
let cameFromDag = false;

// Data becomes text nodes only.
function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return node;
}

function button(className, action, ...children) {
  const node = element("button", className, ...children);
  node.type = "button";
  node.addEventListener("click", action);
  return node;
}

function section(title, ...children) {
  return element("section", "", element("h2", "", title), ...children);
}

function table(className, columns, rows, total) {
  const cells = (tag, row) => row.map((cell, index) => element(tag, columns[index][1], cell));
  const head = element("tr", "", columns.map(([title, kind]) => element("th", kind, title)));
  return element(
    "div",
    "frame",
    element(
      "table",
      className,
      element("thead", "", head),
      element("tbody", "", rows.map((row) => element("tr", "", cells("td", row)))),
      total && element("tfoot", "", element("tr", "", cells("td", total))),
    ),
  );
}

// A list of which the first entries are shown until the viewer asks for all.
function firstOf(name, entries, show) {
  const all = expanded.has(name) || entries.length <= FIRST + 2;
  const more = () => {
    expanded.add(name);
    shown = "";
    load();
  };
  return [
    ...(all ? entries : entries.slice(0, FIRST)).map(show),
    all ? null : button("more", more, `Show all ${count(entries.length)}`),
  ];
}

// -- Words ---------------------------------------------------------------------------------------------------------

const count = (number) => (number ?? null) === null ? "–" : number.toLocaleString("en-US");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const list = (words) => new Intl.ListFormat("en", { type: "conjunction" }).format(words);

function percent(part, whole) {
  const value = (100 * part) / whole;
  if (part && value < 0.1) return "<0.1%";
  if (part < whole && value > 99.9) return ">99.9%";
  return `${value.toFixed(value === 100 || value === 0 ? 0 : 1)}%`;
}

// Airflow's UI remembers the viewer's time zone here.
function timeZone() {
  try {
    const zone = JSON.parse(localStorage.getItem("timezone"));
    return new Intl.DateTimeFormat("en", { timeZone: zone ?? "UTC" }).resolvedOptions().timeZone;
  } catch {
    return "UTC";
  }
}

function date(text) {
  const options = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return text ? new Date(text).toLocaleString("en-GB", { ...options, timeZone: timeZone() }) : "–";
}

function duration(start, end) {
  if (!start) return "–";
  const seconds = Math.max(0, (end ? Date.parse(end) : Date.now()) - Date.parse(start)) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

// The names of files, with their folders if several have the same name.
function fileNames(urls) {
  const last = (url, parts) => url.split("/").slice(-parts).join("/");
  const seen = urls.map((url) => last(url, 1));
  return new Map(urls.map((url, index) => [url, last(url, seen.indexOf(seen[index]) === seen.lastIndexOf(seen[index]) ? 1 : 2)]));
}

// -- Parts of the page -----------------------------------------------------------------------------------------------

function bar(className, terms) {
  const node = element("div", `bar ${className}`);
  for (const { kind, count: number } of terms.filter((term) => term.count > 0)) {
    const segment = element("span", kind);
    segment.style.flexGrow = number;
    node.append(segment);
  }
  return node;
}

function dot(kind, text) {
  return element("span", `status ${kind}`, element("i", ""), element("span", "", text));
}

function sumLine({ terms, total, isComplete, rows, reports }) {
  const known = rows.filter((row) => row.isImport && row.total === null).length;
  const parts = terms.flatMap(({ kind, label, count: number }, index) => [
    index ? element("span", "sign", " + ") : null,
    element("span", `term ${kind}`, `${count(number)} ${label}`),
  ]);
  if (isComplete && terms.length) return [element("span", "term", plural(total, "row")), element("span", "sign", " = "), parts];
  if (!total && known) return element("span", "term running", `${plural(known, "import")} in progress`);
  if (known) return [parts, element("span", "sign", " + "), element("span", "term running", `the rows of ${plural(known, "import")} in progress`)];
  const prepared = reports.length > 0 && rows.length > 0;
  return element("span", "term", prepared ? `${plural(rows.length, "file")} prepared` : "No rows");
}

const STATE_KINDS = { success: "imported", failed: "failed", upstream_failed: "failed", skipped: "waiting" };

function stateOf({ subject: { state, end_date: end }, active }) {
  const words = (state ?? "no status").replaceAll("_", " ");
  const label = words[0].toUpperCase() + words.slice(1);
  if (state in STATE_KINDS) return dot(STATE_KINDS[state], `${label} · ${date(end)}`);
  const time = new Date().toLocaleTimeString("en-GB", { timeZone: timeZone() });
  return dot("running", active ? `${label} · updated ${time}` : label);
}

function headline(summary) {
  const applications = summary.applications;
  const terms = summary.terms.filter((term) => term.count > 0);
  return [
    element("header", "", element("h1", "", sumLine(summary)), stateOf(summary)),
    terms.length > 0 && bar("large", terms),
    terms.length > 0 &&
      element(
        "p",
        "legend",
        terms.map(({ kind, label, count: number }) =>
          element("span", kind, element("i", ""), `${label} `, element("b", "", percent(number, summary.total))),
        ),
        applications.imported + applications.failed > 0 &&
          element(
            "span",
            "aside",
            `Applications: ${count(applications.imported)} imported`,
            applications.failed > 0 && `, ${count(applications.failed)} failed`,
          ),
      ),
  ];
}

function notice(kind, ...children) {
  return element("p", `notice ${kind}`, ...children);
}

function bold(words) {
  return words.flatMap((word, index) => [index === 0 ? "" : index === words.length - 1 ? " and " : ", ", element("b", "", word)]);
}

function taskNames(taskInstances) {
  const numbers = new Map();
  for (const each of taskInstances) {
    const name = each.task_display_name ?? each.task_id;
    numbers.set(name, (numbers.get(name) ?? 0) + 1);
  }
  return [...numbers].map(([name, number]) => (number > 1 ? `${name} (${count(number)} task instances)` : name));
}

function notices(summary) {
  const unfinished = summary.rows.filter((row) => row.restKind === "running" && row.isImport).length;
  const failedRows = sum(summary.rows.map((row) => row.failed));
  const reports = summary.reports.map((each) => each.value);
  const unknown = [...new Set(reports.flatMap((report) => report.columns_unknown ?? []))];
  const blocked = taskNames(summary.blockedTasks);
  return [
    summary.failedTasks.length > 0 &&
      notice(
        "failed",
        "Failed: ",
        bold(taskNames(summary.failedTasks)),
        ". The log of the task says why and what to do.",
        blocked.length > 0 && [" Not run because of that: ", bold(blocked), "."],
      ),
    !summary.active &&
      unfinished > 0 &&
      notice("quarantined", `${plural(unfinished, "import")} had not ended when a task last checked. See the Imports page of the Migration Hub console, or let AdsImportTaskSensor wait.`),
    !summary.active &&
      failedRows > 0 &&
      summary.corrections.length === 0 &&
      notice("quarantined", "AdsFailedRecordsToS3Operator, after the imports, copies the failed rows and the reasons to S3. This run has no copy of them."),
    unknown.length > 0 &&
      notice("quarantined", unknown.length === 1 ? "Column " : "Columns ", bold(unknown), unknown.length === 1 ? " is ignored: it is not a column of the import template. " : " are ignored: they are not columns of the import template. ", "To import it, or to silence this, add it to column_mapping."),
    ...reports.flatMap((report) => report.warnings ?? []).map((warning) => notice("quarantined", warning)),
    summary.unreadable.length > 0 && unreadable(summary.unreadable),
  ];
}

function unreadable(entries) {
  const names = entries.map((entry) => `${entry.key} of ${nameOf(entry)}`);
  return notice(
    "quarantined",
    "Airflow stores XComs elsewhere, so its API answers with references that this tab cannot follow: ",
    bold([...names.slice(0, 3), ...(names.length > 3 ? [`${count(names.length - 3)} more`] : [])]),
    ". This happens with a custom XCom backend, for example if XComs exceed its threshold for object storage.",
  );
}

function importTable({ rows }) {
  if (!rows.length) return null;
  const names = fileNames(rows.map((row) => row.url));
  const number = (value, kind) => element("span", value ? kind : value === 0 ? "soft" : "", count(value));
  const total = (key) => (rows.every((row) => row[key] === null) ? null : sum(rows.map((row) => row[key])));
  const imports = rows.filter((row) => row.isImport).length;
  const columns = [["File", "name"], ["Rows", "number"], ["Imported", "number"], ["Failed", "number"], ["", "mini"], ["Status", ""], ["Duration", "number"]];
  const show = (row) => {
    const name = element("span", "", names.get(row.url));
    name.title = row.url;
    const status = dot(row.kind, row.label);
    if (row.status) status.title = row.status;
    const terms = [
      { kind: "imported", count: row.imported },
      { kind: "failed", count: row.failed },
      { kind: row.restKind, count: row.rest },
    ];
    return [
      name,
      count(row.total),
      count(row.imported),
      number(row.failed, "failed"),
      row.total > 0 && bar("small", terms),
      status,
      row.ended || row.kind === "running" ? duration(row.started, row.ended) : "–",
    ];
  };
  const foot = ["Total", count(total("total")), count(total("imported")), number(total("failed"), "failed"), "", "", ""];
  return section(
    imports ? plural(imports, "import") : plural(rows.length, "file"),
    table("imports", columns, rows.map(show), rows.length > 1 && foot),
  );
}

function copyButton(url) {
  const node = button("copy", async () => {
    node.textContent = (await copy(url)) ? "Copied" : "Select and copy";
    setTimeout(() => (node.textContent = "Copy"), 1500);
  }, "Copy");
  node.setAttribute("aria-label", `Copy ${url}`);
  return node;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers offer the clipboard only over HTTPS.
    const area = element("textarea", "hidden", text);
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

function urlLine(label, url) {
  return element("div", "url", element("span", "soft", label), element("code", "", url), copyButton(url));
}

function correctionList({ reports, corrections, rows }) {
  const quarantines = reports.map((each) => each.value).filter((report) => report.quarantine_url);
  if (!quarantines.length && !corrections.length) return null;
  const names = fileNames(rows.map((row) => row.url));
  const cards = [
    ...quarantines.map((report) => {
      const invalid = (report.columns ?? []).filter((column) => column.invalid > 0);
      const cells = invalid.map((column) => `${column.header || column.column} (${count(column.invalid)})`);
      return element(
        "div",
        "card quarantined",
        element(
          "div",
          "",
          element("b", "", `${plural(report.rows_quarantined, "row")} quarantined`),
          element("span", "soft", cells.length > 0 ? `before the import. Invalid cells: ${list(cells)}` : "before the import"),
        ),
        urlLine("Rows and reasons", report.quarantine_url),
      );
    }),
    ...firstOf("corrections", corrections, (each) =>
      element(
        "div",
        "card failed",
        element(
          "div",
          "",
          element("b", "", `${plural(each.failed_records, "row")} failed`),
          element("span", "soft", names.get(each.url) ?? each.url.split("/").pop()),
        ),
        urlLine("Rows", each.failed_entries_url),
        urlLine("Reasons", each.errors_url),
      ),
    ),
  ];
  return section("Rows to correct", ...cards);
}

function sources({ reports }) {
  if (!reports.length) return null;
  return section(
    reports.length === 1 ? "Source" : "Sources",
    ...firstOf("sources", reports, ({ value: report, ...entry }) => {
      const filtered = Object.entries(report.rows_filtered ?? {}).filter(([, number]) => number > 0);
      const notes = [
        report.rows_short > 0 && `${plural(report.rows_short, "row")} without the last cells`,
        report.duplicate_rows > 0 && `${plural(report.duplicate_rows, "row")} with the identity of an earlier one`,
        report.shared_addresses > 0 && `${plural(report.shared_addresses, "IP address")} in several rows`.replace("addresss", "addresses"),
        report.lines_skipped?.length > 0 && `${plural(report.lines_skipped.length, "line")} above the header ignored`,
      ].filter(Boolean);
      const facts = [
        ["Task", reports.length > 1 && nameOf(entry)],
        ["Format", report.source_format || report.file_classification],
        ["Columns", Object.keys(report.columns_mapped ?? {}).length > 0 && `${count(Object.keys(report.columns_mapped).length)} mapped`],
        ["Ignored by the mapping", report.columns_ignored?.length > 0 && list(report.columns_ignored)],
        ["Filtered", filtered.length > 0 && list(filtered.map(([header, number]) => `${plural(number, "row")} by ${header}`))],
        ["Notes", notes.length > 0 && notes.join("; ")],
      ].filter(([, value]) => value);
      return element("dl", "", facts.map(([name, value]) => element("div", "", element("dt", "soft", name), element("dd", "", value))));
    }),
  );
}

function quotaSection({ quotas, dryRuns }) {
  if (!quotas.length) return null;
  const limit = FACTS.recordsPerAccount;
  return section(
    "Import records of the account",
    ...firstOf("quotas", quotas, ({ value: { before, after }, ...entry }) => {
      const end = after ?? before;
      const growth = end - before;
      const over = end > limit;
      const scale = Math.max(limit, before, end);
      const terms = [
        { kind: "used", count: Math.min(before, end) },
        { kind: growth < 0 ? "freed" : over ? "failed" : "added", count: Math.abs(growth) },
        { kind: "free", count: scale - Math.max(before, end) },
      ];
      const change = after === null ? "the rows are not known" : growth > 0 ? `${count(growth)} added` : `${count(-growth)} ${dryRuns.includes(idOf(entry)) ? "to free" : "freed"}`;
      return element(
        "div",
        "quota",
        element("span", "soft", nameOf(entry)),
        bar("medium", terms),
        element("span", "number", element("b", "", `${count(before)} → ${count(end)}`), ` of ${count(limit)} (${percent(end, limit)})`),
        element("span", over ? "failed" : "soft", over ? "exceeds the quota" : change),
      );
    }),
  );
}

function deletionSection({ deletions }) {
  return deletions.map(({ dry_run: dryRun, import_tasks: tasks }) => {
    const deleted = tasks.filter((task) => isDeleted(task.status)).length;
    const total = plural(tasks.length, "import");
    const title = {
      true: tasks.length ? `Dry run: ${total} would be deleted` : "Dry run: no import would be deleted",
      false: !tasks.length ? "No import deleted" : deleted === tasks.length ? `${total} deleted` : `${count(deleted)} of ${total} deleted`,
      null: `${total} deleted, unless dry_run was set`,
    }[dryRun];
    const columns = [["Import", "name"], ["Records", "number"], ["Requested", ""], ["Status", ""]];
    const show = (task) => {
      const name = element("span", "", task.name ?? task.importTaskId);
      name.title = task.importTaskId;
      const status = dryRun ? dot("waiting", "kept") : dot(...deletionStatus(task.status));
      return [name, count(task.serverImportSuccess), date(task.importRequestTime), status];
    };
    return section(
      title,
      dryRun && notice("running", "Nothing was deleted, because dry_run is set."),
      dryRun === null
        ? element("p", "ids", tasks.map((task) => element("code", "", task.importTaskId)))
        : tasks.length > 0 && table("deletions", columns, tasks.map(show)),
    );
  });
}

// An import that the service no longer lists has no status.
const isDeleted = (status) => (status ?? "DELETE_COMPLETE") === "DELETE_COMPLETE";

function deletionStatus(status) {
  if (isDeleted(status)) return ["gone", "deleted"];
  if (status.includes("FAILED") && status.startsWith("DELETE")) return ["failed", statusLabel(status)];
  return ["running", status === "DELETE_IN_PROGRESS" ? "being deleted" : "deletion requested"];
}

function message(title, ...paragraphs) {
  return element("div", "message", element("h1", "", title), paragraphs.map((text) => element("p", "", text)));
}

const REPORTS = "The tab shows what tasks of airflow-provider-ads report as XComs: prepared files, imports with their counts, rows to correct, and deletions.";

function emptyPage(summary, only) {
  const subject = only ? "task" : "run";
  if (summary.active) return message(`No imports yet`, `No task of this ${subject === "task" ? "kind has" : "run has"} reported an import yet. The page updates by itself.`.replace("task of this kind has", "import was reported by this task"), REPORTS);
  return message(`No imports in this ${subject}`, REPORTS, `No XComs of this ${subject} are of that kind. Tasks with do_xcom_push=False report nothing.`);
}

// -- The three pages -------------------------------------------------------------------------------------------------

function backButton(dagId) {
  return cameFromDag && button("back", () => (location.hash = new URLSearchParams({ dag_id: dagId })), "← All runs");
}

async function runPage({ dagId, runId, taskId, mapIndex }) {
  const data = await getRun(dagId, runId);
  const only = taskId ? { task_id: taskId, map_index: mapIndex } : null;
  const values = await readValues(data, [...Object.keys(SHAPES), "return_value"], only);
  const summary = summarize(data.run, data.taskInstances, values, only);
  return {
    delay: summary.active ? REFRESH : SLOW_REFRESH,
    data: summary,
    show: () => [
      backButton(dagId),
      ...(isEmpty(summary)
        ? [emptyPage(summary, only)]
        : [
            headline(summary),
            notices(summary),
            importTable(summary),
            correctionList(summary),
            sources(summary),
            quotaSection(summary),
            deletionSection(summary),
          ]),
    ],
  };
}

async function dagPage({ dagId }) {
  const { dag_runs: dagRuns } = await getDagRuns(dagId, RUNS);
  const read = async (run) => {
    const data = await getRun(dagId, run.dag_run_id, run);
    return summarize(run, data.taskInstances, await readValues(data, ["report", "import_task"]));
  };
  const summaries = await Promise.all(dagRuns.map(read));
  return {
    delay: summaries.some((summary) => summary.active) ? REFRESH : SLOW_REFRESH,
    data: summaries,
    show: () => trend(dagId, summaries),
  };
}

function trend(dagId, summaries) {
  if (!summaries.length) return [message("No runs yet", "Trigger the Dag. This page then shows the rows of its last runs.")];
  if (summaries.every(isEmpty)) {
    return [message(`No imports in the last ${summaries.length === 1 ? "run" : plural(summaries.length, "run")}`, REPORTS)];
  }
  const open = (run) => () => {
    cameFromDag = true;
    location.hash = `#dag_id=${encodeURIComponent(dagId)}&run_id=${encodeURIComponent(run.dag_run_id)}`;
  };
  const tallest = Math.max(1, ...summaries.map((summary) => summary.total));
  const columns = [...summaries].reverse().map((summary) => {
    const stack = element("span", "stack");
    for (const { kind, count: number } of [...summary.terms].reverse().filter((term) => term.count > 0)) {
      const segment = element("span", kind);
      segment.style.flexGrow = number;
      stack.append(segment);
    }
    stack.style.height = `${(100 * summary.total) / tallest}%`;
    const node = button("column", open(summary.run), element("span", "plot", element("span", "number", summary.total ? count(summary.total) : "–"), stack), element("span", "soft", date(summary.run.run_after)));
    node.title = [summary.run.dag_run_id, ...summary.terms.map((term) => `${count(term.count)} ${term.label}`)].join("\n");
    return node;
  });
  const kinds = ["imported", "failed", "quarantined", "filtered"];
  const present = Object.keys(TERMS).filter((kind) => summaries.some(({ terms }) => terms.some((term) => term.kind === kind)));
  const cell = (summary, kind) => {
    const number = summary.terms.find((term) => term.kind === kind)?.count ?? (isEmpty(summary) ? null : 0);
    return element("span", number ? kind : "soft", count(number));
  };
  const others = present.some((kind) => !kinds.includes(kind));
  const rows = summaries.map((summary) => [
    button("link", open(summary.run), date(summary.run.run_after)),
    element("b", "", isEmpty(summary) ? "–" : count(summary.total)),
    ...kinds.map((kind) => cell(summary, kind)),
    ...(others ? [element("span", "soft", count(sum(summary.terms.filter((term) => !kinds.includes(term.kind)).map((term) => term.count))))] : []),
    count(summary.rows.filter((row) => row.isImport).length),
    dot(STATE_KINDS[summary.run.state] ?? "running", summary.run.state),
  ]);
  const titles = [["Run", ""], ["Rows", "number"], ...kinds.map((kind) => [kind[0].toUpperCase() + kind.slice(1), "number"]), ...(others ? [["Other", "number"]] : []), ["Imports", "number"], ["State", ""]];
  return [
    element("header", "", element("h1", "", `Rows of the last ${summaries.length === 1 ? "run" : plural(summaries.length, "run")}`), element("span", "soft", "Select a column to open its run")),
    element("div", "chart", columns),
    element("p", "legend", present.map((kind) => element("span", kind, element("i", ""), TERMS[kind]))),
    table("runs", titles, rows),
  ];
}

function errorPage({ status, subject }) {
  if (status === 401) {
    return message("Log in to see the imports", "Airflow answered 401: you are not logged in, or your session has expired.", "Reload Airflow's page and log in.");
  }
  if (status === 403) {
    return message(`You may not read the ${subject === "XComs" ? "XComs of this Dag" : subject === "Dag" ? "runs of this Dag" : subject}`, `Airflow answered 403 for the ${subject}. The tab reads what tasks report as XComs, with your own permissions.`, "Ask an administrator of Airflow for read access to the Dag, its runs, its task instances and its XComs.");
  }
  if (status === 404) return message(`Airflow does not have this ${subject}`, "Airflow answered 404. It was deleted, or the address is not complete.");
  return message("Airflow does not answer", status ? `Airflow answered ${status} for the ${subject}.` : `The request for the ${subject} failed.`, "The page tries again every few seconds.");
}

// -- Loading ---------------------------------------------------------------------------------------------------------

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Airflow 3.1 does not encode the ids, so a run id can contain any character, and a + is no blank.
function readAddress() {
  const pattern = /^#dag_id=([^&]*)(?:&run_id=(.*?))?(?:&task_id=([^&]*)&map_index=([^&]*))?$/;
  const [dagId, runId, taskId, mapIndex] = (pattern.exec(location.hash) ?? []).slice(1).map((text) => text && decode(text));
  // Airflow leaves the placeholder of a task that is not mapped as it is.
  return { dagId, runId, taskId, mapIndex: /^\d+$/.test(mapIndex ?? "") ? Number(mapIndex) : -1 };
}

async function load() {
  clearTimeout(timer);
  const current = ++loading;
  const address = readAddress();
  let delay = REFRESH;
  try {
    if (!address.dagId) throw new RequestError(404, "Dag");
    const page = await (address.runId ? runPage(address) : dagPage(address));
    if (current !== loading) return;
    delay = page.delay;
    render([location.hash, page.data], page.show);
  } catch (error) {
    if (current !== loading) return;
    if (!(error instanceof RequestError)) throw error;
    render([location.hash, error.status, error.subject], () => [errorPage(error)]);
  }
  timer = setTimeout(() => (document.hidden ? null : load()), delay);
}

function render(data, show) {
  const state = JSON.stringify(data);
  main.ariaBusy = "false";
  if (state === shown) {
    return;
  }
  shown = state;
  main.replaceChildren(...show().flat(Infinity).filter(Boolean));
}

// The page looks like that of Airflow around it, whose theme can change at any time.
const around = window.parent.document.documentElement;

function applyTheme() {
  const root = document.documentElement;
  const isEmbedded = around !== root;
  root.classList.toggle("embedded", isEmbedded);
  root.classList.toggle("dark", isEmbedded ? around.classList.contains("dark") : matchMedia("(prefers-color-scheme: dark)").matches);
  // With another color scheme, the frame would not be transparent.
  if (isEmbedded) root.style.colorScheme = getComputedStyle(around).colorScheme;
}

applyTheme();
if (around !== document.documentElement) new MutationObserver(applyTheme).observe(around, { attributeFilter: ["class", "style"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
window.addEventListener("hashchange", () => {
  main.ariaBusy = "true";
  scrollTo(0, 0);
  load();
});
document.addEventListener("visibilitychange", () => document.hidden || load());
load();
