// Four charts over time, drawn by uPlot.

const CHARTS = [
  ["requests", "Requests and errors", (value) => numbers.format(value)],
  ["latency", "Latency of requests", milliseconds],
  ["cost", "Cost of LLM calls by model", dollars],
  ["ttft", "Time to first token", milliseconds],
];
const PALETTE = ["--accent", "--bad", "--call", "--task", "--faint"];

function lines(name, points) {
  const of = (key) => points.map((point) => point[key]);
  if (name === "requests") return [["requests", of("requests")], ["errors", of("errors")]];
  if (name === "latency") return [["p50", of("p50_ms")], ["p95", of("p95_ms")]];
  if (name === "ttft") return [["p50", of("ttft_p50_ms")], ["p95", of("ttft_p95_ms")]];
  const models = [...new Set(points.flatMap((point) => Object.keys(point.cost_usd)))].sort();
  return models.map((model) => [model || "no model", points.map((point) =>
    Object.hasOwn(point.cost_usd, model) ? point.cost_usd[model] : null)]);
}

// A tick of the time axis, in UTC.
function clock(time, step) {
  const written = new Date(time * 1000).toISOString();
  if (step >= 86400) return written.slice(5, 10);
  return written.slice(11, step < 60 ? 19 : 16);
}

class Chart {
  constructor(name, title, format) {
    this.name = name;
    this.format = format;
    this.box = element("div", { class: "plot" });
    this.keys = element("span");
    this.node = element("figure", { "data-chart": name, "aria-label": title, role: "figure" },
      element("figcaption", {}, title, this.keys), this.box);
    new ResizeObserver(() => this.fit()).observe(this.box);
  }

  fit() {
    if (this.plot && this.box.clientWidth) this.plot.setSize({ width: this.box.clientWidth, height: 180 });
  }

  show(points) {
    this.points = points;
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const drawn = lines(this.name, points);
    this.keys.replaceChildren(...drawn.map(([label], at) => {
      const key = element("span", { class: "key" }, label);
      key.style.setProperty("--swatch", color(PALETTE[at % PALETTE.length]));
      return key;
    }));
    const axis = { stroke: color("--faint"), grid: { stroke: color("--line"), width: 1 } };
    if (this.plot) this.plot.destroy();
    this.plot = new uPlot({
      width: Math.max(this.box.clientWidth, 200),
      height: 180,
      tzDate: (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { show: false },
      axes: [
        { ...axis, space: 80, values: (_, times, axisNumber, space, step) => times.map((time) => clock(time, step)) },
        { ...axis, size: 84, values: (_, values) => values.map((value) => value === null ? "" : this.format(value)) },
      ],
      scales: { y: { range: (_, low, high) => [0, high || 1] } },
      series: [{}, ...drawn.map(([label], at) => ({
        label, stroke: color(PALETTE[at % PALETTE.length]), width: 2, points: { size: 4 },
      }))],
    }, [points.map((point) => Date.parse(point.start) / 1000), ...drawn.map(([, values]) => values)], this.box);
    const canvas = this.box.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${this.node.getAttribute("aria-label")}: ${this.summary(drawn)}`);
  }

  summary(drawn) {
    const said = drawn.flatMap(([label, values]) => {
      const known = values.filter((value) => value !== null);
      return known.length ? [`${label} up to ${this.format(Math.max(...known))}`] : [];
    });
    return said.join(", ") || "no data";
  }
}
