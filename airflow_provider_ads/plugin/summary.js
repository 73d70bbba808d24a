// -- The summary of a run's imports, from its XComs -------------------------------------------------------------------

const isRunning = (status) => FACTS.running.includes(status);
const isDone = (status) => FACTS.done.includes(status);
const isFailed = (status) => FACTS.failed.includes(status);
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const asList = (value) => (Array.isArray(value) ? value : [value]);
const sum = (numbers) => numbers.reduce((total, number) => total + (number ?? 0), 0);
const isActive = (run) => run.state === "running" || run.state === "queued";
const idOf = ({ task_id: taskId, map_index: mapIndex }) => `${taskId} ${mapIndex}`;
const nameOf = ({ task_display_name: name, task_id: taskId, map_index: mapIndex }) =>
  (name ?? taskId) + (mapIndex < 0 ? "" : ` [${mapIndex}]`);

const IMPORT_TASK_ID = /import-task-[0-9a-f]{32}/;

// Checks of values. A field can be missing or null, as it is in XComs of earlier versions.
const isText = (value) => typeof value === "string";
const isNumber = (value) => typeof value === "number";
const isBoolean = (value) => typeof value === "boolean";
const isListOf = (isOne) => (value) => Array.isArray(value) && value.every(isOne);
const isMapOf = (isOne) => (value) => isObject(value) && Object.values(value).every(isOne);
const hasFields = (fields) => (value) =>
  isObject(value) &&
  Object.entries(fields).every(([name, isOne]) => (value[name] ?? null) === null || isOne(value[name]));

const hasFieldsOfTask = hasFields({
  name: isText,
  importUrl: isText,
  status: isText,
  importRequestTime: isText,
  importCompletionTime: isText,
  serverImportSuccess: isNumber,
  serverImportFailure: isNumber,
  applicationImportSuccess: isNumber,
  applicationImportFailure: isNumber,
});
const isTask = (value) => hasFieldsOfTask(value) && isText(value.importTaskId) && value.importTaskId !== "";
const hasFieldsOfPart = hasFields({ rows: isNumber });
const hasFieldsOfReport = hasFields({
  rows_quarantined: isNumber,
  rows_filtered: isMapOf(isNumber),
  rows_short: isNumber,
  duplicate_rows: isNumber,
  shared_addresses: isNumber,
  quarantine_url: isText,
  source_format: isText,
  file_classification: isText,
  columns: isListOf(hasFields({ header: isText, column: isText, invalid: isNumber })),
  columns_mapped: isObject,
  columns_ignored: isListOf(isText),
  columns_unknown: isListOf(isText),
  lines_skipped: Array.isArray,
  warnings: isListOf(isText),
});
const hasFieldsOfQuota = hasFields({ before: isNumber, after: isNumber });
const hasFieldsOfDeletion = hasFields({ dry_run: isBoolean });
const hasFieldsOfFailedRecords = hasFields({
  failed_records: isNumber,
  failed_entries_url: isText,
  errors_url: isText,
});

// The keys of XComs, and the shapes of their values. Tasks are recognized by their XComs, because users write
// subclasses.
const SHAPES = {
  report: (value) =>
    hasFieldsOfReport(value) && isListOf((part) => hasFieldsOfPart(part) && isText(part.url))(value.parts),
  import_task: (value) => asList(value).every(isTask),
  record_quota: (value) => hasFieldsOfQuota(value) && "before" in value && "after" in value,
  deletion: (value) => hasFieldsOfDeletion(value) && isListOf(isTask)(value.import_tasks),
};
const isFailedRecords = (value) =>
  asList(value).every((each) => hasFieldsOfFailedRecords(each) && "failed_entries_url" in each);
const isIds = (value) =>
  asList(value).length > 0 && asList(value).every((id) => isText(id) && IMPORT_TASK_ID.test(id));

// Task instances that keep the values of an earlier attempt: they wait for a retry, or were marked by hand meanwhile.
const KEEP_VALUES = ["up_for_retry", "success", "failed"];

// True if the entry was pushed by an attempt before the current one. Airflow deletes a task's XComs only after an attempt
// has started and its worker has read the Dag. A cleared task instance gets a new id at once, which begins with the time
// in milliseconds.
function isOutdated(entry, taskInstance) {
  if (!taskInstance) return true;
  if (KEEP_VALUES.includes(taskInstance.state)) return false;
  return Date.parse(entry.timestamp) < parseInt(taskInstance.id.replaceAll("-", "").slice(0, 12), 16);
}

// True for what completes the page of a task: the rows of its files, and the end of imports that it only started.
const isAboutOthers = ({ key, map_index: index }) => key === "report" || (key === "import_task" && index < 0);

// Read the values that the page of a run or a task needs, and return them with their entries, the oldest first.
async function readValues({ taskInstances, entries }, keys, only = null) {
  const byId = new Map(taskInstances.map((taskInstance) => [idOf(taskInstance), taskInstance]));
  const current = entries
    .filter((entry) => !isOutdated(entry, byId.get(idOf(entry))))
    .filter((entry) => !only || idOf(entry) === idOf(only) || isAboutOthers(entry))
    .map((entry) => ({ ...entry, ...about(byId.get(idOf(entry))) }));
  const withKey = (...names) => new Set(current.filter(({ key }) => names.includes(key)).map(idOf));
  const known = withKey(...Object.keys(SHAPES));
  const ours = withKey("import_task", "record_quota", "migration_hub_link");
  const needed = current.filter((entry) =>
    entry.key === "return_value" && keys.includes("return_value")
      ? !known.has(idOf(entry)) && canBeResultOfOurs(entry)
      : entry.key in SHAPES && keys.includes(entry.key),
  );
  const isOfMany = ({ key, map_index: index }) => !only && index >= 0 && ["import_task", "return_value"].includes(key);
  const read = await readAll(needed.filter((entry) => !isOfMany(entry)));
  const others = needed.filter(isOfMany);
  const values = [...read, ...(await readAll(others.filter((entry) => !isCovered(entry, others, read))))];
  return values
    .map((value) => ({ ...value, isOurs: ours.has(idOf(value)) }))
    .sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1));
}

function readAll(entries) {
  return Promise.all(entries.map(async (entry) => ({ ...entry, value: await getValue(entry) })));
}

// Airflow 3.1 and 3.2 list task instances without their rendered fields. Airflow keeps only those of the latest runs.
function about({ rendered_fields: fields, operator }) {
  return { operator: operator ?? "", fields: fields ?? {} };
}

// One task can wait for the imports that all instances of a mapped task started. Its later summaries then contain an
// import for each of them and for each prepared part, so the values of the mapped task add nothing.
function isCovered(entry, others, read) {
  const later = read.filter((each) => each.key === "import_task" && each.timestamp > entry.timestamp);
  const imports = later.filter(({ value }) => SHAPES.import_task(value)).flatMap(({ value }) => asList(value));
  const parts = read
    .filter(({ key, value }) => key === "report" && SHAPES.report(value))
    .flatMap(({ value }) => value.parts);
  const urls = new Set(imports.map((task) => task.importUrl));
  return (
    parts.length > 0 && parts.every((part) => urls.has(part.url)) && new Set(others.map(idOf)).size <= imports.length
  );
}

// Some tasks push only a result: those that fetch failed records, and all of version 0.1.0.
function canBeResultOfOurs({ fields, operator }) {
  const names = ["destination_url", "import_url", "superseded_by", "import_task_id"];
  if (Object.keys(fields).length > 0) return names.some((name) => name in fields);
  return !["PythonOperator", "_PythonDecoratedOperator", "BashOperator", "_BashDecoratedOperator"].includes(operator);
}

// Return everything that the page shows about a run, or about one of its task instances.
function summarize(run, taskInstances, values, only = null) {
  const isShown = (each) => !only || idOf(each) === idOf(only);
  const all = (key) => values.filter((each) => each.key === key && SHAPES[key](each.value));
  const valid = (key) => all(key).filter(isShown);
  const results = values.filter((each) => each.key === "return_value" && isShown(each));
  const reports = valid("report");
  const deletions = valid("deletion").map((each) => each.value);
  const own = new Set([...valid("import_task"), ...results].flatMap(({ value }) => idsIn(value)));
  const imports = findImports(all("import_task"), results, (id) => !only || own.has(id));
  const parts = new Map(
    all("report").flatMap((each) => each.value.parts.map((part) => [part.url, { ...part, shown: isShown(each) }])),
  );
  const rows = [...importRows(imports, parts), ...partRows(run, taskInstances, parts, only)];
  rows.sort((a, b) => a.url.localeCompare(b.url, "en", { numeric: true }));
  return {
    run,
    active: isActive(run),
    // A Dag run and a task instance have the same fields for it.
    subject: taskInstances.find((each) => only && isShown(each)) ?? run,
    rows,
    reports,
    ...addUp(
      rows,
      reports.map((each) => each.value),
      isActive(run),
    ),
    applications: {
      imported: sum(imports.map((each) => each.applicationImportSuccess)),
      failed: sum(imports.map((each) => each.applicationImportFailure)),
    },
    dryRuns: valid("deletion")
      .filter((each) => each.value.dry_run)
      .map(idOf),
    deletions: [...deletions, ...deletionsOfEarlierVersions(results)],
    quotas: valid("record_quota").filter((each) => each.value.before !== null),
    corrections: corrections(results, imports),
    failedTasks: taskInstances.filter((each) => each.state === "failed" && isShown(each)),
    blockedTasks: taskInstances.filter((each) => each.state === "upstream_failed" && isShown(each)),
    // Other tasks can push values of another kind with some of these keys.
    unreadable: values.filter(
      ({ key, value, isOurs, ...each }) =>
        key in SHAPES && isShown(each) && isOurs && value !== null && !SHAPES[key](value),
    ),
  };
}

const idsIn = (value) => asList(value).map((each) => each?.importTaskId ?? each);

// Return the latest state of each import. Later summaries replace earlier ones.
function findImports(entries, results, isShown) {
  const byId = new Map();
  for (const { value, ...entry } of results) {
    // Version 0.1.0 pushes only the ids of the imports that it starts.
    const urls = asList(entry.fields.import_url);
    const ids = isIds(value) && !isDeletion(entry) ? asList(value) : [];
    ids.forEach((id, index) => byId.set(id, { importTaskId: id, status: FACTS.running[0], importUrl: urls[index] }));
  }
  for (const task of entries.flatMap(({ value }) => asList(value))) byId.set(task.importTaskId, task);
  // A task that was cleared on its own imports its file again, while the task that waited still reports the old import.
  const newest = new Map();
  for (const task of [...byId.values()].filter(({ importTaskId: id }) => isShown(id))) {
    const key = task.importUrl ? `${task.name} ${task.importUrl}` : task.importTaskId;
    const other = newest.get(key);
    if (!other || (other.importRequestTime ?? "") <= (task.importRequestTime ?? "")) newest.set(key, task);
  }
  return [...newest.values()];
}

// Return a row of the table for each import, and remove its file from the parts.
function importRows(imports, parts) {
  return imports.map((task) => {
    const imported = task.serverImportSuccess;
    const failed = task.serverImportFailure;
    const counted = (imported ?? 0) + (failed ?? 0);
    const ended = !isRunning(task.status);
    const expected = parts.get(task.importUrl)?.rows ?? null;
    parts.delete(task.importUrl);
    const total = expected === null ? (ended ? counted : null) : Math.max(expected, counted);
    const rest = total === null ? 0 : total - counted;
    return {
      url: String(task.importUrl ?? task.importTaskId),
      total,
      // While an import runs, a count of 0 can mean that AWS has not counted yet.
      imported: ended || counted ? imported : null,
      failed: ended || counted ? failed : null,
      restKind: isRunning(task.status) ? "running" : isDone(task.status) ? "unaccounted" : "missing",
      rest,
      status: task.status,
      kind: statusKind(task.status, failed),
      label: statusLabel(task.status),
      started: task.importRequestTime,
      ended: task.importCompletionTime,
      isImport: true,
    };
  });
}

// Return a row for each prepared part without an import. The task that is to start one has the part's URL.
function partRows(run, taskInstances, parts, only) {
  const shown = [...parts.values()].filter((part) => part.shown);
  return shown.map((part) => {
    const starter = taskInstances.find(({ rendered_fields: fields }) => asList(fields?.import_url).includes(part.url));
    const hasFailed = ["failed", "upstream_failed"].includes(starter?.state);
    const hasEnded = hasFailed || ["success", "skipped"].includes(starter?.state) || !isActive(run);
    const kind = only ? "prepared" : hasEnded ? "missing" : "waiting";
    return {
      url: part.url,
      total: part.rows,
      imported: null,
      failed: null,
      restKind: kind,
      rest: part.rows ?? 0,
      kind: hasFailed && !only ? "failed" : kind,
      label: { prepared: "prepared", missing: "not imported", waiting: "waiting" }[kind],
    };
  });
}

function statusKind(status, failed) {
  if (isRunning(status)) return "running";
  if (isDone(status)) return failed ? "partial" : "imported";
  return isFailed(status) ? "failed" : "waiting";
}

// IMPORT_FAILED_SERVER_LIMIT_EXCEEDED reads as "failed: server limit exceeded".
function statusLabel(status) {
  const words = String(status ?? "unknown")
    .toLowerCase()
    .replaceAll("_", " ");
  return words.replace(/^import /, "").replace(/^failed (.)/, "failed: $1");
}

// The terms of the sum, in the order in which they are shown.
const TERMS = {
  prepared: "prepared",
  imported: "imported",
  failed: "failed",
  quarantined: "quarantined",
  filtered: "filtered",
  running: "in progress",
  waiting: "waiting",
  missing: "not imported",
  unaccounted: "unaccounted for",
};

// Return the terms of the sum, which always add up to the total. It is not complete while the rows of an import are not
// known.
function addUp(rows, reports, active) {
  const counts = {
    imported: sum(rows.map((row) => row.imported)),
    failed: sum(rows.map((row) => row.failed)),
    quarantined: sum(reports.map((report) => report.rows_quarantined)),
    filtered: sum(reports.flatMap((report) => Object.values(report.rows_filtered ?? {}))),
  };
  for (const row of rows) counts[row.restKind] = (counts[row.restKind] ?? 0) + row.rest;
  const hasEnded = !active && rows.some((row) => row.isImport);
  const terms = Object.entries(TERMS)
    .map(([kind, label]) => ({ kind, label, count: counts[kind] ?? 0 }))
    .filter(({ kind, count }) => count > 0 || (kind === "imported" && hasEnded));
  return { terms, total: sum(terms.map((term) => term.count)), isComplete: rows.every((row) => row.total !== null) };
}

// Return the files with failed rows, by the import that they belong to.
function corrections(results, imports) {
  return results
    .filter(({ value }) => isFailedRecords(value))
    .flatMap(({ value }) => asList(value))
    .filter((each) => each.failed_records > 0)
    .map((each) => {
      const id = IMPORT_TASK_ID.exec(each.failed_entries_url)?.[0];
      const task = imports.find(({ importTaskId }) => importTaskId === id);
      return { ...each, url: String(task?.importUrl ?? id ?? "") };
    });
}

// Version 0.1.0 pushes only the ids, which are those of deleted imports if the task has no file.
function isDeletion({ fields, operator }) {
  return Object.keys(fields).length > 0 ? !fields.import_url : /Delete|Prune/.test(operator);
}

// It does not push if they were deleted or only would have been.
function deletionsOfEarlierVersions(results) {
  return results
    .filter(({ value, ...entry }) => isIds(value) && isDeletion(entry))
    .map(({ value }) => ({ dry_run: null, import_tasks: asList(value).map((id) => ({ importTaskId: id })) }));
}

const isEmpty = (summary) =>
  ["rows", "reports", "deletions", "quotas", "corrections", "unreadable"].every((name) => summary[name].length === 0);
