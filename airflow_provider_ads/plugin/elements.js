// -- Elements and text of the page ------------------------------------------------------------------------------------

// Data is added only as text nodes, so it cannot contain markup.
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

// Text that changes only with time is updated in place, so that viewers keep their selection and focus.
const updates = [];

function changingText(text) {
  const node = element("span", "", text());
  updates.push(() => (node.textContent = text()));
  return node;
}

function section(title, ...children) {
  return element("section", "", element("h2", "", title), ...children);
}

function table(className, columns, rows, total) {
  const cells = (tag, row) => row.map((cell, index) => element(tag, columns[index][1], cell));
  const head = element(
    "tr",
    "",
    columns.map(([title, kind]) => element("th", kind, title)),
  );
  return element(
    "div",
    "frame",
    element(
      "table",
      className,
      element("thead", "", head),
      element(
        "tbody",
        "",
        rows.map((row) => element("tr", "", cells("td", row))),
      ),
      total && element("tfoot", "", element("tr", "", cells("td", total))),
    ),
  );
}

const count = (number) => ((number ?? null) === null ? "–" : number.toLocaleString("en-US"));
const plural = (number, noun, ending = "s") => `${count(number)} ${noun}${number === 1 ? "" : ending}`;
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
  return new Map(
    urls.map((url, index) => [url, last(url, seen.indexOf(seen[index]) === seen.lastIndexOf(seen[index]) ? 1 : 2)]),
  );
}
