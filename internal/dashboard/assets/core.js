// The page's data, its elements and its addresses. Nothing here or below makes HTML from text: every text is a text node.

const store = new Map(); // data that is here, by name
const waiting = new Map(); // promises of data that is on its way
const arrived = new Map(); // their resolve functions
let model = null; // the index, with its columns spread out
let version = "";

// A data file is a script that calls put: unlike fetch, this works from a plain folder too.
const duet = {
  put(name, data) {
    store.set(name, data);
    if (name === "index") {
      version = data.version;
      start(data);
    }
    const resolve = arrived.get(name);
    if (resolve) resolve(data);
  },
};

// load fetches a data file once.
function load(name) {
  if (store.has(name)) return Promise.resolve(store.get(name));
  if (waiting.has(name)) return waiting.get(name);
  const promise = new Promise((resolve, reject) => {
    arrived.set(name, resolve);
    const script = document.createElement("script");
    script.src = "data/" + name + ".js?v=" + version;
    script.addEventListener("error", () => {
      waiting.delete(name);
      reject(new Error("the file data/" + name + ".js is missing: was the site copied as a whole?"));
    });
    document.head.append(script);
  });
  waiting.set(name, promise);
  return promise;
}

// undelta spreads a column of differences; null stays null.
function undelta(column, per) {
  let last = 0;
  return column.map((d) => {
    if (d === null) return null;
    last += d;
    return last / per;
  });
}

// unrun spreads pairs of start and length.
function unrun(runs) {
  const out = [];
  for (let i = 0; i < runs.length; i += 2) for (let k = 0; k < runs[i + 1]; k++) out.push(runs[i] + k);
  return out;
}

// inRun finds the last run that begins at or before a night.
function inRun(runs, night) {
  let found = null;
  for (const run of runs) if (run.from <= night) found = run;
  return found;
}

// spread makes the index easy to ask.
function spread(data) {
  const n = data.nights;
  const at = undelta(n.at, 1).map((minutes) => minutes * 60);
  const id = n.id.map((rest, i) => (rest.startsWith("=") ? rest.slice(1) : n.sha[i] + rest));
  const moves = new Set(n.moves);
  const m = Object.assign({}, data, {
    at, // seconds
    id,
    sha: n.sha,
    subject: n.subject,
    author: n.author.map((i) => n.authors[i]),
    failed: n.failed,
    url: n.url.map((rest) => (rest ? n.urls + rest : "")),
    moves,
    byID: new Map(id.map((text, i) => [text, i])),
    month: (i) => inRun(n.months, i).month,
    anchor: (i) => inRun(n.anchors, i).sha,
    series: [], // {shard, service, head}, numbered over all shards
    last: -1, // the last night that measured
    newest: -1, // the last night at all
  });
  data.shards.forEach((shard, k) => shard.s.forEach((head) => m.series.push({ shard: k, service: head.s, head })));
  at.forEach((_, i) => {
    if (moves.has(i)) return;
    m.newest = i;
    if (!(i in m.failed)) m.last = i;
  });
  m.shardAt = new Map(data.shards.map((shard, k) => [shard.w + " " + shard.m, k]));
  m.changesOf = new Map();
  data.changes.forEach((c) => {
    if (!m.changesOf.has(c.s)) m.changesOf.set(c.s, []);
    m.changesOf.get(c.s).push(c);
  });
  m.openOf = new Map();
  data.open.forEach((o) => {
    if (!m.openOf.has(o.s)) m.openOf.set(o.s, []);
    m.openOf.get(o.s).push(o);
  });
  return m;
}

// firstOf is the number of a shard's first series.
function firstOf(shard) {
  return model.series.findIndex((s) => s.shard === shard);
}

// el makes an element: attributes, "on…" listeners, and children that are elements or texts.
function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

// outside is a link that leaves the page; only https and http do.
function outside(address, ...children) {
  if (!/^https?:\/\//.test(address)) return el("span", {}, ...children);
  return el("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, ...children);
}

// route reads the address: its parts and what follows the question mark.
function route(hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch (_) {
      return "";
    }
  });
  return { parts, query: new URLSearchParams(query || "") };
}

// link builds an address. Empty values are left out.
function link(parts, query) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query || {})) if (value) search.set(key, value);
  const text = search.toString();
  return "#/" + parts.map(encodeURIComponent).join("/") + (text ? "?" + text : "");
}

function metricLink(shard, query) {
  const s = model.shards[shard];
  return link(["metric", model.workloads[s.w], model.metrics[s.m].name], query);
}

function nightLink(night) {
  return link(["night", model.id[night]]);
}

// seriesLink shows a metric with one service in front.
function seriesLink(number, query) {
  const s = model.series[number];
  return metricLink(s.shard, Object.assign({ focus: model.services[s.service] }, query));
}
