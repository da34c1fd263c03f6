// Small lines and the words and signs of a state.

const states = {
  o: { sign: "▲", word: "open regression", tone: "bad" },
  i: { sign: "▼", word: "improved", tone: "good" },
  n: { sign: "≈", word: "too noisy to see a change of its margin", tone: "doubt" },
  g: { sign: "∅", word: "no figure last night", tone: "doubt" },
  "=": { sign: "=", word: "identical to the anchor", tone: "quiet" },
  "": { sign: "", word: "steady", tone: "quiet" },
};

// sparkWidth fits a row of small lines into the page.
function sparkWidth(columns) {
  if (window.innerWidth <= 900) return 96;
  return columns <= 4 ? 170 : columns <= 7 ? 110 : 82;
}

// spark draws a coarse line of ten-thousandths; steps without a night are gaps. The scale is never finer than ±2 %.
function spark(column, tone, width) {
  const height = 26;
  const element = svg("svg", { class: "spark " + (tone || ""), viewBox: "0 0 " + width + " " + height, width, height, "aria-hidden": "true", focusable: "false" });
  if (!column) return element;
  const values = undelta(column, 10000);
  const there = values.filter((v) => v !== null);
  const centre = (Math.max(...there) + Math.min(...there)) / 2;
  const half = Math.max((Math.max(...there) - Math.min(...there)) / 2, 0.02 * centre);
  const x = (i) => 2 + (i * (width - 4)) / (values.length - 1);
  const y = (v) => height / 2 - ((v - centre) / half) * (height / 2 - 3);
  let path = "";
  let pen = "M";
  let last = null;
  values.forEach((v, i) => {
    if (v === null) {
      pen = "M";
      return;
    }
    path += pen + x(i).toFixed(1) + " " + y(v).toFixed(1);
    // A step alone would be a move without a line.
    if (pen === "M" && (i + 1 === values.length || values[i + 1] === null)) path += "h1.5";
    pen = "L";
    last = i;
  });
  element.append(svg("path", { d: path, class: "line" }));
  element.append(svg("circle", { cx: x(last).toFixed(1), cy: y(values[last]).toFixed(1), r: 2.2 }));
  return element;
}

// badge is a state's sign with its word for those who do not see it.
function badge(state) {
  const s = states[state || ""];
  if (!s.sign) return null;
  return el("span", { class: "state " + s.tone, title: s.word }, el("span", { "aria-hidden": "true" }, s.sign), el("span", { class: "hidden" }, s.word));
}

function legend() {
  return el("p", { class: "legend quiet" }, ...Object.values(states).filter((s) => s.sign).map((s) => el("span", {}, el("span", { class: "state " + s.tone, "aria-hidden": "true" }, s.sign), " " + s.word)));
}

// sparkCell is one series of a grid: its line, its last figure against the anchor and its state. Empty where there is none.
function sparkCell(shard, service, label, width) {
  const head = shard === undefined ? undefined : model.shards[shard].s.find((s) => s.s === service);
  if (!head || head.n < 0) return el("td", { class: "none", "data-label": label }, el("span", { class: "quiet" }, "–"));
  const number = firstOf(shard) + model.shards[shard].s.indexOf(head);
  const state = states[head.t || ""];
  const metric = model.metrics[model.shards[shard].m];
  const text = label + ": " + metric.label + " " + percent(head.r) + " against the anchor, " + state.word;
  return el("td", { "data-label": label },
    el("a", { class: "cell", href: seriesLink(number), title: text + ", now " + quantity(head.v, metric.unit), "aria-label": text },
      spark(head.p, state.tone, width), el("span", { class: "figure" }, percent(head.r), " ", badge(head.t))));
}

// gapCell is a pair's Rust ÷ Go.
function gapCell(shard, pair, label, width) {
  const head = shard === undefined ? undefined : (model.shards[shard].g || []).find((g) => g.p === pair);
  if (!head) return el("td", { class: "none", "data-label": label }, el("span", { class: "quiet" }, "–"));
  const text = label + ": Rust ÷ Go " + ratioText(head.r);
  return el("td", { class: "gap", "data-label": label },
    el("a", { class: "cell", href: metricLink(shard), title: text, "aria-label": text }, spark(head.k, "quiet", width), el("span", { class: "figure" }, ratioText(head.r))));
}
