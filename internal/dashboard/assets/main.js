// Addresses to pages, the theme, and the start.

let current = ""; // the address that is shown

const pages = { "": overview, workload: workloadPage, service: servicePage, metric: metricPage, night: nightPage, changes: changesPage, builds: buildsPage, "self-check": checksPage };

// go shows another address as a step that the browser's back button takes back.
function go(hash) {
  if (location.hash === hash) show();
  else location.hash = hash;
}

// replace changes the address of what is shown already, unless another one was asked for by then. Not location.replace: that
// happens a moment later, after whatever else was asked for.
function replace(hash) {
  if ((location.hash || "#/") !== current) return;
  history.replaceState(null, "", hash);
  current = location.hash;
}

function show() {
  const hash = location.hash.startsWith("#/") ? location.hash : "#/";
  const at = Object.assign(route(hash), { hash });
  const moved = current !== "";
  current = hash;
  for (const chart of charts) chart.destroy();
  charts = [];
  const view = document.getElementById("view");
  view.replaceChildren();
  for (const a of document.querySelectorAll("nav a")) {
    const on = a.getAttribute("href") === "#/" + at.parts[0];
    if (on) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  const page = Object.hasOwn(pages, at.parts[0]) ? pages[at.parts[0]] : (v) => notFound(v, "There is no such page.");
  Promise.resolve(page(view, at)).catch((problem) => view.append(el("p", { class: "banner bad", role: "alert" }, problem.message)));
  const heading = view.querySelector("h1");
  document.title = (heading && at.parts[0] ? heading.textContent + " · " : "") + model.title + " · Duet";
  if (moved) {
    window.scrollTo(0, 0);
    view.focus({ preventScroll: true });
  }
}

// start is called by the index when it is here.
function start(data) {
  model = spread(data);
  document.getElementById("foot").append("Made by Duet" + (data.made ? " on " + data.made.slice(0, 16).replace("T", " ") + " UTC" : "") + ". Times are UTC. ",
    "The anchor is the commit that every night is measured against.");
  show();
  window.addEventListener("hashchange", () => location.hash !== current && show());
}

// theme is what was chosen here, else the system's.
function themeButton(button) {
  const names = ["auto", "light", "dark"];
  const recall = () => {
    try {
      return localStorage.getItem("duet-theme");
    } catch (_) {
      return null; // not kept for plain files, in some browsers
    }
  };
  const apply = (name) => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = "Theme: " + name;
    for (const chart of charts) chart.draw();
  };
  let name = names.includes(recall()) ? recall() : "auto";
  apply(name);
  button.addEventListener("click", () => {
    name = names[(names.indexOf(name) + 1) % names.length];
    try {
      localStorage.setItem("duet-theme", name);
    } catch (_) {
      // the choice lasts as long as the page
    }
    apply(name);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.draw()));
}

document.getElementById("skip").addEventListener("click", (e) => {
  e.preventDefault(); // the fragment is the page's own address
  document.getElementById("view").focus();
});
themeButton(document.getElementById("theme"));
searchBox(document.getElementById("search"), document.getElementById("hits"));
window.addEventListener("load", () => {
  if (model === null) document.getElementById("view").replaceChildren(el("p", { class: "banner bad", role: "alert" }, "The data is not here: data/index.js is missing or is not this site's."));
});
