'use strict';

// Trees of frames, as flame.js draws them: made of a graph's columns, begun at the service's own code, measured for a view.
// Nothing here touches the page.
duet.stacks = (() => {
  const NOTHING = 1e-9; // a share of all: what rounding leaves
  const ENTRY = /(^|\.|::)main(::\{\{closure\}\})*$/; // where a program begins: an async runtime lies below it

  // decode makes nodes of a graph's columns.
  function decode(graph, data) {
    let next = 0;
    const read = (parent) => {
      const i = next++;
      const frame = graph.frame[i];
      const [name, file, line, own] = data.frames[frame];
      const node = {
        frame, parent, calls: [], name: data.names[name], file: file < 0 ? '' : data.names[file], line, own: own === 1,
        base: graph.base[i] * graph.part, head: graph.head[i] * graph.part, z: graph.z[i],
      };
      for (let n = graph.calls[i]; n > 0; n--) node.calls.push(read(node));
      for (const side of ['base', 'head']) { // costs are whole parts: what rounding leaves is nobody's
        const calls = node.calls.reduce((sum, call) => sum + call[side], 0);
        if (Math.abs(node[side] - calls) <= (graph.part * (node.calls.length + 1)) / 2) node[side] = calls;
      }
      return node;
    };
    const root = read(null);
    root.name = 'all';
    return root;
  }

  // graft adds a tree to what a node calls, merged with what it calls of the same frame. Standard errors add in squares.
  function graft(parent, node) {
    parent.known ??= new Map(parent.calls.map((call) => [call.frame, call]));
    let into = parent.known.get(node.frame);
    if (into) {
      const both = Math.hypot(error(into), error(node));
      into.base += node.base;
      into.head += node.head;
      into.z = both ? (into.head - into.base) / both : 0;
    } else {
      into = { ...node, parent, calls: [], known: undefined };
      parent.calls.push(into);
      parent.known.set(node.frame, into);
    }
    node.calls.forEach((call) => graft(into, call));
  }

  const error = (node) => (node.z ? (node.head - node.base) / node.z : 0);

  // fromOwn is the tree with every stack begun at its first frame of the service's own code after main; stacks without one
  // stay whole, under one frame.
  function fromOwn(root) {
    const least = NOTHING * Math.max(root.base, root.head);
    const start = { ...root, calls: [] };
    // without copies what of a frame has no own code below it, and grafts what has at the start.
    const without = (node, parent) => {
      const copy = { ...node, parent, calls: [] };
      for (const call of node.calls) {
        const begins = call.own && !ENTRY.test(call.name);
        const left = begins ? null : without(call, copy);
        if (begins) graft(start, call);
        copy.base -= call.base - (left?.base ?? 0);
        copy.head -= call.head - (left?.head ?? 0);
        if (left && (left.base > least || left.head > least)) copy.calls.push(left);
      }
      // Errors of counts go with their square root.
      const part = error(node) * Math.sqrt(Math.max(0, copy.base + copy.head) / (node.base + node.head));
      copy.z = part ? (copy.head - copy.base) / part : 0;
      return copy;
    };
    const rest = without(root, null);
    if (!start.calls.length) return root;
    Object.assign(rest, { frame: -1, name: 'outside own code', parent: start });
    if (rest.base > least || rest.head > least) start.calls.push(rest);
    return start;
  }

  // self is what of a node's cost its calls do not have.
  function self(node, side) {
    const left = node.calls.reduce((sum, call) => sum - call[side], node[side]);
    return left > NOTHING * node[side] ? left : 0;
  }

  // measure gives every node its own (self) costs and its width in a view: base, head or difference.
  function measure(node, view) {
    node.selfBase = self(node, 'base');
    node.selfHead = self(node, 'head');
    const below = node.calls.reduce((sum, call) => sum + measure(call, view), 0);
    if (view === 'difference') node.width = below + (node.head > 0 ? node.selfHead : node.selfBase);
    else node.width = Math.max(node[view], below);
    return node.width;
  }

  // functions are the frames of a tree by what they cost themselves, each function once; z as sampling would have it.
  function functions(root, samples) {
    const all = new Map();
    const walk = (node) => {
      const sum = all.get(node.frame) ?? { name: node.name, file: node.file, line: node.line, base: 0, head: 0 };
      sum.base += node.selfBase;
      sum.head += node.selfHead;
      if (node.frame >= 0 && node.parent) all.set(node.frame, sum);
      node.calls.forEach(walk);
    };
    walk(root);
    const one = [root.base / samples[0] || 0, root.head / samples[1] || 0]; // what a sample stands for
    return [...all.values()].map((sum) => {
      const error = Math.sqrt(sum.base * one[0] + sum.head * one[1]);
      return { ...sum, z: error > 0 ? (sum.head - sum.base) / error : 0 };
    });
  }

  // segments are a path's parts between ::, those inside brackets left alone.
  function segments(path) {
    const parts = [];
    let depth = 0;
    let begin = 0;
    for (let i = 0; i < path.length; i++) {
      if ('<([{'.includes(path[i])) depth++;
      else if ('>)]}'.includes(path[i]) && path[i - 1] !== '-') depth--;
      else if (depth === 0 && path.startsWith('::', i)) {
        parts.push(path.slice(begin, i));
        begin = i + 2;
        i++;
      }
    }
    return [...parts, path.slice(begin)];
  }

  // label is the end of a function's path: pkg.(*T).Method, Vec<T>::push, serve::{{closure}}.
  function label(name) {
    const bracket = name.search(/[[(<{ ]/);
    const slash = name.lastIndexOf('/', bracket < 0 ? name.length : bracket);
    const parts = segments(slash < 0 ? name : name.slice(slash + 1));
    const last = parts.at(-1);
    let before = parts.at(-2);
    if (!before || !(last.startsWith('{') || /^[A-Z<]/.test(before))) return last;
    const [, implementor] = /^<(.+?)(?: as .*)?>$/.exec(before) || [];
    if (implementor) before = label(implementor);
    return `${before}::${last}`;
  }

  return { decode, fromOwn, measure, functions, label };
})();
