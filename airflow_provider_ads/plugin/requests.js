// -- Requests to Airflow's public API, with the viewer's own session --------------------------------------------------

// Relative to the page, so that it also works under a base path.
const API = "../api/v2/";

// Airflow's default maximum number of items on a page.
const PAGE_SIZE = 100;

// XCom values that were read, by entry and timestamp: a value that is pushed again has a new timestamp.
const valuesRead = new Map();

class RequestError extends Error {
  constructor(status, subject) {
    super(`${status} ${subject}`);
    this.status = status;
    this.subject = subject;
  }
}

// Fill a path, such as path`dags/${id}`, with encoded values.
function path(texts, ...values) {
  return texts.reduce((start, text, index) => start + encodeURIComponent(values[index - 1]) + text);
}

async function get(subject, resource, parameters = {}) {
  let answer;
  try {
    answer = await fetch(`${API}${resource}?${new URLSearchParams(parameters)}`, {
      headers: { accept: "application/json" },
      // A redirect leads to a login page.
      redirect: "manual",
    });
    if (answer.ok) return await answer.json();
  } catch {
    // There was no answer, its connection was closed, or it is the page of a proxy.
    throw new RequestError(0, subject);
  }
  throw new RequestError(answer.type === "opaqueredirect" ? 401 : answer.status, subject);
}

// Read all pages of a list: the first one, then the others at the same time.
async function getAll(subject, resource, name) {
  const first = await get(subject, resource, { limit: PAGE_SIZE });
  const size = first[name].length;
  const offsets = [];
  for (let offset = size; size && offset < first.total_entries; offset += size) offsets.push(offset);
  const pages = offsets.map((offset) => get(subject, resource, { limit: size, offset }));
  return [first, ...(await Promise.all(pages))].flatMap((page) => page[name]);
}

function getDagRuns(dagId, limit) {
  return get("Dag", path`dags/${dagId}/dagRuns`, { limit, order_by: "-run_after" });
}

// Read a run, its task instances, and its XComs without their values, which the API returns only one by one.
async function getRun(dagId, runId, knownRun) {
  const resource = path`dags/${dagId}/dagRuns/${runId}`;
  const answers = await Promise.allSettled([
    knownRun ?? get("Dag run", resource),
    getAll("task instances", `${resource}/taskInstances`, "task_instances"),
    getAll("XComs", `${resource}/taskInstances/~/xcomEntries`, "xcom_entries"),
  ]);
  // Without access to the Dag, all of them are refused. The first error is the most informative one.
  const refused = answers.find((answer) => answer.status === "rejected");
  if (refused) throw refused.reason;
  const [run, taskInstances, entries] = answers.map((answer) => answer.value);
  return { run, taskInstances, entries };
}

async function getValue(entry) {
  const { dag_id: dagId, run_id: runId, task_id: taskId, map_index: mapIndex, key } = entry;
  const resource = path`dags/${dagId}/dagRuns/${runId}/taskInstances/${taskId}/xcomEntries/${key}`;
  const id = `${resource} ${mapIndex}`;
  if (valuesRead.get(id)?.timestamp !== entry.timestamp) {
    const answer = await get("XComs", resource, { map_index: mapIndex }).catch((error) => {
      // The task instance was cleared, or it pushes the value again, after the list was read.
      if (error.status === 404) return { value: null };
      throw error;
    });
    valuesRead.set(id, { timestamp: entry.timestamp, value: parse(answer.value) });
  }
  return valuesRead.get(id).value;
}

// The API returns values as Airflow's database contains them: as JSON text, depending on the version and the backend.
function parse(value) {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
