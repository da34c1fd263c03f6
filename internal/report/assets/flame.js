'use strict';

// Flame graphs of one service under one workload: base, head, and the difference. The root is on top; a frame is as wide
// as what it cost a request with all that it called. In the difference a frame has head's width, or base's where it
// vanished; red cost more at head, blue less, paler the less sure that is. Drawn on a canvas, which stays fast with tens
// of thousands of frames; everything can be done by keyboard, and the frame chosen is said in words below.
duet.flame = (() => {
  const ROW = 20; // pixels
  const CHARACTER = 6.7; // width of one in FONT, about; measured before use
  const FONT = '11px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace';
  const NARROWEST = 0.4; // pixels; thinner boxes are not drawn
  const UNSURE = 2; // standard errors up to which a change has no colour
  const SURE = 6; // standard errors from which it has all of it
  const LISTED = 12; // functions below the graph
  const LARGE = 0.02; // of all: the change that has all of the colour where nothing was sampled

  const home = document.getElementById('flame');
  const data = duet.data;
  if (!home || !data.graphs.length) return {};

  // ---- colours ----

  const mix = (from, to, part) => `rgb(${from.map((v, i) => Math.round(v + (to[i] - v) * part)).join(' ')})`;
  const palette = (dark) => (dark
    ? { rest: [46, 55, 65], own: [[116, 76, 22], [140, 62, 34], [96, 88, 24]], more: [206, 52, 52], less: [44, 112, 214], ink: '#eef2f6', hit: '#b32fd1', hitInk: '#ffffff', edge: '#0f1419' }
    : { rest: [226, 231, 236], own: [[255, 206, 122], [255, 186, 140], [240, 216, 120]], more: [235, 84, 76], less: [86, 150, 240], ink: '#14181c', hit: '#e27bf5', hitInk: '#14181c', edge: '#ffffff' });

  // sureness is how much of its colour a change has, 0 to 1.
  function sureness(node, all) {
    if (tree.sampled) return Math.min(1, Math.max(0, (Math.abs(node.z) - UNSURE) / (SURE - UNSURE)));
    return Math.min(1, Math.abs(node.head - node.base) / (LARGE * all));
  }

  function fill(node, colours) {
    if (shown.view === 'difference') {
      return mix(colours.rest, node.head > node.base ? colours.more : colours.less, sureness(node, Math.max(tree.root.base, tree.root.head)));
    }
    if (!node.own) return mix(colours.rest, colours.rest, 0);
    let hash = 0;
    for (const c of node.file || node.name) hash = (hash * 31 + c.codePointAt(0)) % 9973;
    return mix(colours.own[hash % colours.own.length], colours.rest, 0);
  }

  // ---- what is shown ----

  const shown = { graph: 0, view: 'difference', runtime: false, find: '' };
  let tree = { root: null, sampled: true };
  let zoomed = null;
  let chosen = null;
  let matches = null; // a set of frames, or null
  let boxes = [];

  const unit = () => data.graphs[shown.graph].unit;
  const views = () => {
    const [base, head] = data.graphs[shown.graph].sides;
    return [base && 'base', head && 'head', base && head && 'difference'].filter(Boolean);
  };

  // plant makes the tree of what is to be shown.
  function plant() {
    if (!views().includes(shown.view)) shown.view = views().at(-1) || 'head';
    const graph = data.graphs[shown.graph];
    const whole = duet.stacks.decode(graph, data);
    tree = { root: shown.runtime ? whole : duet.stacks.fromOwn(whole), sampled: graph.z.some((z) => z !== 0) };
    duet.stacks.measure(tree.root, shown.view);
    zoomed = chosen = tree.root;
    seek();
  }

  // path is the way to a node: the place of each call in its caller's list.
  const path = (node) => (node.parent ? [...path(node.parent), node.parent.calls.indexOf(node)] : []);
  const at = (places) => places.reduce((node, place) => node?.calls[place], tree.root) || tree.root;

  // seek marks the frames whose name or file holds what is looked for; /…/ is a regular expression.
  function seek() {
    matches = null;
    if (!shown.find) return;
    let test = (text) => text.toLowerCase().includes(shown.find.toLowerCase());
    const [, source] = /^\/(.+?)\/?$/.exec(shown.find) || [];
    if (source) {
      try {
        const expression = new RegExp(source, 'i');
        test = (text) => expression.test(text);
      } catch { /* not one yet: looked for as it is */ }
    }
    matches = new Set(data.frames.map(([name, file], i) => (test(data.names[name]) || (file >= 0 && test(data.names[file])) ? i : -1)).filter((i) => i >= 0));
  }

  // found sums what the topmost matching frames cost, so that none counts twice.
  function found() {
    const sum = { frames: 0, base: 0, head: 0 };
    const walk = (node, inside) => {
      const hit = matches.has(node.frame) && node.parent;
      if (hit) sum.frames++;
      if (hit && !inside) {
        sum.base += node.base;
        sum.head += node.head;
      }
      node.calls.forEach((call) => walk(call, inside || hit));
    };
    walk(tree.root, false);
    return sum;
  }

  // ---- the canvas ----

  // layOut places the boxes: the zoomed frame and its callers over the whole width, what it calls below in proportion.
  function layOut(width) {
    boxes = [];
    const lineage = [];
    for (let node = zoomed; node; node = node.parent) lineage.unshift(node);
    lineage.forEach((node, row) => boxes.push({ node, x: 0, width, row }));
    const place = (node, x, scale, row) => {
      let left = x;
      for (const call of node.calls) {
        const wide = call.width * scale;
        if (wide >= NARROWEST) {
          boxes.push({ node: call, x: left, width: wide, row });
          place(call, left, scale, row + 1);
        }
        left += wide;
      }
    };
    if (zoomed.width > 0) place(zoomed, 0, width / zoomed.width, lineage.length);
    return Math.max(...boxes.map((box) => box.row)) + 1;
  }

  function drawBox(context, box, colours, character) {
    const { node, row } = box;
    const y = row * ROW;
    const gap = box.width > 3 ? 1 : 0;
    const hit = matches?.has(node.frame) && node.parent;
    context.globalAlpha = (matches && !hit) || (row < boxes.zoomRow) ? 0.5 : 1;
    context.fillStyle = hit ? colours.hit : fill(node, colours);
    context.fillRect(box.x, y, box.width - gap, ROW - 1);
    if (shown.view === 'difference' && node.head === 0 && box.width > 4) { // vanished
      context.setLineDash([3, 3]);
      context.strokeStyle = colours.ink;
      context.strokeRect(box.x + 1, y + 1, box.width - gap - 2, ROW - 3);
      context.setLineDash([]);
    }
    const room = Math.floor((box.width - gap - 6) / character);
    if (room >= 3) {
      const text = duet.stacks.label(node.name);
      context.fillStyle = hit ? colours.hitInk : colours.ink;
      context.globalAlpha = 1;
      context.fillText(text.length > room ? `${text.slice(0, room - 1)}…` : text, box.x + 4, y + ROW / 2);
    }
    context.globalAlpha = 1;
    if (node === chosen && box.width >= 1) {
      context.lineWidth = 2;
      context.strokeStyle = colours.ink;
      context.strokeRect(box.x + 1, y + 1, Math.max(1, box.width - gap - 2), ROW - 3);
      context.lineWidth = 1;
    }
  }

  function draw() {
    const { canvas, stage } = parts;
    const width = stage.clientWidth;
    const rows = layOut(width);
    boxes.zoomRow = path(zoomed).length;
    const density = Math.min(3, window.devicePixelRatio || 1);
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(rows * ROW * density);
    canvas.style.height = `${rows * ROW}px`;
    const context = canvas.getContext('2d');
    context.scale(density, density);
    context.font = FONT;
    context.textBaseline = 'middle';
    const character = context.measureText('mmmmmmmmmm').width / 10 || CHARACTER;
    const colours = palette(duet.theme.dark());
    boxes.forEach((box) => drawBox(context, box, colours, character));
    parts.ramp.replaceChildren(...ramp(colours));
    say();
  }

  // ramp is what the colours mean.
  function ramp(colours) {
    if (shown.view !== 'difference') return ['Coloured: own code, a hue a file. Grey: libraries and the runtime.'];
    const swatch = duet.element('canvas', { width: 120, height: 12, 'aria-hidden': 'true' });
    const context = swatch.getContext('2d');
    for (let x = 0; x < 120; x++) {
      const part = (x - 60) / 60;
      context.fillStyle = mix(colours.rest, part > 0 ? colours.more : colours.less, Math.abs(part));
      context.fillRect(x, 0, 1, 12);
    }
    const sure = tree.sampled ? `full colour: ${SURE} standard errors or more, none: below ${UNSURE}` : 'full colour: 2 % of all or more';
    return ['less at head', swatch, `more at head · ${sure} · dashed: gone at head`];
  }

  // ---- words ----

  // figures are a frame's costs as a table.
  function figures(node) {
    const { root } = tree;
    const sides = data.graphs[shown.graph].sides;
    const head = ['', sides[0] && 'base', sides[1] && 'head', sides[0] && sides[1] && 'change'].filter((title) => title !== false);
    const row = (title, base, top) => {
      const by = Math.max(base, top);
      const cost = (v, all) => [duet.quantity(v, unit(), by), `(${all > 0 ? (100 * v / all).toFixed(1) : '0.0'} %)`];
      const cells = [];
      if (sides[0]) cells.push(cost(base, root.base));
      if (sides[1]) cells.push(cost(top, root.head));
      if (sides[0] && sides[1]) {
        const change = top - base;
        cells.push([`${change > 0 ? '+' : ''}${duet.quantity(change, unit())}`, base > 0 ? `(${duet.percent(change / base)})` : '']);
      }
      return duet.element('tr', {}, duet.element('th', { scope: 'row' }, title), 
        ...cells.map(([value, part]) => duet.element('td', {}, value, ' ', duet.element('span', { className: 'part' }, part))));
    };
    return duet.element('table', { className: 'flame-figures' },
      duet.element('thead', {}, duet.element('tr', {}, ...head.map((title) => duet.element('th', { scope: 'col' }, title)))),
      duet.element('tbody', {}, row('with calls', node.base, node.head), row('itself', node.selfBase, node.selfHead)));
  }

  function certainty(node) {
    if (!tree.sampled || views().length < 3) return '';
    if (Math.abs(node.z) < UNSURE) return 'The change is within what sampling varies by.';
    return `The change is ${Math.abs(node.z).toFixed(1)} standard errors.`;
  }

  function describe(node) {
    const place = node.file ? `${node.file}${node.line ? `:${node.line}` : ''}` : '';
    const words = certainty(node);
    return [
      duet.element('div', { className: 'flame-name' }, node.name),
      ...(place ? [duet.element('div', { className: 'flame-place' }, place)] : []),
      figures(node),
      ...(words ? [duet.element('div', {}, words)] : []),
    ];
  }

  // say writes what is chosen and found, and what a test may look at.
  function say() {
    parts.details.replaceChildren(...describe(chosen));
    parts.reset.disabled = zoomed === tree.root;
    home.dataset.zoom = zoomed.name;
    home.dataset.chosen = chosen.name;
    home.dataset.boxes = boxes.length;
    if (!matches) {
      parts.found.value = '';
      return;
    }
    const sum = found();
    const share = (v, all) => `${all > 0 ? (100 * v / all).toFixed(1) : '0.0'} %`;
    const sides = data.graphs[shown.graph].sides;
    const of = [sides[0] && `${share(sum.base, tree.root.base)} of base`, sides[1] && `${share(sum.head, tree.root.head)} of head`].filter(Boolean);
    parts.found.value = `${sum.frames} ${sum.frames === 1 ? 'frame' : 'frames'}: ${of.join(', ')}`;
  }

  // list writes the functions that cost most themselves, or of the difference, that changed most and surely.
  function list() {
    const { samples } = data.graphs[shown.graph];
    const difference = shown.view === 'difference';
    const weight = (sum) => (difference ? Math.abs(sum.head - sum.base) : sum[shown.view]);
    const top = duet.stacks.functions(tree.root, samples)
      .filter((sum) => weight(sum) > 0 && (!difference || !tree.sampled || Math.abs(sum.z) >= UNSURE))
      .sort((a, b) => weight(b) - weight(a)).slice(0, LISTED);
    const costs = (sum) => (difference ? [sum.base, sum.head] : [sum[shown.view]]).map((v) => duet.quantity(v, unit()));
    const change = (sum) => (difference ? [`${sum.head > sum.base ? '+' : ''}${duet.quantity(sum.head - sum.base, unit())}`] : []);
    const row = (sum) => {
      const name = duet.element('button', { type: 'button', className: 'link', title: sum.name }, duet.stacks.label(sum.name));
      name.addEventListener('click', () => look(sum.name));
      return duet.element('tr', {}, duet.element('td', {}, name, duet.element('span', { className: 'flame-place part' }, sum.file ? ` ${sum.file}${sum.line ? `:${sum.line}` : ''}` : '')),
        ...[...costs(sum), ...change(sum)].map((cell) => duet.element('td', { className: 'number' }, cell)));
    };
    const titles = ['function', ...(difference ? ['base', 'head', 'change'] : [shown.view])];
    parts.summary.textContent = difference ? 'Functions that changed most by themselves' : 'Functions that cost most by themselves';
    parts.list.replaceChildren(top.length ? duet.element('table', {},
      duet.element('thead', {}, duet.element('tr', {}, ...titles.map((title, i) => duet.element('th', { scope: 'col', className: i ? 'number' : '' }, title)))),
      duet.element('tbody', {}, ...top.map(row))) : 'None by more than sampling varies.');
  }

  // ---- what a reader does ----

  function share() {
    const graph = data.graphs[shown.graph];
    duet.state.set({
      flame: [graph.service, graph.workload, graph.kind].join('·'), 'flame.view': shown.view, 'flame.runtime': shown.runtime ? '1' : '',
      'flame.find': shown.find, 'flame.zoom': path(zoomed).join('.'),
    });
  }

  function zoom(node) {
    zoomed = chosen = node;
    draw();
    share();
  }

  // look searches for a text.
  function look(text) {
    shown.find = parts.find.value = text;
    seek();
    draw();
    share();
  }

  // move chooses a frame and brings it into view.
  function move(node) {
    if (!node) return;
    chosen = node;
    draw();
    const y = parts.canvas.getBoundingClientRect().top + path(node).length * ROW;
    if (y < ROW) window.scrollBy(0, y - 2 * ROW);
    else if (y > window.innerHeight - 2 * ROW) window.scrollBy(0, y - window.innerHeight + 3 * ROW);
  }

  // hit is the box at a place of the canvas.
  function hit(event) {
    const { left, top } = parts.canvas.getBoundingClientRect();
    const x = event.clientX - left;
    const row = Math.floor((event.clientY - top) / ROW);
    return boxes.findLast((box) => box.row === row && x >= box.x && x < box.x + Math.max(1, box.width))?.node;
  }

  function hover(event) {
    const node = event.pointerType === 'touch' ? null : hit(event);
    const { tip, stage } = parts;
    tip.hidden = !node;
    if (!node) return;
    tip.replaceChildren(...describe(node));
    const { left, top } = stage.getBoundingClientRect();
    const x = Math.min(event.clientX - left + 14, stage.clientWidth - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(0, x)}px`;
    const below = event.clientY - top + 18;
    const room = window.innerHeight - event.clientY > tip.offsetHeight + 30;
    tip.style.top = `${room ? below : Math.max(0, below - tip.offsetHeight - 34)}px`;
  }

  const keys = {
    ArrowUp: () => move(chosen.parent),
    ArrowDown: () => move(widest(chosen)),
    ArrowLeft: () => move(beside(-1)),
    ArrowRight: () => move(beside(1)),
    Enter: () => zoom(chosen),
    ' ': () => zoom(chosen),
    Escape: () => zoom(tree.root),
    Backspace: () => zoom(zoomed.parent || tree.root),
    '/': () => parts.find.focus(),
  };
  const widest = (node) => node.calls.reduce((best, call) => (best && best.width >= call.width ? best : call), null);
  // beside is the next drawn box of the same row.
  function beside(step) {
    const row = path(chosen).length;
    const drawn = boxes.filter((box) => box.row === row).map((box) => box.node);
    return drawn[drawn.indexOf(chosen) + step];
  }

  function key(event) {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }

  // ---- the page around it ----

  const fields = ['service', 'workload', 'kind'];
  const parts = build();

  function build() {
    const selects = fields.map((field) => {
      const values = [...new Set(data.graphs.map((graph) => graph[field]))];
      const select = duet.element('select', { id: `flame-${field}`, 'aria-label': field === 'kind' ? 'cost' : field },
        ...values.map((value) => duet.element('option', { value }, value)));
      select.addEventListener('change', () => pick(field));
      return select;
    });
    const radios = ['base', 'head', 'difference'].map((view) => {
      const radio = duet.element('input', { type: 'radio', name: 'flame-view', value: view });
      radio.addEventListener('change', () => change({ view }));
      return duet.element('label', {}, radio, duet.element('span', {}, view));
    });
    const find = duet.element('input', { type: 'search', id: 'flame-find', placeholder: 'text or /expression/', autocomplete: 'off', spellcheck: false });
    const runtime = duet.element('input', { type: 'checkbox', id: 'flame-runtime' });
    const made = {
      selects, radios, find, runtime,
      found: duet.element('output', { id: 'flame-found', for: 'flame-find' }),
      reset: duet.element('button', { type: 'button', id: 'flame-reset' }, 'Whole graph'),
      ramp: duet.element('div', { className: 'ramp' }),
      canvas: duet.element('canvas', {
        id: 'flame-canvas', tabIndex: 0, role: 'application', 'aria-roledescription': 'flame graph', 'aria-describedby': 'flame-details',
        'aria-label': 'Flame graph. Arrow keys move, Enter zooms in, Escape zooms out, slash searches.',
      }),
      tip: duet.element('div', { className: 'flame-tip', hidden: true, role: 'tooltip' }),
      details: duet.element('div', { className: 'flame-details', id: 'flame-details', 'aria-live': 'polite' }),
    };
    made.source = duet.element('p', { className: 'note' });
    made.summary = duet.element('summary');
    made.list = duet.element('div', { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Functions' });
    made.stage = duet.element('div', { className: 'flame-stage' }, made.canvas, made.tip);
    home.append(
      duet.element('div', { className: 'controls' }, ...selects, duet.element('div', { className: 'segments', role: 'radiogroup', 'aria-label': 'side' }, ...radios)),
      duet.element('div', { className: 'controls' }, duet.element('label', {}, 'Search ', find), made.found, duet.element('label', {}, runtime, 'runtime frames above own code'), made.reset),
      made.ramp, made.details, made.stage, duet.element('details', {}, made.summary, made.list), made.source);
    return made;
  }

  // pick takes the graph that fits the field changed, and the other fields as far as it can.
  function pick(changed) {
    const wanted = Object.fromEntries(parts.selects.map((select, i) => [fields[i], select.value]));
    const score = (graph) => fields.reduce((sum, field) => sum + (graph[field] === wanted[field] ? (field === changed ? 9 : 1) : 0), 0);
    const best = data.graphs.reduce((found, graph, i) => (score(graph) > score(data.graphs[found]) ? i : found), 0);
    change({ graph: best });
  }

  // change shows something else, at the same frame where it is there.
  function change(what) {
    Object.assign(shown, what);
    const names = [];
    if (tree.root && what.view) for (let node = zoomed; node.parent; node = node.parent) names.unshift(node.parent.calls.indexOf(node));
    plant();
    zoomed = chosen = at(names);
    settle();
    draw();
    share();
  }

  // settle brings the controls in line with what is shown.
  function settle() {
    const graph = data.graphs[shown.graph];
    parts.selects.forEach((select, i) => { select.value = graph[fields[i]]; });
    parts.radios.forEach(({ firstChild: radio }) => {
      radio.checked = radio.value === shown.view;
      radio.disabled = !views().includes(radio.value);
    });
    parts.find.value = shown.find;
    parts.runtime.checked = shown.runtime;
    const [base, head] = graph.samples.map((n) => n.toLocaleString('en-US'));
    const of = [graph.sides[0] && `${base} at base`, graph.sides[1] && `${head} at head`].filter(Boolean).join(', ');
    parts.source.textContent = `Samples of ${graph.tool || 'a profiler'}: ${of}.`;
    list();
  }

  function listen() {
    parts.canvas.addEventListener('click', (event) => {
      const node = hit(event);
      if (node) zoom(node);
    });
    parts.canvas.addEventListener('pointermove', hover);
    parts.canvas.addEventListener('pointerleave', () => { parts.tip.hidden = true; });
    parts.canvas.addEventListener('keydown', key);
    parts.runtime.addEventListener('change', () => change({ runtime: parts.runtime.checked }));
    parts.reset.addEventListener('click', () => zoom(tree.root));
    parts.find.addEventListener('input', () => look(parts.find.value));
    new ResizeObserver(() => {
      if (Math.abs(parts.canvas.clientWidth * Math.min(3, window.devicePixelRatio || 1) - parts.canvas.width) > 2) draw();
    }).observe(parts.stage);
    duet.theme.onChange(draw);
  }

  home.hidden = false;
  listen();
  duet.state.restore((parameters) => {
    const named = data.graphs.findIndex((graph) => [graph.service, graph.workload, graph.kind].join('·') === parameters.get('flame'));
    Object.assign(shown, {
      graph: Math.max(0, named), view: parameters.get('flame.view') || 'difference', runtime: parameters.get('flame.runtime') === '1', find: parameters.get('flame.find') || '',
    });
    plant();
    zoomed = chosen = at((parameters.get('flame.zoom') || '').split('.').filter(Boolean).map(Number));
    settle();
    draw();
  });
  return { shown };
})();
