// One metric of one workload: services over time against the anchor or absolute, the gap, change points and breaks.

let charts = []; // of the page that is shown

function metricPage(view, at) {
  const w = model.workloads.indexOf(at.parts[1] || "");
  const m = model.metrics.findIndex((metric) => metric.name === at.parts[2]);
  const shard = model.shardAt.get(w + " " + m);
  if (w < 0 || m < 0 || shard === undefined) return notFound(view, "There is no such workload and metric.");
  view.append(el("h1", {}, el("a", { href: link(["workload", model.workloads[w]]) }, workloadTitle(w)), " · " + model.metrics[m].label), el("p", { class: "quiet" }, "Loading …"));
  return load("s/" + shard).then((data) => {
    if (current !== at.hash) return; // somebody went on
    view.lastChild.remove();
    new MetricView(view, at, shard, data);
  });
}

class MetricView {
  constructor(view, at, shard, data) {
    Object.assign(this, { view, at, shard, data, head: model.shards[shard], query: at.query });
    this.metric = model.metrics[this.head.m];
    this.nights = drawnNights();
    this.first = firstOf(shard);
    this.absolute = this.query.get("view") === "absolute" || this.data.series.every((s) => s.r.length === 0);
    this.focus = model.services.indexOf(this.query.get("focus") || "");
    this.shown = this.chosenServices();
    this.range = this.readRange();
    this.panel = el("section", { class: "panel", id: "night-panel", "aria-live": "polite", "aria-label": "The chosen night" });
    this.view.append(this.bar(), this.chips(), this.title(), this.mainBox(), this.panel);
    this.drawGap();
    this.view.append(this.marksSection(), this.table());
    this.drawMain();
    const chosen = model.byID.get(this.query.get("night"));
    if (chosen !== undefined) this.pick(chosen, true);
    else this.panel.append(el("p", { class: "quiet" }, "Click a point, or use the arrow keys on the chart, to see its night."));
  }

  // chosenServices are those of the address, else all of a few, else the one in front with one of the other language.
  chosenServices() {
    const all = this.data.series.map((s) => s.s);
    const named = (this.query.get("services") || "").split(",").map((name) => model.services.indexOf(decode(name))).filter((s) => all.includes(s));
    if (named.length) return new Set(named);
    if (all.length <= 4) return new Set(all);
    const first = this.focus >= 0 ? this.focus : all[0];
    const other = all.find((s) => model.languages[s] !== model.languages[first]);
    return new Set([first, other === undefined ? first : other]);
  }

  // readRange is the stretch of time of the address: the last year unless it says another.
  readRange() {
    const end = this.nights.length ? model.at[this.nights[this.nights.length - 1]] : 0;
    const start = this.nights.length ? model.at[this.nights[0]] : 0;
    const from = Date.parse(this.query.get("from") || "") / 1000;
    const to = Date.parse(this.query.get("to") || "") / 1000 + night;
    if (from < to) return [from, to];
    return [Math.max(start, end - 365 * night) - night / 2, end + night / 2];
  }

  // remember writes what is shown into the address, without a step back for each change.
  remember(change) {
    for (const [key, value] of Object.entries(change)) {
      if (value) this.query.set(key, value);
      else this.query.delete(key);
    }
    const hash = metricLink(this.shard, Object.fromEntries(this.query));
    replace(hash);
  }

  bar() {
    const others = model.shards.map((s, k) => ({ s, k })).filter((x) => x.s.w === this.head.w);
    const same = model.shards.map((s, k) => ({ s, k })).filter((x) => x.s.m === this.head.m);
    const keep = () => ({ services: this.query.get("services"), focus: this.query.get("focus"), view: this.query.get("view"), from: this.query.get("from"), to: this.query.get("to") });
    const chooser = (label, list, text) => el("label", {}, label + " ", el("select", { onchange: (e) => go(metricLink(Number(e.target.value), keep())) },
      list.map((x) => el("option", { value: x.k, selected: x.k === this.shard }, text(x.s)))));
    const kinds = [["", "against the anchor"], ["absolute", "absolute"]].map(([value, text]) => el("button", {
      type: "button", "aria-pressed": String(this.absolute === (value === "absolute")), "data-view": value || "ratio", onclick: (e) => this.setView(value, e.target) }, text));
    const spans = [["30 days", 30], ["90 days", 90], ["a year", 365], ["all", 0]].map(([text, days]) => el("button", { type: "button", onclick: () => this.span(days) }, text));
    return el("div", { class: "bar" }, chooser("Metric", others, (s) => model.metrics[s.m].label), chooser("Workload", same, (s) => workloadTitle(s.w)),
      el("span", { class: "group", role: "group", "aria-label": "Values" }, kinds), el("span", { class: "group", role: "group", "aria-label": "Time" }, spans));
  }

  chips() {
    return el("div", { class: "chips", role: "group", "aria-label": "Services" }, this.data.series.map((s, i) => {
      const line = this.style(s, i);
      return el("button", { type: "button", class: "chip", "aria-pressed": String(this.shown.has(s.s)), onclick: (e) => this.toggle(s.s, e.currentTarget) }, swatch(line), serviceTitle(s.s));
    }));
  }

  title() {
    this.caption = el("p", { class: "caption" });
    return this.caption;
  }

  style(series, i) {
    return { colour: i, dash: model.languages[series.s] === "rust", label: model.services[series.s] };
  }

  mainBox() {
    this.box = el("div", { class: "chart", id: "chart", tabindex: 0, role: "application", "aria-roledescription": "chart", "aria-describedby": "chart-help" });
    return el("div", {}, this.box, el("p", { class: "hidden", id: "chart-help" }, "Left and right arrow keys choose a night, page up and down go thirty nights, Enter opens the night."));
  }

  toggle(service, chip) {
    if (this.shown.has(service)) this.shown.delete(service);
    else this.shown.add(service);
    if (this.shown.size === 0) this.shown.add(service);
    chip.setAttribute("aria-pressed", String(this.shown.has(service)));
    this.remember({ services: [...this.shown].map((s) => encodeURIComponent(model.services[s])).join(",") });
    this.refresh();
  }

  setView(value, button) {
    this.absolute = value === "absolute";
    for (const b of button.parentNode.children) b.setAttribute("aria-pressed", String(b === button));
    this.remember({ view: value });
    this.refresh();
  }

  refresh() {
    const { min, max } = this.chart.plot.scales.x;
    this.range = [min, max];
    this.chart.destroy();
    charts = charts.filter((c) => c !== this.chart);
    this.box.replaceChildren();
    this.drawMain();
    this.listMarks();
    this.fillTable();
    if (this.night !== undefined) this.pick(this.night, true);
  }

  span(days) {
    const end = model.at[this.nights[this.nights.length - 1]] + night / 2;
    const start = model.at[this.nights[0]] - night / 2;
    this.chart.zoom(days ? Math.max(start, end - days * night) : start, end);
  }

  // zoomed keeps both charts at the same stretch of time and the address up to date.
  zoomed(from, min, max) {
    for (const chart of charts) {
      if (chart !== from && (chart.plot.scales.x.min !== min || chart.plot.scales.x.max !== max)) chart.zoom(min, max);
    }
    this.remember({ from: day(min), to: day(max) });
  }

  lines() {
    const front = (s) => this.shown.size <= 2 || this.focus === s.s;
    return this.data.series.map((s, i) => ({ s, i })).filter((x) => this.shown.has(x.s.s)).map(({ s, i }) => {
      const of = unrun(s.n);
      const ratio = undelta(s.r, s.per);
      const part = (values, sign) => values.map((v, k) => (v === null || ratio[k] === null ? null : ratio[k] + (sign * v) / s.per));
      const values = this.absolute ? undelta(s.v, s.perv) : ratio;
      const breaks = new Set((s.breaks || []).map((b) => of[b.p]));
      return Object.assign(this.style(s, i), {
        service: s.s, front: front(s), band: !this.absolute && front(s), breaks, reasons: (s.breaks || []).map((b) => ({ night: of[b.p], why: b.why })),
        values: column(this.nights, of, values), low: column(this.nights, of, part(s.l, -1)), high: column(this.nights, of, part(s.h, 1)),
      });
    });
  }

  drawMain() {
    this.drawn = this.lines();
    this.marks = this.findMarks();
    const anchor = this.nights.length ? model.anchor(this.nights[0]) : "";
    this.caption.replaceChildren(this.absolute ? metricTitle(this.metric) + ", absolute: moves with the machine's state from night to night"
      : metricTitle(this.metric) + ": the night's commit ÷ the anchor ", this.absolute ? "" : commitCode(anchor), this.absolute ? "" : this.drawn.some((line) => line.band) ? ", with 95 % intervals" : "; intervals are drawn where one or two services are shown");
    this.box.setAttribute("aria-label", workloadTitle(this.head.w) + ", " + this.metric.label + (this.absolute ? ", absolute" : " against the anchor") + ": " + this.drawn.map((l) => l.label).join(", "));
    this.chart = new Chart(this.box, {
      nights: this.nights, lines: this.drawn, marks: this.marks, range: this.range,
      write: this.absolute ? (v) => quantity(v, this.metric.unit) : (v) => percent(v),
      pick: (n) => this.pick(n), zoomed: (min, max) => this.zoomed(this.chart, min, max),
    });
    charts.push(this.chart);
  }

  drawGap() {
    if (this.data.gaps.length === 0) return;
    const box = el("div", { class: "chart", id: "gap-chart", tabindex: 0, role: "application", "aria-roledescription": "chart", "aria-describedby": "chart-help", "aria-label": "Rust ÷ Go of " + this.metric.label });
    const lines = this.data.gaps.map((g, i) => {
      const of = unrun(g.n);
      const ratio = undelta(g.r, g.per);
      const part = (values, sign) => values.map((v, k) => (v === null || ratio[k] === null ? null : ratio[k] + (sign * v) / g.per));
      return {
        label: model.pairs[g.p], colour: i + 5, front: true, band: this.data.gaps.length <= 2, breaks: new Set(model.breaks.map((b) => b.at)),
        values: column(this.nights, of, ratio), low: column(this.nights, of, part(g.l, -1)), high: column(this.nights, of, part(g.h, 1)),
      };
    });
    const legend = lines.length > 1 ? el("p", { class: "legend" }, lines.map((l) => el("span", {}, swatch(l), l.label))) : null;
    this.view.append(el("h2", {}, "The gap: Rust ÷ Go"), el("p", { class: "caption" }, "of the same night's commit, not of the anchor"), ...(legend ? [legend] : []), box);
    const chart = new Chart(box, { nights: this.nights, lines, range: this.range, write: ratioText, pick: (n) => this.pick(n), zoomed: (min, max) => this.zoomed(chart, min, max) });
    charts.push(chart);
  }

  // findMarks are the change points and breaks of what is shown, numbered.
  findMarks() {
    const changes = [];
    this.head.s.forEach((h, k) => {
      if (this.shown.has(h.s)) for (const c of model.changesOf.get(this.first + k) || []) changes.push({ night: c.at, way: c.way, kind: "change", change: c, service: h.s });
    });
    changes.sort((a, b) => a.night - b.night);
    const numbers = new Map();
    for (const c of changes) {
      if (!numbers.has(c.night)) numbers.set(c.night, String(numbers.size + 1));
      c.tag = numbers.get(c.night);
    }
    const reasons = new Map();
    for (const line of this.drawn) for (const r of line.reasons) reasons.set(r.night + r.why, { night: r.night, kind: "break", why: r.why });
    const breaks = [...reasons.values()].sort((a, b) => a.night - b.night);
    breaks.forEach((b, i) => (b.tag = String.fromCharCode(65 + (i % 26))));
    const moves = [...model.moves].map((n) => ({ night: n, kind: "move", tag: "⇥" }));
    return [...changes, ...breaks, ...moves];
  }

  marksSection() {
    this.list = el("div", { class: "marks" });
    return el("section", { "aria-labelledby": "marks-title" }, el("h2", { id: "marks-title" }, "Change points and breaks"), this.list);
  }

  listMarks() {
    if (this.marks.length === 0) {
      this.list.replaceChildren(el("p", { class: "quiet" }, "None: nothing changed persistently, and all nights compare."));
      return;
    }
    this.list.replaceChildren(...this.marks.slice().sort((a, b) => b.night - a.night).map((mark) => {
      const open = el("button", { type: "button", class: "plain", onclick: () => this.pick(mark.night) }, day(model.at[mark.night]));
      if (mark.kind === "move") return el("div", { class: "mark" }, el("span", { class: "tag" }, mark.tag), el("div", {}, el("a", { href: nightLink(mark.night) }, day(model.at[mark.night])), " the anchor moves to ", commitLine(mark.night), ": ratios stay those to the first one"));
      if (mark.kind === "break") return el("div", { class: "mark" }, el("span", { class: "tag" }, mark.tag), el("div", {}, open, " begins anew: " + mark.why));
      return el("div", { class: "mark" }, el("span", { class: "tag " + wayTone(mark.way) }, mark.tag), el("div", {}, open, " ", changeWords(mark.change, model.services[mark.service]), el("div", {}, commitLine(mark.night), " ", rangeLine(mark.change.from, mark.night)), badLine(mark.change)));
    }));
  }

  // pick shows a night beside the chart.
  pick(n, quietly) {
    this.night = n;
    for (const chart of charts) chart.chooseNight(n);
    if (!quietly) this.remember({ night: model.id[n] });
    const place = this.nights.indexOf(n);
    const rows = this.drawn.map((line) => {
      const v = line.values[place];
      if (v === null || v === undefined) return el("li", {}, swatch(line), line.label + ": no figure");
      return el("li", {}, swatch(line), line.label + ": ", el("strong", {}, this.absolute ? quantity(v, this.metric.unit) : percent(v)), this.absolute ? "" : interval(line.low[place], line.high[place]));
    });
    this.panel.replaceChildren(el("p", {}, el("strong", {}, day(model.at[n])), " ", commitLine(n)),
      n in model.failed ? el("p", { class: "bad" }, "Measured nothing: " + model.failed[n]) : el("ul", { class: "values" }, rows),
      el("p", {}, el("a", { href: nightLink(n) }, "All rows of this night"), model.url[n] ? [" · ", outside(model.url[n], "Its run")] : null));
  }

  // table is the chart for those who read: the last nights in numbers.
  table() {
    this.rows = el("div", { class: "scroll" });
    const details = el("details", { ontoggle: () => details.open && this.fillTable() }, el("summary", {}, "The last 60 nights as a table"), this.rows);
    this.details = details;
    setTimeout(() => this.listMarks());
    return details;
  }

  fillTable() {
    if (!this.details.open) return;
    const places = this.nights.map((n, i) => [n, i]).slice(-60).reverse();
    const write = (line, i) => {
      if (line.values[i] === null) return "–";
      return this.absolute ? quantity(line.values[i], this.metric.unit) : percent(line.values[i]) + interval(line.low[i], line.high[i]);
    };
    this.rows.replaceChildren(el("table", { class: "list" }, el("thead", {}, el("tr", {}, el("th", {}, "night"), this.drawn.map((l) => el("th", { class: "number" }, l.label)), el("th", {}, "commit"))),
      el("tbody", {}, places.map(([n, i]) => el("tr", {}, el("td", { "data-label": "night" }, el("a", { href: nightLink(n) }, day(model.at[n]))),
        this.drawn.map((l) => el("td", { class: "number", "data-label": l.label }, write(l, i))), el("td", { "data-label": "commit" }, commitLine(n)))))));
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch (_) {
    return text;
  }
}

function wayTone(way) {
  return way > 0 ? "bad" : way < 0 ? "good" : "quiet";
}

// changeWords says what a change point did to a service.
function changeWords(c, service) {
  const word = c.way > 0 ? "regressed" : c.way < 0 ? "improved" : "changed by less than its margin";
  return [service + " ", el("span", { class: wayTone(c.way) }, word + " " + percent(c.after / c.before)), el("span", { class: "quiet" }, " (" + c.before.toFixed(3) + " → " + c.after.toFixed(3) + (c.open ? ", still open" : "") + ")")];
}
