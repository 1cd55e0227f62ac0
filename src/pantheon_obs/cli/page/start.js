// Read the data, and show a report, a story, or a report that keeps changing.

const data = JSON.parse(document.getElementById("data").textContent);
const main = document.getElementById("main");
const status = document.getElementById("status");

function door(traceId, label) {
  const known = traceId !== null && (data.live || Object.hasOwn(data.stories, traceId));
  if (!known) return element("span", {}, traceId === null ? label : `${label} ${traceId}`);
  return element("button", {
    type: "button", "data-open-story": traceId, "aria-label": `Open the story of ${traceId}, ${label}`,
    on: { click: () => enter(traceId) },
  }, label);
}

async function enter(traceId) {
  if (!data.live) return openStory(data.stories[traceId]);
  const answer = await fetch(`story/${encodeURIComponent(traceId)}.json?page`);
  if (answer.ok) openStory(await answer.json());
  else status.textContent = "This story is no longer remembered.";
}

function figures(report) {
  const all = report.totals;
  return totals(["requests", "errors", "websockets", "tasks", "llm_calls", "llm_errors", "input_tokens",
    "output_tokens", "cached_input_tokens", "cost_usd", "cost_in_failed_usd", "unpriced", "error_lines",
    "lines"].map((key) => {
    const before = report.before ? ` (before: ${shown(key, report.before.totals[key]) || "–"})` : "";
    return [key.replace(/_usd$/, "").replaceAll("_", " "), (shown(key, all[key]) || "–") + before];
  }));
}

class Report {
  constructor() {
    this.figures = element("div");
    this.charts = CHARTS.map((chart) => new Chart(...chart));
    this.tables = {
      requests: new Table("requests", "Requests", door),
      errors: new Table("errors", "Errors", door),
      llm: new Table("llm", "LLM calls", door),
    };
    main.append(this.figures, element("div", { class: "charts" }, ...this.charts.map((chart) => chart.node)));
    for (const table of Object.values(this.tables))
      main.append(element("h2", {}, table.caption.textContent), table.node);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const chart of this.charts) chart.show(chart.points);
    });
  }

  show(report) {
    const { first, last } = report.window;
    const { files, lines: read, foreign, torn } = report.read;
    status.textContent = `${first === null ? "no lines" : `${first} to ${last}`} · ${numbers.format(read)} lines ` +
      `of ${numbers.format(files)} files, ${numbers.format(foreign)} foreign, ${numbers.format(torn)} torn`;
    this.figures.replaceChildren(figures(report));
    for (const chart of this.charts) chart.show(report.series.points);
    for (const [name, table] of Object.entries(this.tables)) table.show(report[name]);
  }
}

// Ask again after a change, one question at a time.
function follow(report) {
  let asking = false;
  let changed = false;
  const ask = async () => {
    changed = true;
    if (asking) return;
    asking = true;
    while (changed) {
      changed = false;
      const begun = performance.now();
      const answer = await fetch("report.json").catch(() => null);
      if (answer && answer.ok) report.show(await answer.json());
      await new Promise((resolve) => { setTimeout(resolve, Math.max(1000, 2 * (performance.now() - begun))); });
    }
    asking = false;
  };
  new EventSource(`events?${data.version}`).addEventListener("message", ask);
}

if (data.report) {
  const report = new Report();
  report.show(data.report);
  if (data.live) follow(report);
} else {
  main.append(element("section", { "data-story": data.story.trace_id, "aria-label": "Story" },
    ...storyContent(data.story, "h2")));
}
