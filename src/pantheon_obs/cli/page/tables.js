// Tables that sort by their columns and hide the rows that a filter does not match.

const COLUMNS = {
  requests: {
    kind: "kind", service: "service", method: "method", route: "route", requests: "requests",
    errors: "errors", error_share: "error share", p50_ms: "p50", p95_ms: "p95", p99_ms: "p99",
    total_ms: "total", times: "where the time went", slowest: "slowest",
  },
  errors: {
    count: "count", service: "service", type: "type", route: "route", frame: "frame",
    first: "first", last: "last", new: "new", example: "example",
  },
  llm: {
    model: "model", provider: "provider", by: "by", calls: "calls", errors: "errors",
    input_tokens: "tokens in", output_tokens: "tokens out", cached_input_tokens: "cached",
    cost_usd: "cost", cost_in_failed_usd: "cost in failed", unpriced: "unpriced",
    usage_missing: "no usage", cut: "cut answers", p50_ms: "p50", p95_ms: "p95",
    ttft_p50_ms: "first token p50", ttft_p95_ms: "first token p95",
  },
  lines: {
    timestamp: "time", service: "service", level: "level", event: "event", logger: "logger",
    line: "fields", source: "source",
  },
};

function focusDoor(within, traceId) {
  const door = [...within.querySelectorAll("[data-open-story]")].find((node) =>
    node.dataset.openStory === traceId);
  if (door) door.focus();
}

// The value by which a cell is sorted; null comes last.
function worth(key, value) {
  if (value === null || value === undefined || value === "") return null;
  if (key === "slowest") return value.latency_ms;
  if (key === "times") return spent(value) || null;
  if (key === "frame") return place(value);
  if (key === "example") return value.message;
  return typeof value === "object" ? JSON.stringify(value) : value;
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), "en", { numeric: true });
}

function cell(key, value, door) {
  const number = typeof value === "number";
  const made = element("td", { "data-key": key, "data-value": number ? value : null });
  if (key === "slowest" && value) made.append(door(value.trace_id, milliseconds(value.latency_ms)));
  else if (key === "example") {
    made.append(door(value.trace_id, value.timestamp));
    if (value.message) made.append(element("div", {}, value.message));
  } else if (key === "times") made.append(cut(spent(value)));
  else if (key === "frame") made.append(cut(place(value)));
  else if (key === "line") {
    made.className = "code";
    made.append(fields(value));
  } else made.append(cut(shown(key, value)));
  if (made.textContent.length > 40) made.classList.add("long");
  return made;
}

// The fields of a line that have no column of their own; a traceback keeps its lines.
function fields(line) {
  const made = document.createDocumentFragment();
  for (const [key, value] of Object.entries(line)) {
    if (key in COLUMNS.lines) continue;
    if (key === "exception" && typeof value === "string") made.append(element("pre", {}, value));
    else made.append(element("div", {}, `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`));
  }
  return made;
}

class Table {
  constructor(name, caption, door) {
    this.name = name;
    this.door = door;
    this.sorted = null;
    this.direction = "none";
    this.body = element("tbody");
    this.caption = element("caption", {}, caption);
    const id = `filter-${name}-${Table.made = (Table.made || 0) + 1}`;
    this.input = element("input", {
      "data-filter": name, id, type: "search", autocomplete: "off", on: { input: () => this.filter() },
    });
    this.heads = Object.entries(COLUMNS[name]).map(([key, label]) =>
      element("th", { scope: "col", "data-key": key, "aria-sort": "none" },
        element("button", { type: "button", on: { click: () => this.sort(key) } }, label)));
    this.node = element("section", {},
      element("div", { class: "tools" }, element("label", { for: id }, `Filter ${caption.toLowerCase()}`), this.input),
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
        element("table", { "data-table": name }, this.caption,
          element("thead", {}, element("tr", {}, ...this.heads)), this.body)));
  }

  show(rows) {
    const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
    this.rows = rows.map((row) => ({
      row,
      node: element("tr", {}, ...Object.keys(COLUMNS[this.name]).map((key) =>
        cell(key, row[key], this.door))),
    }));
    this.order();
    this.filter();
    if (focused) focusDoor(this.body, focused.dataset.openStory);
  }

  sort(key) {
    const isNumber = this.rows.some(({ row }) => typeof worth(key, row[key]) === "number");
    const first = isNumber ? "descending" : "ascending";
    const turned = this.direction === "ascending" ? "descending" : "ascending";
    this.direction = this.sorted === key ? turned : first;
    this.sorted = key;
    for (const head of this.heads)
      head.setAttribute("aria-sort", head.dataset.key === key ? this.direction : "none");
    this.order();
  }

  order() {
    const key = this.sorted;
    const sign = this.direction === "descending" ? -1 : 1;
    const rows = [...this.rows];
    if (key !== null)
      rows.sort((one, other) => {
        const [a, b] = [worth(key, one.row[key]), worth(key, other.row[key])];
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * compare(a, b);
      });
    this.body.replaceChildren(...rows.map(({ node }) => node));
  }

  filter() {
    const typed = this.input.value.toLowerCase();
    for (const { node } of this.rows) node.hidden = !node.textContent.toLowerCase().includes(typed);
  }
}
