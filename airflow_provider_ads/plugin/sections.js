// -- Sections of the page ---------------------------------------------------------------------------------------------

// Number of entries that a list shows at first, and the lists that the viewer wants to see in full.
const FIRST = 10;
const expanded = new Set();

// A list that shows only its first entries until the viewer asks for all.
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
  if (isComplete && terms.length)
    return [element("span", "term", plural(total, "row")), element("span", "sign", " = "), parts];
  if (!total && known) return element("span", "term running", `${plural(known, "import")} in progress`);
  if (known)
    return [
      parts,
      element("span", "sign", " + "),
      element("span", "term running", `the rows of ${plural(known, "import")} in progress`),
    ];
  const prepared = reports.length > 0 && rows.length > 0;
  return element("span", "term", prepared ? `${plural(rows.length, "file")} prepared` : "No rows");
}

const STATE_KINDS = { success: "imported", failed: "failed", upstream_failed: "failed", skipped: "waiting" };

function stateOf({ subject: { state, end_date: end }, active }) {
  const words = (state ?? "no status").replaceAll("_", " ");
  const label = words[0].toUpperCase() + words.slice(1);
  if (state in STATE_KINDS) return dot(STATE_KINDS[state], `${label} · ${date(end)}`);
  const time = () => new Date().toLocaleTimeString("en-GB", { timeZone: timeZone() });
  return dot("running", active ? changingText(() => `${label} · updated ${time()}`) : label);
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
  return words.flatMap((word, index) => [
    index === 0 ? "" : index === words.length - 1 ? " and " : ", ",
    element("b", "", word),
  ]);
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
      notice(
        "quarantined",
        `${plural(unfinished, "import")} had not ended when a task last checked. See the Imports page of the `,
        "Migration Hub console. To see the end here, let AdsImportTaskSensor wait for it.",
      ),
    !summary.active &&
      failedRows > 0 &&
      summary.corrections.length === 0 &&
      notice(
        "quarantined",
        "This run has no copy of the failed rows. To copy them and the reasons to S3, add ",
        "AdsFailedRecordsToS3Operator after the imports.",
      ),
    unknown.length > 0 &&
      notice(
        "quarantined",
        unknown.length === 1 ? "Column " : "Columns ",
        bold(unknown),
        unknown.length === 1
          ? " is ignored: it is not a column of the import template. "
          : " are ignored: they are not columns of the import template. ",
        "To import it, or to silence this, add it to column_mapping.",
      ),
    ...reports.flatMap((report) => report.warnings ?? []).map((warning) => notice("quarantined", warning)),
    summary.unreadable.length > 0 && unreadable(summary.unreadable),
  ];
}

function unreadable(entries) {
  const names = entries.map((entry) => `${entry.key} of ${nameOf(entry)}`);
  return notice(
    "quarantined",
    "This tab cannot read ",
    bold([...names.slice(0, 3), ...(names.length > 3 ? [`${count(names.length - 3)} more`] : [])]),
    ". If a custom XCom backend stores values elsewhere, for example above its threshold for object storage, ",
    "Airflow's API answers with references, which the tab cannot follow.",
  );
}

function importTable({ rows }) {
  if (!rows.length) return null;
  const names = fileNames(rows.map((row) => row.url));
  const number = (value, kind) => element("span", value ? kind : value === 0 ? "soft" : "", count(value));
  const total = (key) => (rows.every((row) => row[key] === null) ? null : sum(rows.map((row) => row[key])));
  const imports = rows.filter((row) => row.isImport).length;
  const columns = [
    ["File", "name"],
    ["Rows", "number"],
    ["Imported", "number"],
    ["Failed", "number"],
    ["", "mini"],
    ["Status", ""],
    ["Duration", "number"],
  ];
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
      row.ended || row.kind === "running" ? changingText(() => duration(row.started, row.ended)) : "–",
    ];
  };
  const foot = [
    "Total",
    count(total("total")),
    count(total("imported")),
    number(total("failed"), "failed"),
    "",
    "",
    "",
  ];
  return section(
    imports ? plural(imports, "import") : plural(rows.length, "file"),
    table("imports", columns, rows.map(show), rows.length > 1 && foot),
  );
}

function copyButton(url) {
  const node = button(
    "copy",
    async () => {
      node.textContent = (await copy(url)) ? "Copied" : "Select and copy";
      setTimeout(() => (node.textContent = "Copy"), 1500);
    },
    "Copy",
  );
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
          element(
            "span",
            "soft",
            cells.length > 0 ? `before the import. Invalid cells: ${list(cells)}` : "before the import",
          ),
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
        report.shared_addresses > 0 && `${plural(report.shared_addresses, "IP address", "es")} in several rows`,
        report.lines_skipped?.length > 0 && `${plural(report.lines_skipped.length, "line")} above the header ignored`,
      ].filter(Boolean);
      const facts = [
        ["Task", reports.length > 1 && nameOf(entry)],
        ["Format", report.source_format || report.file_classification],
        [
          "Columns",
          Object.keys(report.columns_mapped ?? {}).length > 0 &&
            `${count(Object.keys(report.columns_mapped).length)} mapped`,
        ],
        ["Ignored by the mapping", report.columns_ignored?.length > 0 && list(report.columns_ignored)],
        [
          "Filtered",
          filtered.length > 0 && list(filtered.map(([header, number]) => `${plural(number, "row")} by ${header}`)),
        ],
        ["Notes", notes.length > 0 && notes.join("; ")],
      ].filter(([, value]) => value);
      return element(
        "dl",
        "",
        facts.map(([name, value]) => element("div", "", element("dt", "soft", name), element("dd", "", value))),
      );
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
      const change =
        after === null
          ? "the rows are not known"
          : growth > 0
            ? `${count(growth)} added`
            : `${count(Math.abs(growth))} ${dryRuns.includes(idOf(entry)) ? "to free" : "freed"}`;
      return element(
        "div",
        "quota",
        element("span", "soft", nameOf(entry)),
        bar("medium", terms),
        element(
          "span",
          "number",
          element("b", "", `${count(before)} → ${count(end)}`),
          ` of ${count(limit)} (${percent(end, limit)})`,
        ),
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
      false: !tasks.length
        ? "No import deleted"
        : deleted === tasks.length
          ? `${total} deleted`
          : `${count(deleted)} of ${total} deleted`,
      null: `${total} deleted, unless dry_run was set`,
    }[dryRun];
    const columns = [
      ["Import", "name"],
      ["Records", "number"],
      ["Requested", ""],
      ["Status", ""],
    ];
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
        ? element(
            "p",
            "ids",
            tasks.map((task) => element("code", "", task.importTaskId)),
          )
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
  return element(
    "div",
    "message",
    element("h1", "", title),
    paragraphs.map((text) => element("p", "", text)),
  );
}

const REPORTS =
  "The tab shows what tasks of airflow-provider-ads report as XComs: prepared files, imports with their counts, rows " +
  "to correct, and deletions.";

function emptyPage({ active }, only) {
  const subject = only ? "task" : "run";
  if (active) return message(`No imports in this ${subject} yet`, "The page updates itself.", REPORTS);
  return message(
    `No imports in this ${subject}`,
    REPORTS,
    `No XComs of this ${subject} are of that kind. Tasks with do_xcom_push=False report nothing.`,
  );
}
