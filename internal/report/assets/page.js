'use strict';

// The page's scripts share this one name. Here: the state that a link shares, the theme, and the tables.
// charts.js draws curves, flame.js flame graphs. No script makes elements from text: names stay text.
const duet = {};

// element makes an element with properties and children.
duet.element = (tag, properties = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes('-') || key === 'role' || key === 'for') made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
};

// State: keys and values in the URL's fragment. Who shows some of it registers a function that restores it.
duet.state = (() => {
  const restorers = [];
  const read = () => new URLSearchParams(location.hash.slice(1));
  let written = location.hash;

  function set(values) {
    const parameters = read();
    for (const [key, value] of Object.entries(values)) {
      if (value === '' || value === null || value === undefined) parameters.delete(key);
      else parameters.set(key, value);
    }
    for (const [key, value] of [...parameters]) if (value === '') parameters.delete(key); // a part's own anchor
    written = '#' + parameters;
    history.replaceState(null, '', written);
  }

  function restore(restorer) {
    restorers.push(restorer);
    restorer(read());
  }

  window.addEventListener('hashchange', () => {
    if (location.hash === written) return;
    written = location.hash;
    const parameters = read();
    if ([...parameters.values()].every((value) => value === '')) return; // an anchor
    restorers.forEach((restorer) => restorer(parameters));
  });
  // An anchor inside the page must not drop the state.
  document.addEventListener('click', (event) => {
    const link = event.target.closest('a[href^="#"]');
    const part = link && document.getElementById(link.getAttribute('href').slice(1));
    if (!part) return;
    event.preventDefault();
    part.scrollIntoView();
    part.setAttribute('tabindex', '-1');
    part.focus({ preventScroll: true });
  });
  return { set, restore };
})();

// Theme: as the system, or as chosen here. Drawings register to be drawn again.
duet.theme = (() => {
  const names = ['', 'light', 'dark'];
  const words = { '': 'Theme: as the system', light: 'Theme: light', dark: 'Theme: dark' };
  const button = document.getElementById('theme');
  const probe = document.body.appendChild(duet.element('span', { hidden: true }));
  const redraws = [];
  let chosen = '';

  const store = (value) => {
    try {
      if (value === undefined) return localStorage.getItem('duet-theme') || '';
      localStorage.setItem('duet-theme', value);
    } catch { /* a browser that keeps nothing for files */ }
    return '';
  };

  function show(name) {
    chosen = names.includes(name) ? name : '';
    if (chosen) document.documentElement.dataset.theme = chosen;
    else delete document.documentElement.dataset.theme;
    button.textContent = words[chosen];
    redraws.forEach((redraw) => redraw());
  }

  button.hidden = false;
  button.addEventListener('click', () => {
    show(names[(names.indexOf(chosen) + 1) % names.length]);
    store(chosen);
  });
  const system = matchMedia('(prefers-color-scheme: dark)');
  system.addEventListener('change', () => redraws.forEach((redraw) => redraw()));
  show(store());

  // colour is a custom property's colour as canvas takes it.
  const colour = (property) => {
    probe.style.color = `var(${property})`;
    return getComputedStyle(probe).color;
  };
  const dark = () => (chosen ? chosen === 'dark' : system.matches);
  return { colour, dark, onChange: (redraw) => redraws.push(redraw) };
})();

// quantity writes a value of a base unit in three digits: 0.000412 s is "412 µs".
duet.quantity = (() => {
  const scales = {
    s: [[1e-9, 'ns'], [1e-6, 'µs'], [1e-3, 'ms'], [1, 's']],
    B: [[1, 'B'], [1e3, 'kB'], [1e6, 'MB'], [1e9, 'GB']],
  };
  const digits = (value) => {
    const size = Math.abs(value);
    if (size === 0) return '0';
    if (size >= 100) return Math.round(Number(value.toPrecision(3))).toLocaleString('en-US');
    if (size < 0.001) return String(Number(value.toPrecision(3)));
    return value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
  };
  return (value, unit, by = value) => {
    if (value === null || value === undefined || !Number.isFinite(value)) return '–';
    const steps = scales[unit] || [[1, unit]];
    const step = steps.findLast(([size]) => Math.abs(by) * 1.0005 >= size) || steps[0];
    return `${digits(value / step[0])} ${step[1]}`.replace('-', '−').trim();
  };
})();

// percent writes a share with a sign: 0.071 is "+7.1 %".
duet.percent = (share) => {
  if (!Number.isFinite(share)) return '–';
  const size = Math.abs(share * 100);
  const digits = size >= 99.95 ? 0 : size >= 0.995 || size === 0 ? 1 : 2;
  const text = size.toFixed(digits);
  return `${Number(text) === 0 ? '' : share < 0 ? '−' : '+'}${text} %`;
};

// Tables: sorted by a click on a title, up, down, and as they came.
duet.sortable = (table) => {
  const body = table.tBodies[0];
  const given = [...body.rows];
  const titles = [...table.tHead.rows[0].cells];
  const key = `${table.id}.sort`;

  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell.classList.contains('number')) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === '' ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => (typeof a === 'string' ? a.localeCompare(b, 'en', { numeric: true }) : a - b);

  function sort(column, direction) {
    titles.forEach((title, i) => title.setAttribute('aria-sort', i === column && direction ? direction : 'none'));
    let rows = given;
    if (direction) {
      const sign = direction === 'descending' ? -1 : 1;
      const blank = (v) => v === null || v === '' || v === '–'; // stays below, whatever the direction
      rows = given.map((row) => [value(row, column), row])
        .sort(([a], [b]) => (blank(a) || blank(b) ? blank(a) - blank(b) : sign * compare(a, b)))
        .map(([, row]) => row);
    }
    body.append(...rows);
  }

  titles.forEach((title, column) => {
    title.querySelector('button').addEventListener('click', () => {
      const first = title.classList.contains('number') ? 'descending' : 'ascending';
      const second = first === 'descending' ? 'ascending' : 'descending';
      const next = { none: first, [first]: second, [second]: '' }[title.getAttribute('aria-sort') || 'none'];
      sort(column, next);
      duet.state.set({ [key]: next && `${title.dataset.key}.${next}` });
    });
  });
  duet.state.restore((parameters) => {
    const [, name, direction] = /^(.+)\.(ascending|descending)$/.exec(parameters.get(key) || '') || [];
    sort(titles.findIndex((title) => title.dataset.key === name), direction || '');
  });
};

// The rows' filter: every word must be found in the row, and its verdict be one of those pressed, if any is.
duet.filter = (table) => {
  const find = document.getElementById('rows-find');
  const shown = document.getElementById('rows-shown');
  const chips = [...document.querySelectorAll('#rows-controls [data-verdict]')];
  const rows = [...table.tBodies[0].rows];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const pressed = () => chips.filter((chip) => chip.getAttribute('aria-pressed') === 'true').map((chip) => chip.dataset.verdict);

  function apply() {
    const terms = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = pressed();
    let count = 0;
    for (const row of rows) {
      const fits = terms.every((term) => texts.get(row).includes(term)) && (!verdicts.length || verdicts.includes(row.dataset.verdict));
      row.hidden = !fits;
      if (fits) count++;
    }
    shown.value = `${count} of ${rows.length} rows`;
  }
  function changed() {
    apply();
    duet.state.set({ 'rows.find': find.value, 'rows.verdict': pressed().join(',') });
  }

  find.addEventListener('input', changed);
  chips.forEach((chip) => chip.addEventListener('click', () => {
    chip.setAttribute('aria-pressed', String(chip.getAttribute('aria-pressed') !== 'true'));
    changed();
  }));
  duet.state.restore((parameters) => {
    find.value = parameters.get('rows.find') || '';
    const verdicts = (parameters.get('rows.verdict') || '').split(',');
    chips.forEach((chip) => chip.setAttribute('aria-pressed', String(verdicts.includes(chip.dataset.verdict))));
    apply();
  });
  document.getElementById('rows-controls').hidden = false;
};

document.querySelectorAll('table.sorts').forEach(duet.sortable);
if (document.getElementById('rows-controls')) duet.filter(document.getElementById('rows'));
duet.data = JSON.parse(document.getElementById('data').textContent);
