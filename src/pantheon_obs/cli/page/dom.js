// Make elements. Everything from a log becomes a text node, never markup.

const LONGEST = 2100; // characters of a text; those that were cut before are a little shorter

function cut(text) {
  const left = text.length - LONGEST;
  if (left <= 0) return text;
  return `${text.slice(0, LONGEST)} … ${left.toLocaleString("en")} more characters`;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [type, act] of Object.entries(value)) made.addEventListener(type, act);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null).map((child) =>
    child instanceof Node ? child : cut(String(child))));
  return made;
}

const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

function milliseconds(value) {
  if (value >= 59995) return `${fine.format(value / 60000)} min`;
  if (value >= 999.5) return `${(value / 1000).toFixed(2)} s`;
  return `${fine.format(value)} ms`;
}

// A small cost keeps its digits.
function dollars(value) {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: Math.abs(value) < 1 ? 6 : 2 };
  return `$${value.toLocaleString("en", digits)}`;
}

function shown(key, value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value !== "number") return String(value);
  if (key.endsWith("_ms")) return milliseconds(value);
  if (key.endsWith("_usd")) return dollars(value);
  if (key.endsWith("_share")) return `${(value * 100).toFixed(value && value < 0.1 ? 2 : 1)} %`;
  return numbers.format(value);
}

function place(frame) {
  return frame ? `${frame.file}:${frame.line} ${frame.function}` : "";
}

function spent(times) {
  return times.map((time) =>
    `${time.name} ${milliseconds(time.ms)}${time.calls === null ? "" : ` (${time.calls})`}`).join(", ");
}
