'use strict';

// Curves by uPlot: percentiles on an axis that gives every further nine the same room, and memory over time. Bands,
// legend and the keyboard are ours.
duet.charts = (() => {
  const HEIGHT = 270;
  const NINES = [50, 90, 99, 99.9, 99.99];
  const COLOURS = 10;
  const charts = [];
  let linear = false;

  const place = (percentile) => -Math.log10(1 - percentile / 100);
  const round = (quantity) => quantity.replace(/(\.\d*?)0+ /, '$1 ').replace('. ', ' '); // 5.00 ms: 5 ms
  const fade = (colour, alpha) => colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);

  // columns brings a chart's lines to one x, as uPlot wants them: [x, y of the first line, y of the second …].
  function columns(chart, measure) {
    if (chart.kind === 'percentiles') {
      const lines = chart.lines.map((line) => line.y[measure] || []);
      const length = Math.max(0, ...lines.map((y) => y.length));
      return [chart.x.slice(0, length).map(place), ...lines.map((y) => chart.x.slice(0, length).map((_, i) => y[i] ?? null))];
    }
    const drawn = chart.lines.map((line) => [line.x || [], line.y[measure] || []]);
    return uPlot.join(drawn.map(([x, y]) => (x.length ? [x, y] : [[0], [null]])));
  }

  // band fills between the ends of a line's interval.
  function band(plot, line, colour) {
    const { ctx } = plot;
    const known = plot.data[0].map((x, i) => [x, line.low?.[i], line.high?.[i]]).filter(([, low, high]) => low > 0 && high > 0);
    if (known.length < 2) return;
    ctx.beginPath();
    known.forEach(([x, , high]) => ctx.lineTo(plot.valToPos(x, 'x', true), plot.valToPos(high, 'y', true)));
    known.reverse().forEach(([x, low]) => ctx.lineTo(plot.valToPos(x, 'x', true), plot.valToPos(low, 'y', true)));
    ctx.closePath();
    ctx.fillStyle = fade(colour, plot.series.length > 5 ? 0.08 : 0.17); // many overlap
    ctx.fill();
  }

  function bands(chart, colours) {
    return (plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      chart.lines.forEach((line, i) => {
        if (plot.series[i + 1].show) band(plot, line, colours[i]);
      });
      ctx.restore();
    };
  }

  // span is the range of an axis: all lines and their bands; from zero, or the whole decades' parts of a logarithmic one.
  function span(chart, logarithmic) {
    return (plot, low, high) => {
      let bottom = low;
      let top = high;
      chart.lines.forEach((line, i) => {
        if (!plot.series[i + 1].show) return;
        bottom = Math.min(bottom ?? Infinity, ...(line.low || []).filter((v) => v > 0));
        top = Math.max(top ?? 0, ...(line.high || []));
      });
      if (!(top > 0)) return [0.001, 1];
      return logarithmic && bottom > 0 ? [bottom / 1.15, top * 1.15] : [0, top * 1.06];
    };
  }

  // ticks of a logarithmic axis: 1, 2, 5 of every decade, or every digit where that leaves too few.
  function ticks(_, __, low, high) {
    const within = (digits) => {
      const found = [];
      for (let decade = 10 ** Math.floor(Math.log10(low)); decade <= high; decade *= 10) {
        digits.forEach((digit) => found.push(Number((digit * decade).toPrecision(3))));
      }
      return found.filter((tick) => tick >= low && tick <= high);
    };
    const few = within([1, 2, 5]);
    return few.length >= 3 ? few : within([1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9]);
  }

  function options(chart, width, colours, logarithmic, legend) {
    const ink = duet.theme.colour('--muted');
    const grid = { stroke: fade(duet.theme.colour('--edge'), 0.6), width: 1 };
    const axis = { stroke: ink, grid, ticks: { ...grid, size: 5 }, size: 34, font: '12px system-ui, sans-serif' };
    const percentiles = chart.kind === 'percentiles';
    const y = { ...axis, size: 60, values: (_, splits) => splits.map((v) => (v === null ? '' : round(duet.quantity(v, chart.unit)))) };
    if (logarithmic) Object.assign(y, { splits: ticks, filter: (_, splits) => splits });
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
      scales: { x: { time: false }, y: { distr: logarithmic ? 3 : 1, range: span(chart, logarithmic) } },
      axes: [
        percentiles
          ? {
            ...axis,
            splits: (_, __, low, high) => NINES.map(place).filter((x) => x >= low && x <= high),
            values: (_, splits) => splits.map((x) => `p${Number((100 * (1 - 10 ** -x)).toFixed(3))}`),
          }
          : { ...axis, values: (_, splits) => splits.map((v) => `${Number(v.toPrecision(6))} s`) },
        y,
      ],
      series: [
        {},
        ...chart.lines.map((line, i) => ({
          label: line.name,
          stroke: colours[i],
          width: line.head ? 2 : 1.5,
          dash: line.head ? undefined : [6, 4],
          spanGaps: true,
          points: { show: false },
        })),
      ],
      hooks: { drawAxes: [bands(chart, colours)], setCursor: [legend.update] },
    };
  }

  // legend names the lines, hides them on a click and says their values where the cursor is.
  function legend(chart, colours, toggle) {
    const at = duet.element('span', { className: 'at' });
    const items = chart.lines.map((line, i) => {
      const key = duet.element('span', { className: line.head ? 'key' : 'key base' });
      key.style.borderColor = colours[i];
      const value = duet.element('span', { className: 'value' });
      const button = duet.element('button', { type: 'button', 'aria-pressed': 'true' }, key, line.name, value);
      button.classList.add('line');
      button.addEventListener('click', () => {
        const show = button.getAttribute('aria-pressed') !== 'true';
        button.setAttribute('aria-pressed', String(show));
        toggle(i + 1, show);
      });
      return { button, value };
    });
    function update(plot) {
      const index = plot.cursor.idx;
      const known = index !== null && index !== undefined;
      const x = known ? plot.data[0][index] : null;
      items.forEach(({ value }, i) => {
        value.textContent = known && plot.data[i + 1][index] !== null && plot.data[i + 1][index] !== undefined
          ? duet.quantity(plot.data[i + 1][index], chart.unit) : '';
      });
      if (!known) at.textContent = '';
      else if (chart.kind === 'percentiles') at.textContent = `at p${Number(chart.x[index].toFixed(3))}`;
      else at.textContent = `at ${Number(x.toPrecision(3))} s`;
    }
    return { node: duet.element('div', { className: 'legend' }, ...items.map(({ button }) => button), at), update };
  }

  function draw(entry) {
    const { chart, holder } = entry;
    const shown = entry.plot?.series.map((series) => series.show);
    entry.plot?.destroy();
    const logarithmic = chart.kind === 'percentiles' && !linear;
    const colours = chart.lines.map((line) => duet.theme.colour(`--line-${line.colour % COLOURS}`));
    const key = legend(chart, colours, (series, show) => entry.plot.setSeries(series, { show }));
    const drawing = duet.element('div', { className: 'drawing', tabIndex: 0, role: 'img' });
    drawing.setAttribute('aria-label', `${chart.measures[entry.measure]} of ${chart.lines.map((line) => line.name).join(', ')}; arrow keys read values, the same figures are below`);
    holder.replaceChildren(...(entry.choice ? [entry.choice] : []), drawing, key.node);
    entry.plot = new uPlot(options(chart, holder.clientWidth, colours, logarithmic, key), columns(chart, entry.measure), drawing);
    (shown || []).forEach((show, series) => {
      if (show === false) key.node.children[series - 1].click();
    });
    drawing.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const plot = entry.plot;
      const next = Math.min(plot.data[0].length - 1, Math.max(0, (plot.cursor.idx ?? (step > 0 ? -1 : plot.data[0].length)) + step));
      plot.setCursor({ left: plot.valToPos(plot.data[0][next], 'x'), top: 10 });
    });
  }

  function choice(entry) {
    if (entry.chart.measures.length < 2) return null;
    const select = duet.element('select', { 'aria-label': 'Shown' },
      ...entry.chart.measures.map((measure, i) => duet.element('option', { value: String(i) }, measure)));
    select.addEventListener('change', () => {
      entry.measure = Number(select.value);
      draw(entry);
      select.focus();
    });
    return select;
  }

  const widths = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      const entry = charts.find(({ holder }) => holder === target);
      if (entry.plot && entry.plot.width !== target.clientWidth) entry.plot.setSize({ width: target.clientWidth, height: HEIGHT });
    }
  });

  document.querySelectorAll('[data-chart]').forEach((figure) => {
    const chart = duet.data.charts[Number(figure.dataset.chart)];
    const holder = figure.querySelector('.plot');
    if (!chart.lines.some((line) => line.y.some((y) => y?.length))) return;
    const entry = { chart, holder, measure: 0, plot: null };
    entry.choice = choice(entry);
    charts.push(entry);
    draw(entry);
    widths.observe(holder);
  });

  const box = document.getElementById('latency-linear');
  if (box) {
    const show = (wanted) => {
      linear = wanted;
      box.checked = wanted;
      charts.filter(({ chart }) => chart.kind === 'percentiles').forEach(draw);
    };
    box.closest('[hidden]').hidden = false;
    box.addEventListener('change', () => {
      show(box.checked);
      duet.state.set({ 'latency.linear': box.checked ? '1' : '' });
    });
    duet.state.restore((parameters) => {
      if ((parameters.get('latency.linear') === '1') !== linear) show(!linear);
    });
  }
  duet.theme.onChange(() => charts.forEach(draw));
  return { charts };
})();
