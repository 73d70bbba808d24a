// -- The page --------------------------------------------------------------------------------------------------------

// Milliseconds between two loads: while the run is in progress, and after its end, because it can be cleared.
const REFRESH = 3000;
const SLOW_REFRESH = 30000;

// Number of runs that the page of a Dag shows.
const RUNS = 14;

const main = document.getElementById("page");
let loading = 0;
let timer;
let shown = "";
let cameFromDag = false;

// Summaries of runs that have ended, by run and its description in Airflow's API, which changes if a run is cleared.
const endedRuns = new Map();

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
    const key = JSON.stringify(run);
    if (endedRuns.has(key)) return endedRuns.get(key);
    const data = await getRun(dagId, run.dag_run_id, run);
    const summary = summarize(run, data.taskInstances, await readValues(data, ["report", "import_task"]));
    if (!isActive(run)) endedRuns.set(key, summary);
    return summary;
  };
  const summaries = await Promise.all(dagRuns.map(read));
  return {
    delay: summaries.some((summary) => summary.active) ? REFRESH : SLOW_REFRESH,
    data: summaries,
    show: () => trend(dagId, summaries),
  };
}

function trend(dagId, summaries) {
  if (!summaries.length)
    return [message("No runs yet", "Trigger the Dag. This page then shows the rows of its last runs.")];
  if (summaries.every(isEmpty)) {
    return [
      message(`No imports in the last ${summaries.length === 1 ? "run" : plural(summaries.length, "run")}`, REPORTS),
    ];
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
    const node = button(
      "column",
      open(summary.run),
      element("span", "plot", element("span", "number", summary.total ? count(summary.total) : "–"), stack),
      element("span", "soft", date(summary.run.run_after)),
    );
    node.title = [summary.run.dag_run_id, ...summary.terms.map((term) => `${count(term.count)} ${term.label}`)].join(
      "\n",
    );
    return node;
  });
  const kinds = ["imported", "failed", "quarantined", "filtered"];
  const present = Object.keys(TERMS).filter((kind) =>
    summaries.some(({ terms }) => terms.some((term) => term.kind === kind)),
  );
  const cell = (summary, kind) => {
    const number = summary.terms.find((term) => term.kind === kind)?.count ?? (isEmpty(summary) ? null : 0);
    return element("span", number ? kind : "soft", count(number));
  };
  const others = present.some((kind) => !kinds.includes(kind));
  const rows = summaries.map((summary) => [
    button("link", open(summary.run), date(summary.run.run_after)),
    element("b", "", isEmpty(summary) ? "–" : count(summary.total)),
    ...kinds.map((kind) => cell(summary, kind)),
    ...(others
      ? [
          element(
            "span",
            "soft",
            count(sum(summary.terms.filter((term) => !kinds.includes(term.kind)).map((term) => term.count))),
          ),
        ]
      : []),
    count(summary.rows.filter((row) => row.isImport).length),
    dot(STATE_KINDS[summary.run.state] ?? "running", summary.run.state),
  ]);
  const titles = [
    ["Run", ""],
    ["Rows", "number"],
    ...kinds.map((kind) => [kind[0].toUpperCase() + kind.slice(1), "number"]),
    ...(others ? [["Other", "number"]] : []),
    ["Imports", "number"],
    ["State", ""],
  ];
  return [
    element(
      "header",
      "",
      element("h1", "", `Rows of the last ${summaries.length === 1 ? "run" : plural(summaries.length, "run")}`),
      element("span", "soft", "Select a column to open its run"),
    ),
    element("div", "chart", columns),
    element(
      "p",
      "legend",
      present.map((kind) => element("span", kind, element("i", ""), TERMS[kind])),
    ),
    table("runs", titles, rows),
  ];
}

function errorPage({ status, subject }) {
  if (status === 401) {
    return message(
      "Log in to see the imports",
      "Airflow answered 401: you are not logged in, or your session has expired.",
      "Reload Airflow's page and log in.",
    );
  }
  if (status === 403) {
    const name = { Dag: "runs of this Dag", XComs: "XComs of this Dag" }[subject] ?? subject;
    return message(
      `You may not read the ${name}`,
      `Airflow answered 403 for the ${subject}. The tab reads the XComs of tasks with your own permissions.`,
      "Ask an administrator of Airflow for read access to the Dag, its runs, its task instances and its XComs.",
    );
  }
  if (status === 404)
    return message(
      `Airflow does not have this ${subject}`,
      "Airflow answered 404. It was deleted, or the address is not complete.",
    );
  return message(
    "Airflow does not answer",
    status ? `Airflow answered ${status} for the ${subject}.` : `The request for the ${subject} failed.`,
    "The page tries again every few seconds.",
  );
}

// -- Loading ---------------------------------------------------------------------------------------------------------

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Airflow 3.1 does not encode the ids, so a run id can contain any character, and a + is not a blank.
function readAddress() {
  const pattern = /^#dag_id=([^&]*)(?:&run_id=(.*?))?(?:&task_id=([^&]*)&map_index=([^&]*))?$/;
  const [dagId, runId, taskId, mapIndex] = (pattern.exec(location.hash) ?? [])
    .slice(1)
    .map((text) => text && decode(text));
  // Airflow does not replace the placeholder if the task is not mapped.
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
    // Other errors are faults of this page.
    const isRefused = error instanceof RequestError;
    const page = isRefused ? errorPage(error) : message("The XComs cannot be shown", String(error));
    render([location.hash, String(error)], () => [page]);
  }
  timer = setTimeout(() => (document.hidden ? null : load()), delay);
}

function render(data, show) {
  const state = JSON.stringify(data);
  main.ariaBusy = "false";
  if (state === shown) {
    for (const update of updates) update();
    return;
  }
  shown = state;
  updates.length = 0;
  main.replaceChildren(...show().flat(Infinity).filter(Boolean));
}

// The page follows the theme of the Airflow page around it, which can change at any time.
const around = window.parent.document.documentElement;

function applyTheme() {
  const root = document.documentElement;
  const isEmbedded = around !== root;
  root.classList.toggle("embedded", isEmbedded);
  root.classList.toggle(
    "dark",
    isEmbedded ? around.classList.contains("dark") : matchMedia("(prefers-color-scheme: dark)").matches,
  );
  // With another color scheme, the frame would not be transparent.
  if (isEmbedded) root.style.colorScheme = getComputedStyle(around).colorScheme;
}

applyTheme();
if (around !== document.documentElement)
  new MutationObserver(applyTheme).observe(around, { attributeFilter: ["class", "style"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
window.addEventListener("hashchange", () => {
  main.ariaBusy = "true";
  scrollTo(0, 0);
  load();
});
document.addEventListener("visibilitychange", () => document.hidden || load());
load();
