// One story: the cause, a waterfall, and the lines.

function duration(value) {
  return value === null ? "" : milliseconds(value);
}

function errorOf(error) {
  return element("div", { "data-error": true },
    element("strong", {}, error.type ?? error.event),
    error.message ? element("pre", {}, error.message) : null,
    element("div", {}, [place(error.frame), error.service, error.timestamp].filter(Boolean).join(" · ")));
}

function detailsOf(item) {
  const line = item.line;
  const known = ["status_code", "outcome", "state", "model_alias", "model", "input_tokens",
    "output_tokens", "cost_usd", "ttft_ms", "error_type", "retries", "loop_blocked_ms", "db_repeats",
    "db_repeated", "lines_not_recorded"].filter((key) =>
    line[key] !== null && line[key] !== undefined);
  return known.map((key) => `${key.replace(/_(ms|usd)$/, "").replaceAll("_", " ")} ${shown(key, line[key])}`)
    .join(" · ");
}

function itemOf(item, story, depth) {
  const start = Date.parse(story.start);
  const scale = 100 / Math.max(story.duration_ms, 0.001);
  const bar = element("div", { "data-bar": true, title: duration(item.duration_ms) });
  const left = Math.min(Math.max((Date.parse(item.start) - start) * scale, 0), 100);
  bar.style.left = `${left}%`;
  bar.style.width = `${Math.min((item.duration_ms ?? 0) * scale, 100 - left)}%`;
  const name = element("div", {},
    item.failed ? element("span", { class: "bad" }, "✗ ") : null,
    `${item.name} `, element("span", {}, duration(item.duration_ms)),
    element("small", {}, `${item.kind} · ${item.service} · ${item.start}`),
    element("small", {}, detailsOf(item)),
    item.times.length ? element("small", {}, spent(item.times)) : null,
    item.guessed ? element("small", {}, "its caller is a guess, from the times alone") : null);
  name.style.paddingLeft = `${Math.min(depth, 8)}rem`;
  return element("li", {
    "data-item": item.id, "data-kind": item.kind, "data-parent": item.parent,
    class: item.failed ? "failed" : null,
  }, name, element("div", { class: "track" }, bar));
}

function depthOf(item, items) {
  let depth = 0;
  for (let at = item; at && at.parent !== null && depth < items.length; at = items[at.parent]) depth += 1;
  return depth;
}

function totals(pairs) {
  return element("dl", { class: "totals" }, ...pairs.map(([label, value]) =>
    element("div", {}, element("dt", {}, label), element("dd", {}, value))));
}

function storyContent(story, level) {
  const table = new Table("lines", "Lines", null);
  table.show(story.lines.map(({ service, source, line }) => ({
    service, source, line, timestamp: line.timestamp, level: line.level, event: line.event,
    logger: line.logger,
  })));
  const ended = new Set(story.items.map((item) => item.service));
  return [
    totals([
      ["trace", story.trace_id], ["start", story.start], ["duration", duration(story.duration_ms)],
      ["services", story.services.join(", ")], ["LLM calls", numbers.format(story.llm_calls)],
      ["cost", shown("cost_usd", story.cost_usd) || "–"], ["result", story.failed ? "failed" : "ok"],
    ]),
    story.errors.length ? element(level, {}, "Errors, the cause first") : null,
    ...story.errors.map(errorOf),
    element(level, {}, "Where the time went"),
    element("ol", { class: "items" }, ...story.items.map((item) =>
      itemOf(item, story, depthOf(item, story.items)))),
    ...story.services.filter((service) => !ended.has(service)).map((service) =>
      element("p", {}, `${service}: no request, task or call has ended`)),
    element(level, {}, "Lines"),
    story.left_out ? element("p", {}, `${numbers.format(story.left_out)} more lines are left out`) : null,
    table.node,
  ].filter((node) => node !== null);
}

function openStory(story) {
  const close = element("button", { class: "close", type: "button", on: { click: () => dialog.close() } }, "Close");
  const door = document.activeElement;
  const closed = () => {
    dialog.remove();
    if (door.isConnected) door.focus();
    else focusDoor(document, story.trace_id); // a change has drawn the table anew
  };
  const title = element("h2", { id: "story-title" }, `Story ${story.trace_id}`);
  const dialog = element("dialog", {
    "data-story": story.trace_id, "aria-labelledby": "story-title", on: { close: closed },
  }, close, title, ...storyContent(story, "h3"));
  document.body.append(dialog);
  dialog.showModal();
}
