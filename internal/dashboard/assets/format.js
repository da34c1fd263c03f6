// Numbers, dates and commits as texts, as Duet's reports write them.

const scales = {
  s: [[1e-9, "ns"], [1e-6, "µs"], [1e-3, "ms"], [1, "s"]],
  B: [[1, "B"], [1e3, "kB"], [1e6, "MB"], [1e9, "GB"]],
  instr: [[1, "instr"], [1e3, "k instr"], [1e6, "M instr"]],
  allocs: [[1, "allocs"]],
  cycles: [[1, "cycles"], [1e3, "k cycles"], [1e6, "M cycles"]],
  "req/s": [[1, "req/s"]],
};

// figures writes three significant digits, thousands separated.
function figures(v) {
  if (!Number.isFinite(v)) return "–";
  const size = Math.abs(v);
  const decimals = size === 0 || size >= 100 ? 0 : Math.min(6, 2 - Math.floor(Math.log10(size)));
  const rounded = size >= 1000 ? Number(v.toPrecision(3)) : v;
  return rounded.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).replace("-", "−");
}

function scaleFor(v, unit) {
  const steps = scales[unit] || [[1, unit]];
  let chosen = steps[0];
  for (const step of steps) if (Number((Math.abs(v) / step[0]).toPrecision(3)) >= 1) chosen = step;
  return chosen;
}

// quantity writes a value of a base unit, scaled: 0.000412 s is "412 µs".
function quantity(v, unit) {
  if (v === null || v === undefined || !Number.isFinite(v)) return "–";
  if (v === 0) return "0";
  const [by, suffix] = scaleFor(v, unit);
  return (figures(v / by) + " " + suffix).trim();
}

// percent writes a ratio as a change: 1.071 is "+7.1 %".
function percent(ratio) {
  if (!Number.isFinite(ratio) || ratio === null || ratio <= 0) return "–";
  const p = (ratio - 1) * 100;
  const size = Math.abs(p);
  const digits = size >= 99.95 ? 0 : size >= 0.995 || size === 0 ? 1 : 2;
  const text = size.toFixed(digits);
  if (Number(text) === 0) return "0 %";
  return (p < 0 ? "−" : "+") + text + " %";
}

function interval(low, high) {
  return low && high ? " [" + percent(low).replace(" %", "") + ", " + percent(high).replace(" %", "") + "]" : "";
}

function ratioText(v) {
  return v ? v.toFixed(v >= 10 ? 1 : v >= 1 ? 2 : 3) : "–";
}

function day(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 10);
}

function clock(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";
}

// ago is how long before now a time was, in whole hours or days.
function ago(seconds) {
  const hours = Math.floor((Date.now() / 1000 - seconds) / 3600);
  if (hours < 0) return "in the future, by this computer's clock";
  if (hours < 1) return "less than an hour ago";
  return hours < 48 ? count(hours, "hour") + " ago" : count(Math.floor(hours / 24), "day") + " ago";
}

function count(n, word) {
  return n.toLocaleString("en-US") + " " + word + (n === 1 ? "" : "s");
}

// metricTitle says what a metric is and which way is good.
function metricTitle(metric) {
  return metric.label + (metric.judged ? metric.higher ? ", more is better" : ", less is better" : "");
}

// workloadTitle names what builds have, too.
function workloadTitle(w) {
  return model.workloads[w] === "" ? "builds" : model.workloads[w];
}

// languageOf is a word for a service's language where it is known.
function languageOf(service) {
  return { go: "Go", rust: "Rust" }[model.languages[service]] || "";
}

function serviceTitle(service) {
  const name = model.services[service];
  const language = languageOf(service);
  return language && language.toLowerCase() !== name.toLowerCase() ? name + " (" + language + ")" : name;
}

function seriesTitle(number) {
  const s = model.series[number];
  const shard = model.shards[s.shard];
  return [model.services[s.service], workloadTitle(shard.w), model.metrics[shard.m].label].join(" · ");
}

// commitCode is a short sha, as a link to the forge where that is known.
function commitCode(sha) {
  const code = el("code", {}, sha.slice(0, 10) || "(no commit)");
  if (!model.repository || !/^[0-9a-f]{7,64}$/.test(sha)) return code;
  return outside(model.repository + "/commit/" + sha, code);
}

// commitLine is a night's commit with its subject and author.
function commitLine(night) {
  return commitText(model.sha[night], model.subject[night], model.author[night]);
}

function commitText(sha, subject, author) {
  return [commitCode(sha), " ", el("span", { class: "subject" }, subject), author ? el("span", { class: "quiet" }, " by " + author) : null];
}

// badLine is the first bad merge of a change, where a night named it.
function badLine(change) {
  if (!change.bad) return null;
  return el("div", {}, el("span", { class: "bad" }, "First bad merge: "), commitText(change.bad.sha, change.bad.subject, change.bad.author));
}

// rangeLine links all commits between two nights' commits.
function rangeLine(from, to) {
  const hex = /^[0-9a-f]{7,64}$/;
  if (!model.repository || !hex.test(model.sha[from]) || !hex.test(model.sha[to])) return null;
  return outside(model.repository + "/compare/" + model.sha[from] + "..." + model.sha[to], "all commits since " + day(model.at[from]));
}
