// A layered layout after Sugiyama, Tagawa and Toda (1981): longest-path layers, bends for long edges,
// median ordering against crossings, then positions pulled to the middle of what a node is joined to.

const GAP_X = 14;
const GAP_Y = 34;
const BEND = 8;

// nodes: ids. edges: [from, to]. Gives {places: id -> {x, y, w, h}, paths: [{from, to, points}], width, height}.
export function layout(ids, edges, { width, height }) {
  const level = levels(ids, edges);
  const { layers, segments, chains } = withBends(ids, edges, level);
  untangle(layers, segments);
  const w = (item) => (item.bend ? BEND : width);
  const x = positions(layers, segments, w);
  const left = Math.min(...layers.flat().map((item) => x.get(item) - w(item) / 2));
  const right = Math.max(...layers.flat().map((item) => x.get(item) + w(item) / 2));
  const top = (item) => item.level * (height + GAP_Y);
  const places = new Map();
  for (const item of layers.flat()) {
    if (!item.bend) places.set(item.id, { x: x.get(item) - left - width / 2, y: top(item), w: width, h: height });
  }
  const paths = chains.map(({ from, to, items }) => ({ from, to, points: route(items, x, left, top, height) }));
  return { places, paths, width: right - left, height: layers.length * (height + GAP_Y) - GAP_Y };
}

function levels(ids, edges) {
  const level = new Map(ids.map((id) => [id, 0]));
  for (let round = 0; round < ids.length; round += 1) {
    let moved = false;
    for (const [from, to] of edges) {
      if (level.get(to) < level.get(from) + 1) { level.set(to, level.get(from) + 1); moved = true; }
    }
    if (!moved) break;
  }
  return level;
}

function withBends(ids, edges, level) {
  const items = new Map(ids.map((id) => [id, { id, level: level.get(id), bend: false }]));
  const layers = [];
  const put = (item) => (layers[item.level] ||= []).push(item);
  ids.forEach((id) => put(items.get(id)));
  const segments = [];
  const chains = edges.map(([from, to]) => {
    const chain = [items.get(from)];
    for (let k = level.get(from) + 1; k < level.get(to); k += 1) {
      const bend = { id: `${from} ${to} ${k}`, level: k, bend: true };
      put(bend);
      chain.push(bend);
    }
    chain.push(items.get(to));
    for (let k = 1; k < chain.length; k += 1) segments.push([chain[k - 1], chain[k]]);
    return { from, to, items: chain };
  });
  return { layers, segments, chains };
}

function joined(segments) {
  const up = new Map();
  const down = new Map();
  for (const [a, b] of segments) {
    (down.get(a) || down.set(a, []).get(a)).push(b);
    (up.get(b) || up.set(b, []).get(b)).push(a);
  }
  return { up, down };
}

function untangle(layers, segments) {
  const { up, down } = joined(segments);
  for (let sweep = 0; sweep < 6; sweep += 1) {
    const sides = sweep % 2 ? down : up;
    const order = sweep % 2 ? [...layers].reverse() : layers;
    for (const layer of order) {
      const rank = new Map();
      layers.forEach((l) => l.forEach((item, i) => rank.set(item, i / Math.max(1, l.length - 1) || 0)));
      const middle = (item) => {
        const found = (sides.get(item) || []).map((n) => rank.get(n));
        return found.length ? found.reduce((a, b) => a + b) / found.length : rank.get(item);
      };
      const key = new Map(layer.map((item) => [item, middle(item)]));
      layer.sort((a, b) => key.get(a) - key.get(b));
    }
  }
}

function positions(layers, segments, w) {
  const { up, down } = joined(segments);
  const x = new Map();
  for (const layer of layers) {
    let at = 0;
    for (const item of layer) { x.set(item, at + w(item) / 2); at += w(item) + GAP_X; }
    const half = (at - GAP_X) / 2;
    layer.forEach((item) => x.set(item, x.get(item) - half));
  }
  for (let sweep = 0; sweep < 12; sweep += 1) {
    const sides = sweep % 2 ? down : up;
    for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
      const wish = layer.map((item) => {
        const found = sides.get(item) || [];
        return found.length ? found.reduce((sum, n) => sum + x.get(n), 0) / found.length : x.get(item);
      });
      settle(layer, wish, w, x);
    }
  }
  return x;
}

// Puts a layer's items as near to their wishes as their widths allow, in their order: neighbours that
// would overlap form a block that stands at the mean of its wishes.
function settle(layer, wish, w, x) {
  const blocks = [];
  layer.forEach((item, i) => {
    let block = { items: [item], offsets: [0], sum: wish[i], at: wish[i] };
    for (;;) {
      const before = blocks.at(-1);
      if (!before) break;
      const last = before.items.length - 1;
      const need = (w(before.items[last]) + w(block.items[0])) / 2 + GAP_X;
      if (before.at + before.offsets[last] + need <= block.at) break;
      blocks.pop();
      const shift = before.offsets[last] + need;
      const offsets = [...before.offsets, ...block.offsets.map((o) => o + shift)];
      const items = [...before.items, ...block.items];
      const sum = before.sum + block.sum - shift * block.items.length;
      block = { items, offsets, sum, at: sum / items.length };
    }
    blocks.push(block);
  });
  for (const block of blocks) block.items.forEach((item, i) => x.set(item, block.at + block.offsets[i]));
}

function route(items, x, left, top, height) {
  const points = [];
  items.forEach((item, i) => {
    const px = x.get(item) - left;
    if (i > 0) points.push([px, top(item)]);
    if (i < items.length - 1) points.push([px, top(item) + height]);
  });
  return points;
}

// Track geometry: straight down, one slanted piece at 45 degrees or flatter, straight down again.
export function track(points) {
  let d = `M${points[0][0]} ${points[0][1]}`;
  for (let i = 1; i < points.length; i += 1) {
    const [ax, ay] = points[i - 1];
    const [bx, by] = points[i];
    if (Math.abs(ax - bx) > 0.5) {
      const room = by - ay;
      const slant = Math.min(Math.abs(bx - ax), room * 0.5);
      const start = ay + (room - slant) / 2;
      d += `V${start}L${bx} ${start + slant}`;
    }
    d += `L${bx} ${by}`;
  }
  return d;
}
