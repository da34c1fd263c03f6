// A night's report: every row and gap of one entry of the history.

const verdicts = {
  r: { word: "regressed", tone: "bad", rank: 0 },
  i: { word: "improved", tone: "good", rank: 1 },
  c: { word: "inconclusive", tone: "doubt", rank: 2 },
  u: { word: "unchanged", tone: "quiet", rank: 3 },
  "=": { word: "identical", tone: "quiet", rank: 4 },
  n: { word: "not judged", tone: "quiet", rank: 5 },
};

function nightPage(view, at) {
  const n = model.byID.get(at.parts[1]);
  if (n === undefined) return notFound(view, "There is no such night: it may have been left out when the history was compacted.");
  const before = neighbour(n, -1);
  const after = neighbour(n, 1);
  view.append(
    el("h1", {}, "Night of " + day(model.at[n])),
    el("p", { class: "bar" }, before === undefined ? null : el("a", { href: nightLink(before) }, "← " + day(model.at[before])), after === undefined ? null : el("a", { href: nightLink(after) }, day(model.at[after]) + " →"),
      model.url[n] ? outside(model.url[n], "Its run") : null),
    el("p", {}, commitLine(n)),
    el("p", { class: "quiet" }, "Against the anchor ", commitCode(model.anchor(n)), ", recorded " + clock(model.at[n]) + "."));
  if (model.moves.has(n)) view.append(el("p", { class: "banner doubt" }, "This entry moves the anchor: its rows are the new anchor against the one before."));
  if (n in model.failed) view.append(el("p", { class: "banner bad" }, "Nothing was measured: " + model.failed[n]));
  for (const b of model.breaks.filter((x) => x.at === n)) view.append(el("p", { class: "banner doubt" }, "Series begin anew this night: " + b.why + " (" + b.series + " of " + model.series.length + ")"));
  view.append(el("p", { class: "quiet" }, "Loading …"));
  return load("n/" + model.month(n)).then((month) => {
    if (current !== at.hash) return;
    view.lastChild.remove();
    showNight(view, n, month);
  });
}

function neighbour(n, step) {
  for (let i = n + step; i >= 0 && i < model.at.length; i += step) if (!model.moves.has(i)) return i;
  return undefined;
}

function showNight(view, n, month) {
  const file = month.nights[n];
  const changed = model.changes.filter((c) => c.at === n);
  if (changed.length) view.append(el("h2", {}, "Changes from this night on"), el("ul", {}, changed.map((c) => changeItem(c))));
  const rows = nightRows(file, month.keys);
  if (rows.length) view.append(el("h2", {}, "Rows"), rowsTable(rows));
  const gaps = nightGaps(file, month.pairs);
  if (gaps.length) view.append(el("details", {}, el("summary", {}, "The gap: Rust ÷ Go of " + count(gaps.length, "row")), gapsTable(gaps)));
  view.append(el("h2", {}, "This night"), el("dl", { class: "facts" }, file.facts.map(([label, text]) => [el("dt", {}, label), el("dd", {}, text)])));
}

function changeItem(c) {
  const s = model.series[c.s];
  const shard = model.shards[s.shard];
  return el("li", {}, el("a", { href: seriesLink(c.s, { night: model.id[c.at] }) }, workloadTitle(shard.w) + " · " + model.metrics[shard.m].label), ": ", changeWords(c, model.services[s.service]), badLine(c));
}

function nightRows(file, keys) {
  const rounds = undelta(file.o, 1);
  const rows = [];
  for (let k = 0; k < file.verdict.length; k++) {
    if (file.verdict[k] === "-") continue;
    const ratio = file.r[k] === null ? null : 1 + file.r[k] / 1e4;
    rows.push({
      service: keys[3 * k], workload: keys[3 * k + 1], metric: keys[3 * k + 2], ratio,
      low: file.l[k] === null || ratio === null ? null : ratio - file.l[k] / 1e4, high: file.h[k] === null || ratio === null ? null : ratio + file.h[k] / 1e4,
      value: file.v[k], noise: file.e[k], rounds: rounds[k], verdict: verdicts[file.verdict[k]],
    });
  }
  // What moved comes first, the farthest first; the rest stays by workload.
  const far = (r) => (r.ratio ? Math.abs(Math.log(r.ratio)) : 0);
  return rows.sort((a, b) => a.verdict.rank - b.verdict.rank || (a.verdict.rank < 2 ? far(b) - far(a) : 0));
}

function rowsTable(rows) {
  const filter = el("input", { type: "search", "aria-label": "Show only rows with", placeholder: "Show only rows with …", oninput: () => show() });
  const said = el("span", { class: "quiet", role: "status" });
  const body = el("tbody", {});
  const shown = window.innerWidth < 640 ? 30 : 100;
  const more = el("button", { type: "button", onclick: () => show(true) }, "Show all");
  const words = rows.map((r) => [model.services[r.service], workloadTitle(r.workload), model.metrics[r.metric].label, r.verdict.word].join(" ").toLowerCase());
  const show = (all) => {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((_, i) => wanted.every((word) => words[i].includes(word)));
    body.replaceChildren(...(all ? found : found.slice(0, shown)).map(rowLine));
    said.textContent = found.length + " of " + rows.length;
    more.hidden = all || found.length <= shown;
  };
  show();
  const heads = [["service · workload · metric"], ["÷ anchor", 1], ["interval", 1], ["value", 1], ["noise", 1], ["rounds", 1], ["verdict"]];
  return el("div", {}, el("p", { class: "bar" }, filter, said), el("div", { class: "scroll" }, el("table", { class: "list rows" },
    el("thead", {}, el("tr", {}, heads.map(([text, number]) => el("th", { class: number ? "number" : null }, text)))), body)), more);
}

function rowLine(r) {
  const metric = model.metrics[r.metric];
  const shard = model.shardAt.get(r.workload + " " + r.metric);
  const title = [model.services[r.service], workloadTitle(r.workload), metric.label].join(" · ");
  const number = (label, text) => el("td", { class: "number", "data-label": label }, text);
  return el("tr", {}, el("td", { class: "key" }, shard === undefined ? title : el("a", { href: metricLink(shard, { focus: model.services[r.service] }) }, title)),
    number("÷ anchor", r.ratio === null ? "–" : percent(r.ratio)), number("interval", interval(r.low, r.high).trim() || "–"), number("value", quantity(r.value, metric.unit)),
    number("noise", r.noise === null ? "–" : (r.noise / 100).toFixed(2) + " %"), number("rounds", r.rounds ? String(r.rounds) : "–"),
    el("td", { "data-label": "verdict", class: r.verdict.tone }, r.verdict.word));
}

function nightGaps(file, keys) {
  const gaps = [];
  file.g.forEach((g, k) => {
    if (g !== null) gaps.push({ pair: keys[3 * k], workload: keys[3 * k + 1], metric: keys[3 * k + 2], ratio: g / 1e4, low: file.gl[k] === null ? null : (g - file.gl[k]) / 1e4, high: file.gh[k] === null ? null : (g + file.gh[k]) / 1e4 });
  });
  return gaps;
}

function gapsTable(gaps) {
  return el("div", { class: "scroll" }, el("table", { class: "list" }, el("thead", {}, el("tr", {}, el("th", {}, "pair · workload · metric"), el("th", { class: "number" }, "Rust ÷ Go"), el("th", { class: "number" }, "interval"))),
    el("tbody", {}, gaps.map((g) => {
      const title = [model.pairs[g.pair], workloadTitle(g.workload), model.metrics[g.metric].label].join(" · ");
      const shard = model.shardAt.get(g.workload + " " + g.metric);
      return el("tr", {}, el("td", { class: "key" }, shard === undefined ? title : el("a", { href: metricLink(shard) }, title)), el("td", { class: "number", "data-label": "Rust ÷ Go" }, ratioText(g.ratio)),
        el("td", { class: "number", "data-label": "interval" }, g.low && g.high ? "[" + ratioText(g.low) + ", " + ratioText(g.high) + "]" : "–"));
    }))));
}
