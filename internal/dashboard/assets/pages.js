// Pages over all series: changes by commit, what builds cost, the self-check's record.

function changesPage(view, at) {
  view.append(el("h1", {}, "Changes"));
  if (model.changes.length === 0) {
    view.append(el("p", {}, "No series ever changed persistently."));
    return;
  }
  const kinds = { "": "all", worse: "regressed", better: "improved", open: "still open" };
  const kind = at.query.get("show") || "";
  view.append(el("p", { class: "bar" }, el("span", { class: "group", role: "group", "aria-label": "Show" }, Object.entries(kinds).map(([value, text]) =>
    el("button", { type: "button", "aria-pressed": String(value === kind), onclick: () => go(link(["changes"], { show: value })) }, text)))));
  const wanted = model.changes.filter((c) => ({ worse: c.way > 0, better: c.way < 0, open: c.open })[kind] ?? true);
  const groups = new Map();
  for (const c of wanted) {
    if (!groups.has(c.at)) groups.set(c.at, []);
    groups.get(c.at).push(c);
  }
  if (groups.size === 0) view.append(el("p", {}, "None."));
  const sections = [...groups.entries()].map(([n, changes]) => () => el("section", { class: "block" },
    el("h2", {}, el("a", { href: nightLink(n) }, day(model.at[n])), " ", commitLine(n)),
    el("p", { class: "quiet" }, "First measured at this commit; ", commitCode(model.sha[changes[0].from]), ", the last one before, was not so yet. ", rangeLine(changes[0].from, n)),
    el("ul", {}, changes.map((c) => changeItem(c)))));
  const more = el("button", { type: "button", onclick: () => show() }, "Show more");
  const show = () => {
    more.before(...sections.splice(0, 30).map((make) => make()));
    more.hidden = sections.length === 0;
  };
  view.append(more);
  show();
}

function buildsPage(view, at) {
  view.append(el("h1", {}, "Builds"), el("p", { class: "quiet" }, "Loading …"));
  return load("builds").then((data) => {
    if (current !== at.hash) return;
    view.lastChild.remove();
    if (data.services.length === 0) {
      view.append(el("p", {}, "No night has measured what a build costs."));
      return;
    }
    const nights = drawnNights();
    const pick = (n) => go(nightLink(n));
    const parts = [["clean", "Clean build", 100, "s"], ["incremental", "Incremental build", 100, "s"], ["bytes", "Binary size", 1, "B"], ["dependencies", "Dependencies", 1, ""]];
    const style = (s, i) => ({ colour: i, dash: model.languages[s.s] === "rust", label: model.services[s.s], front: false, band: false, low: [], high: [], breaks: new Set() });
    view.append(el("p", { class: "legend" }, data.services.map((s, i) => el("span", {}, swatch(style(s, i)), serviceTitle(s.s)))));
    const end = model.at[nights[nights.length - 1]] || 0;
    const range = [Math.max(model.at[nights[0]], end - 365 * night) - night / 2, end + night / 2];
    for (const [key, title, per, unit] of parts) {
      const write = (v) => (v === null ? "–" : unit ? quantity(v, unit) : v.toLocaleString("en-US", { maximumFractionDigits: 1 }));
      const lines = data.services.map((s, i) => Object.assign(style(s, i), { language: languageOf(s.s), values: column(nights, unrun(s.n), undelta(s[key], per)) })).filter((line) => lastOf(line.values) !== null);
      if (lines.length === 0) continue;
      view.append(el("h2", {}, title), el("p", { class: "caption" }, "Latest: " + lines.map((line) => line.label + " " + write(lastOf(line.values))).join(" · ")));
      const row = el("div", { class: "beside" });
      view.append(row);
      // A Rust build takes ten times a Go build: on one scale neither would be seen to move.
      for (const language of [...new Set(lines.map((line) => line.language))]) {
        const box = el("div", { class: "chart", tabindex: 0, role: "application", "aria-roledescription": "chart", "aria-label": [title, language, "by service over the nights"].join(" ") });
        row.append(el("div", {}, language ? el("p", { class: "caption" }, language) : null, box));
        charts.push(new Chart(box, { nights, lines: lines.filter((line) => line.language === language), write, pick, range }));
      }
    }
  });
}

function lastOf(values) {
  for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null) return values[i];
  return null;
}

function checksPage(view) {
  const c = model.checks;
  view.append(el("h1", {}, "Self-check"));
  const nights = unrun(c.nights);
  if (nights.length === 0) {
    view.append(el("p", {}, "No night has measured its commit against itself yet."));
    return;
  }
  const share = (v) => (100 * v).toFixed(2);
  view.append(el("p", {}, "Each night measures its commit against itself as well: a row that is called improved or regressed there is a false alarm."),
    el("p", { class: "big" }, c.sum + " of " + count(c.of, "row") + " in " + count(nights.length, "night") + ", " + share(c.of ? c.sum / c.of : 0) + " %"),
    el("p", { class: "quiet" }, "95 % interval [" + share(c.low) + ", " + share(c.high) + "] %, as if rows of one night were independent of each other; they are not quite."));
  const bad = nights.filter((n) => c.count[n]);
  view.append(checkStrip(nights, c), el("h2", {}, "Nights with a false alarm: " + bad.length));
  if (bad.length) {
    view.append(el("ul", {}, bad.slice().reverse().map((n) => el("li", {}, el("a", { href: nightLink(n) }, day(model.at[n])), ": ", c.false[n].join(", ") + (c.count[n] > c.false[n].length ? " and " + (c.count[n] - c.false[n].length) + " more" : "")))));
  }
}

// checkStrip is false alarms by month: how many nights had one, of how many.
function checkStrip(nights, c) {
  const months = new Map();
  for (const n of nights) {
    const month = day(model.at[n]).slice(0, 7);
    const sum = months.get(month) || { nights: 0, bad: 0, rows: 0 };
    sum.nights++;
    if (c.count[n]) sum.bad++;
    sum.rows += c.count[n] || 0;
    months.set(month, sum);
  }
  const rows = [...months.entries()].reverse().map(([month, sum]) => el("tr", {}, el("td", { "data-label": "month" }, month), el("td", { class: "number", "data-label": "nights" }, String(sum.nights)),
    el("td", { class: "number", "data-label": "with a false alarm" }, String(sum.bad)), el("td", { class: "number", "data-label": "false alarms" }, String(sum.rows))));
  return el("div", { class: "scroll" }, el("table", { class: "list" }, el("thead", {}, el("tr", {}, el("th", {}, "month"), el("th", { class: "number" }, "nights"), el("th", { class: "number" }, "with a false alarm"), el("th", { class: "number" }, "false alarms"))), el("tbody", {}, rows)));
}
