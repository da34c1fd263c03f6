// The overview, a workload and a service: what is missing, what is open, and a grid of small lines.

// firstMetric is the judge's first choice of work that was measured, as long as nobody chose another.
function firstMetric() {
  for (const name of ["instructions", "instructions_callgrind", "cpu_per_request"]) {
    const i = model.metrics.findIndex((m) => m.name === name);
    if (i >= 0) return i;
  }
  return 0;
}

function overview(view, at) {
  const chosen = model.metrics.findIndex((m) => m.name === at.query.get("metric"));
  const metric = chosen >= 0 ? chosen : firstMetric();
  view.append(el("h1", { class: "hidden" }, "Overview"), ...statusLines(), openRegressions());
  const grid = el("section", { "aria-labelledby": "grid-title" });
  const select = el("select", { id: "metric", onchange: (e) => go(link([], { metric: e.target.value })) },
    ...model.metrics.map((m, i) => el("option", { value: m.name, selected: i === metric }, m.label)));
  grid.append(
    el("div", { class: "bar" }, el("h2", { id: "grid-title" }, "Against the anchor"), el("label", { for: "metric" }, "Metric ", select), el("span", { class: "quiet" }, "last " + model.spark_days + " days")),
    metricGrid(metric), legend());
  view.append(grid, breaksSection());
}

// statusLines say what is missing before anything is drawn.
function statusLines() {
  if (model.newest < 0) return [el("p", { class: "banner doubt" }, "No night has been recorded yet.")];
  const lines = [];
  const silent = Math.floor(Date.now() / 1000 - model.at[model.newest]);
  // Who records is who makes this page: where that stopped, only the reader's clock can tell.
  if (silent > 2.5 * night) lines.push(el("p", { class: "banner doubt" }, "Nothing was recorded for " + count(Math.floor(silent / night), "day") + ": is the schedule off?"));
  if (model.last !== model.newest) {
    lines.push(el("p", { class: "banner bad" }, "The last night measured nothing: ", el("a", { href: nightLink(model.newest) }, day(model.at[model.newest])), ", ", model.failed[model.newest]));
  }
  const good = model.last < 0 ? el("p", { class: "banner bad" }, "No night has been successful yet.")
    : el("p", { class: "status" }, "Last successful night: ", el("a", { href: nightLink(model.last) }, day(model.at[model.last])),
      el("span", { class: "quiet" }, " (" + ago(model.at[model.last]) + ")"), ", ", commitLine(model.last));
  lines.push(good);
  const total = model.missing.reduce((sum, m) => sum + m.nights, 0);
  const nights = model.at.length - model.moves.size;
  if (total === 0) {
    lines.push(el("p", { class: "status" }, count(nights, "night") + " recorded, none missing."));
    return lines;
  }
  const rows = model.missing.slice().reverse().map((m) => el("li", {}, m.from + (m.nights > 1 ? " to " + m.to + " (" + count(m.nights, "night") + ")" : ""), m.why ? ": " + m.why : ": nothing was recorded"));
  const newest = model.missing[model.missing.length - 1];
  lines.push(el("details", { class: "status" }, el("summary", {}, count(nights, "night") + " recorded, " + count(total, "night") + " without figures; the last: " + newest.to), el("ul", {}, rows)));
  return lines;
}

function openRegressions() {
  const section = el("section", { "aria-labelledby": "open-title" }, el("h2", { id: "open-title" }, "Open regressions"));
  if (model.open.length === 0) {
    section.append(el("p", {}, model.changes.length ? "None is open. The last change: " + day(model.at[model.changes[0].at]) + "." : "None is open: no series ever changed."));
    return section;
  }
  const rows = model.open.map((o) => el("tr", {},
    el("td", { class: "key" }, el("a", { href: seriesLink(o.s) }, seriesTitle(o.s))),
    el("td", { "data-label": "now", class: "number bad" }, percent(o.r)),
    el("td", { "data-label": "since" }, el("a", { href: nightLink(o.at) }, day(model.at[o.at])), " ", commitLine(o.at), badLine((model.changesOf.get(o.s) || []).find((c) => c.at === o.at) || {}), o.held ? el("div", { class: "quiet", title: o.held }, "since then: " + o.held.split(":")[0]) : null),
    el("td", { "data-label": "age", class: "number" }, count(o.days, "day"))));
  const shown = 8;
  const body = el("tbody", {}, rows.slice(0, shown));
  section.append(el("div", { class: "scroll" }, el("table", { class: "list" },
    el("thead", {}, el("tr", {}, el("th", {}, "service · workload · metric"), el("th", { class: "number" }, "now"), el("th", {}, "since"), el("th", { class: "number" }, "age"))), body)));
  if (rows.length > shown) {
    section.append(el("button", { type: "button", onclick: (e) => { body.append(...rows.slice(shown)); e.target.remove(); } }, "Show " + (rows.length - shown) + " more"));
  }
  return section;
}

// metricGrid has a row for each workload and a column for each service and pair, of one metric.
function metricGrid(metric) {
  const rows = model.workloads.map((_, w) => ({ w, shard: model.shardAt.get(w + " " + metric) })).filter((r) => r.shard !== undefined);
  if (rows.length === 0) return el("p", { class: "quiet" }, "Nothing was measured.");
  const pairs = model.pairs.map((_, p) => p).filter((p) => rows.some((r) => (model.shards[r.shard].g || []).some((g) => g.p === p)));
  return grid("workload", rows.map((r) => ({ title: workloadTitle(r.w), href: link(["workload", model.workloads[r.w]]), open: openIn((s) => model.shards[s.shard].w === r.w), shard: r.shard })), pairs);
}

// openIn counts open regressions among the series that match.
function openIn(matches) {
  return model.open.filter((o) => matches(model.series[o.s])).length;
}

function grid(corner, rows, pairs) {
  const services = model.services.map((_, s) => s).filter((s) => rows.some((r) => model.shards[r.shard].s.some((head) => head.s === s)));
  const head = el("tr", {}, el("th", { scope: "col" }, corner),
    services.map((s) => el("th", { scope: "col" }, el("a", { href: link(["service", model.services[s]]) }, serviceTitle(s)))),
    pairs.map((p) => el("th", { scope: "col", class: "gap" }, pairs.length > 1 ? model.pairs[p] + ": " : "", "Rust ÷ Go")));
  const width = sparkWidth(services.length + pairs.length);
  const body = rows.map((r) => el("tr", {},
    el("th", { scope: "row" }, el("a", { href: r.href }, r.title), r.open ? el("span", { class: "pill bad" }, r.open + " open") : null),
    services.map((s) => sparkCell(r.shard, s, model.services[s], width)),
    pairs.map((p) => gapCell(r.shard, p, pairs.length > 1 ? model.pairs[p] : "Rust ÷ Go", width))));
  return el("div", { class: "scroll" }, el("table", { class: "grid" }, el("thead", {}, head), el("tbody", {}, body)));
}

// workloadPage has a row for each metric of one workload.
function workloadPage(view, at) {
  const w = model.workloads.indexOf(at.parts[1] || "");
  const shards = model.shards.map((s, k) => ({ s, k })).filter((x) => x.s.w === w);
  if (w < 0 || shards.length === 0) return notFound(view, "There is no workload of this name.");
  const pairs = model.pairs.map((_, p) => p).filter((p) => shards.some((x) => (x.s.g || []).some((g) => g.p === p)));
  view.append(el("h1", {}, workloadTitle(w)),
    grid("metric", shards.map((x) => ({ title: model.metrics[x.s.m].label, href: metricLink(x.k), open: openIn((s) => s.shard === x.k), shard: x.k })), pairs),
    legend());
}

// servicePage has a row for each metric of one service, a column for each workload.
function servicePage(view, at) {
  const service = model.services.indexOf(at.parts[1] || "");
  if (service < 0) return notFound(view, "There is no service of this name.");
  const has = (k) => k !== undefined && model.shards[k].s.some((head) => head.s === service);
  const workloads = model.workloads.map((_, w) => w).filter((w) => model.metrics.some((_, m) => has(model.shardAt.get(w + " " + m))));
  const metrics = model.metrics.map((_, m) => m).filter((m) => workloads.some((w) => has(model.shardAt.get(w + " " + m))));
  const head = el("tr", {}, el("th", { scope: "col" }, "metric"), workloads.map((w) => el("th", { scope: "col" }, el("a", { href: link(["workload", model.workloads[w]]) }, workloadTitle(w)))));
  const body = metrics.map((m) => el("tr", {}, el("th", { scope: "row" }, model.metrics[m].label),
    workloads.map((w) => sparkCell(model.shardAt.get(w + " " + m), service, workloadTitle(w), sparkWidth(workloads.length)))));
  view.append(el("h1", {}, serviceTitle(service)), el("div", { class: "scroll" }, el("table", { class: "grid" }, el("thead", {}, head), el("tbody", {}, body))), legend());
}

// breaksSection says where series begin anew, and why.
function breaksSection() {
  if (model.breaks.length === 0) return el("p", { class: "quiet" }, "All nights compare: no series was ever broken off.");
  const items = model.breaks.map((b) => el("li", {}, el("a", { href: nightLink(b.at) }, day(model.at[b.at])), " " + b.why, el("span", { class: "quiet" }, " (" + count(b.series, "series").replace(/seriess$/, "series") + ")")));
  const shown = 3;
  return el("section", { "aria-labelledby": "breaks-title" }, el("h2", { id: "breaks-title" }, "Where series begin anew"),
    el("p", { class: "quiet" }, "What follows does not compare with what was before: no line is drawn across."), el("ul", {}, items.slice(0, shown)),
    items.length > shown ? el("details", {}, el("summary", {}, (items.length - shown) + " more"), el("ul", {}, items.slice(shown))) : null);
}

function notFound(view, text) {
  view.append(el("h1", {}, "Not here"), el("p", {}, text + " "), el("p", {}, el("a", { href: "#/" }, "Overview")));
}
