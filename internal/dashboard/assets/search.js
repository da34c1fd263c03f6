// The search box: services, workloads, metrics, commits and dates.

const found = 12; // at most so many hits

function hitsFor(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  const all = (...texts) => {
    const whole = texts.join(" ").toLowerCase();
    return words.every((word) => whole.includes(word));
  };
  const hits = [];
  const add = (kind, title, href, note) => hits.length < found && hits.push({ kind, title, href, note });
  model.services.forEach((name, s) => all(name, languageOf(s)) && add("service", serviceTitle(s), link(["service", name])));
  model.workloads.forEach((name, w) => all(workloadTitle(w)) && add("workload", workloadTitle(w), link(["workload", name])));
  model.metrics.forEach((m) => all(m.label, m.name) && add("metric", m.label, link([], { metric: m.name })));
  if (words.length > 1) {
    model.shards.forEach((s, k) => {
      const title = workloadTitle(s.w) + " · " + model.metrics[s.m].label;
      if (all(title, model.metrics[s.m].name)) add("series", title, metricLink(k));
      else if (hits.length < found) s.s.forEach((h, i) => all(title, model.metrics[s.m].name, model.services[h.s]) && add("series", model.services[h.s] + " · " + title, seriesLink(firstOf(k) + i)));
    });
  }
  const changed = new Set(model.changes.map((c) => c.at));
  for (let n = model.at.length - 1; n >= 0 && hits.length < found; n--) {
    if (model.moves.has(n)) continue;
    if (!all(model.sha[n], model.subject[n], model.author[n], day(model.at[n]))) continue;
    add("night", day(model.at[n]) + " " + model.sha[n].slice(0, 10) + " " + model.subject[n], nightLink(n), changed.has(n) ? "change point" : "");
  }
  return hits;
}

function searchBox(input, list) {
  let active = -1;
  let hits = [];
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    active = -1;
  };
  const mark = (to) => {
    active = (to + hits.length) % hits.length;
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === active)));
    input.setAttribute("aria-activedescendant", "hit-" + active);
    list.children[active].scrollIntoView({ block: "nearest" });
  };
  const open = (hit) => {
    input.value = "";
    close();
    go(hit.href);
    document.getElementById("view").focus();
  };
  const show = () => {
    hits = hitsFor(input.value);
    if (!input.value.trim()) return close();
    list.replaceChildren(...hits.map((hit, i) => el("li", { role: "option", id: "hit-" + i, "aria-selected": "false", onmousedown: (e) => { e.preventDefault(); open(hit); } },
      el("span", { class: "kind" }, hit.kind), " " + hit.title, hit.note ? el("span", { class: "pill bad" }, hit.note) : null)));
    if (hits.length === 0) list.replaceChildren(el("li", { role: "option", "aria-disabled": "true", class: "quiet" }, "Nothing found"));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    active = -1;
  };
  input.addEventListener("input", show);
  input.addEventListener("focus", () => input.value && show());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (e) => {
    if (e.key === "Escape") {
      input.value = "";
      close();
    } else if (hits.length && !list.hidden && (e.key === "ArrowDown" || e.key === "ArrowUp")) {
      e.preventDefault();
      mark(e.key === "ArrowDown" ? active + 1 : active < 0 ? hits.length - 1 : active - 1);
    } else if (e.key === "Enter" && hits.length && !list.hidden) {
      e.preventDefault();
      open(hits[Math.max(active, 0)]);
    }
  });
  document.addEventListener("keydown", (e) => {
    if (e.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
    e.preventDefault();
    input.focus();
  });
}
