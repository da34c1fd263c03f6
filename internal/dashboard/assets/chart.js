// A chart over the nights: lines with their intervals, change points, breaks, and a cursor that keys can move.

const palette = 8; // colours in the style sheet: --line-0 …
const night = 86400;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function lineColour(i) {
  return colour("--line-" + (i % palette));
}

// A line is {label, colour, dash, front, band, nights: Set, values, low, high: by night, breaks: [night]}; marks are {night, way, tag}.
// Chart draws lines over the nights xs (indices) into box. write turns a value into text; pick is told the night of a click.
class Chart {
  constructor(box, { nights, lines, marks, write, pick, zoomed, range, title }) {
    Object.assign(this, { box, nights, lines, marks: marks || [], write, pick, zoomed, title });
    this.xs = nights.map((n) => model.at[n]);
    this.at = null; // place of the chosen night
    this.draw(range);
    this.resize = new ResizeObserver(() => {
      const width = this.width();
      if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.height() });
    });
    this.resize.observe(box);
    box.addEventListener("keydown", (e) => this.key(e));
  }

  width() {
    return Math.floor(this.box.clientWidth);
  }

  height() {
    return window.innerWidth < 600 ? 240 : 300;
  }

  // draw makes the plot anew, in the colours of the theme.
  draw(range) {
    if (this.plot) {
      const { min, max } = this.plot.scales.x;
      range = range || [min, max];
      this.plot.destroy();
    }
    const quiet = colour("--quiet");
    const rule = colour("--rule");
    const axis = { stroke: quiet, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 }, font: "12px system-ui, sans-serif" };
    const options = {
      width: this.width(),
      height: this.height(),
      legend: { show: false },
      tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
      scales: { x: { time: true, range: (_, min, max) => (min === max ? [min - night, max + night] : [min, max]) }, y: { range: (u, min, max) => this.range(u, min, max) } },
      axes: [Object.assign({}, axis, { values: dateTicks, space: 62 }), Object.assign({}, axis, { size: 74, values: (_, ticks) => ticks.map((v) => this.write(v)) })],
      series: [{}, ...this.lines.map((line) => this.series(line))],
      cursor: { drag: { x: true, y: false, dist: 8 }, focus: { prox: 24 }, points: { size: 7 } },
      hooks: {
        drawAxes: [(u) => this.bands(u)],
        draw: [(u) => this.overlay(u)],
        setCursor: [(u) => this.hover(u)],
        setScale: [(u, key) => key === "x" && this.scaled(u.scales.x)],
      },
    };
    this.ready = false;
    this.plot = new uPlot(options, [this.xs, ...this.lines.map((line) => line.values)], this.box);
    if (range) this.plot.setScale("x", { min: range[0], max: range[1] });
    this.plot.over.addEventListener("mousedown", (e) => (this.pressed = e.clientX));
    this.plot.over.addEventListener("click", (e) => {
      if (Math.abs(e.clientX - this.pressed) < 6 && this.plot.cursor.idx !== null && this.plot.cursor.idx !== undefined) this.choose(this.plot.cursor.idx, true);
    });
    this.plot.over.addEventListener("mouseleave", () => (this.tip.hidden = true));
    this.tip = el("div", { class: "tip", hidden: true });
    this.plot.over.append(this.tip);
    // uPlot commits its first scales a moment later; only what comes then is a person's doing.
    setTimeout(() => (this.ready = true), 50);
  }

  // scaled tells of a stretch of time that a person chose. uPlot says so at every drawing.
  scaled({ min, max }) {
    if (this.min === min && this.max === max) return;
    Object.assign(this, { min, max });
    if (this.zoomed && this.ready) this.zoomed(min, max);
  }

  series(line) {
    const stroke = lineColour(line.colour);
    return {
      label: line.label,
      stroke,
      width: line.front ? 2.2 : 1.4,
      dash: line.dash ? [6, 4] : undefined,
      points: { show: (u, _, i0, i1) => i1 - i0 <= 120, size: 4, stroke, fill: stroke },
      gaps: (u, _, from, to, found) => this.gaps(u, line, from, to, found),
    };
  }

  // gaps are where no line is drawn: across a break, and where more than a night and a half lies between two points.
  gaps(u, line, from, to, found) {
    const all = [...found];
    let last = null;
    for (let i = from; i <= to; i++) {
      if (line.values[i] === null || line.values[i] === undefined) continue;
      if (last !== null && (line.breaks.has(this.nights[i]) || this.xs[i] - this.xs[last] > 1.5 * night)) {
        all.push([u.valToPos(this.xs[last], "x", true), u.valToPos(this.xs[i], "x", true)]);
      }
      last = i;
    }
    return all.sort((a, b) => a[0] - b[0]);
  }

  // range fits the lines and the intervals that are drawn, with some air, never finer than 1 %.
  range(u, min, max) {
    if (min === null || max === null) return [0, 1];
    const [from, to] = u.series[0].idxs || [0, this.xs.length - 1];
    for (const line of this.lines) {
      if (!line.band) continue;
      for (let i = from; i <= to; i++) {
        if (line.low[i]) min = Math.min(min, line.low[i]);
        if (line.high[i]) max = Math.max(max, line.high[i]);
      }
    }
    const air = Math.max((max - min) * 0.08, Math.abs(max) * 0.005);
    return [min - air, max + air];
  }

  // bands fills the intervals of the lines in front: whiskers where nights are far apart, else an area.
  bands(u) {
    const [from, to] = u.series[0].idxs;
    const few = to - from <= 120;
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    u.ctx.clip();
    for (const line of this.lines) {
      if (!line.band) continue;
      u.ctx.strokeStyle = u.ctx.fillStyle = lineColour(line.colour);
      u.ctx.lineWidth = devicePixelRatio;
      u.ctx.globalAlpha = few ? 0.55 : 0.2;
      if (few) this.whiskers(u, line, from, to);
      else this.area(u, line, from, to);
    }
    u.ctx.restore();
  }

  whiskers(u, line, from, to) {
    u.ctx.beginPath();
    for (let i = Math.max(from - 1, 0); i <= Math.min(to + 1, this.xs.length - 1); i++) {
      if (!line.low[i] || !line.high[i]) continue;
      const x = u.valToPos(this.xs[i], "x", true);
      u.ctx.moveTo(x, u.valToPos(line.low[i], "y", true));
      u.ctx.lineTo(x, u.valToPos(line.high[i], "y", true));
    }
    u.ctx.stroke();
  }

  area(u, line, from, to) {
    let stretch = [];
    const flush = () => {
      if (stretch.length > 1) {
        u.ctx.beginPath();
        stretch.forEach((i) => u.ctx.lineTo(u.valToPos(this.xs[i], "x", true), u.valToPos(line.high[i], "y", true)));
        stretch.reverse().forEach((i) => u.ctx.lineTo(u.valToPos(this.xs[i], "x", true), u.valToPos(line.low[i], "y", true)));
        u.ctx.fill();
      }
      stretch = [];
    };
    for (let i = Math.max(from - 1, 0); i <= Math.min(to + 1, this.xs.length - 1); i++) {
      const last = stretch[stretch.length - 1];
      if (line.breaks.has(this.nights[i]) || (last !== undefined && this.xs[i] - this.xs[last] > 1.5 * night)) flush();
      if (line.low[i] && line.high[i]) stretch.push(i);
    }
    flush();
  }

  // overlay draws change points, breaks and the chosen night.
  overlay(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.font = 11 * devicePixelRatio + "px system-ui, sans-serif";
    ctx.textAlign = "center";
    ctx.lineWidth = devicePixelRatio;
    const upright = (x, style, dash) => {
      ctx.strokeStyle = style;
      ctx.setLineDash(dash.map((d) => d * devicePixelRatio));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    };
    const taken = [];
    for (const mark of this.marks) {
      const x = u.valToPos(model.at[mark.night], "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const style = colour(mark.kind !== "change" ? "--quiet" : mark.way > 0 ? "--bad" : mark.way < 0 ? "--good" : "--quiet");
      upright(x, style, mark.kind !== "change" ? [2, 3] : []);
      if (taken.some((t) => Math.abs(t - x) < 13 * devicePixelRatio)) continue;
      taken.push(x);
      ctx.fillStyle = style;
      ctx.fillText(mark.tag, x, bbox.top - 4 * devicePixelRatio);
    }
    if (this.at !== null) upright(u.valToPos(this.xs[this.at], "x", true), colour("--ink"), [1, 2]);
    ctx.restore();
  }

  // hover shows the night under the cursor beside it.
  hover(u) {
    const i = u.cursor.idx;
    if (!this.tip) return;
    if (i === null || i === undefined || u.cursor.left < 0) {
      this.tip.hidden = true;
      return;
    }
    this.tip.replaceChildren(el("strong", {}, day(this.xs[i])), ...this.lines.filter((line) => line.values[i] !== null && line.values[i] !== undefined).map((line) =>
      el("div", {}, swatch(line), line.label + " " + this.write(line.values[i]))));
    this.tip.hidden = false;
    const left = u.cursor.left > u.over.clientWidth / 2 ? u.cursor.left - this.tip.offsetWidth - 12 : u.cursor.left + 12;
    this.tip.style.left = Math.max(0, left) + "px";
    this.tip.style.top = "6px";
  }

  key(e) {
    const last = this.xs.length - 1;
    const at = this.at === null ? last + 1 : this.at;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last, PageUp: at - 30, PageDown: at + 30 }[e.key];
    if (e.key === "Enter" && this.at !== null) go(nightLink(this.nights[this.at]));
    if (to === undefined || e.altKey || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    this.choose(Math.min(Math.max(to, 0), last), true);
  }

  // choose marks a night and tells whoever wants to know.
  choose(place, tell) {
    this.at = place;
    this.plot.redraw(false);
    if (tell && this.pick) this.pick(this.nights[place]);
  }

  chooseNight(n) {
    const place = this.nights.indexOf(n);
    if (place >= 0) this.choose(place, false);
  }

  zoom(min, max) {
    this.plot.setScale("x", { min, max });
  }

  destroy() {
    this.resize.disconnect();
    this.plot.destroy();
  }
}

// dateTicks writes days as "Aug 13", months as "Aug", and the year under the first tick and each January.
function dateTicks(u, ticks, axis, space, step) {
  let year = "";
  return ticks.map((seconds) => {
    const date = new Date(seconds * 1000);
    const month = date.toLocaleString("en-US", { month: "short", timeZone: "UTC" });
    let text = step >= 28 * night ? month : month + " " + date.getUTCDate();
    if (step < night) text += " " + date.toISOString().slice(11, 16);
    const now = String(date.getUTCFullYear());
    if (now === year) return text;
    year = now;
    return text + "\n" + now;
  });
}

// swatch is a line's colour and dash as a small picture.
function swatch(line) {
  const stroke = svg("line", { x1: 0, y1: 5, x2: 18, y2: 5, "stroke-width": 3, class: "line-" + (line.colour % palette), "stroke-dasharray": line.dash ? "5 3" : null });
  return svg("svg", { class: "swatch", viewBox: "0 0 18 10", width: 18, height: 10, "aria-hidden": "true" }, stroke);
}

// column puts the values of some nights at their places among all nights of a chart.
function column(nights, of, values) {
  const out = new Array(nights.length).fill(null);
  const place = new Map(nights.map((n, i) => [n, i]));
  of.forEach((n, i) => {
    if (place.has(n)) out[place.get(n)] = values[i];
  });
  return out;
}

// drawnNights are all nights but the moves of the anchor and those whose time is out of line: uPlot needs ascending times.
function drawnNights() {
  const out = [];
  let last = 0;
  model.at.forEach((at, i) => {
    if (model.moves.has(i) || at <= last) return;
    out.push(i);
    last = at;
  });
  return out;
}
