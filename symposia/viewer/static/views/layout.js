// Where the nodes and edges of a graph stand. The layout comes from dagre, which is loaded with the first graph.

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{id: string, name: string, x: number, y: number, w: number, h: number, outer: boolean, sign?: Point}} Box `sign`: where the name of a subgraph begins */
/** @typedef {{source: string, target: string, conditional: boolean, path: string, points: Point[]}} Line */
/** @typedef {{left: number, top: number, width: number, height: number, boxes: Box[], lines: Line[]}} Picture */

const MARGIN = 10; // pixels around the picture
const LOOP = 22; // pixels that a loop stands out
const [SMALL, HIGH, ROOM] = [6.8, 12, 22]; // pixels of a letter of a subgraph's name, how high it is, and room for how often it was visited
const DOTS = 24; // of a stretch of a line, that must not lie under a name
const CHARACTER = 7.4; // pixels of a letter at the size of a node's name
/** @type {Map<string, Promise<Picture>>} */
const drawn = new Map();

/** @returns {Promise<any>} */
function layouter() {
  const own = /** @type {any} */ (globalThis).symposiaLayout;
  if (own) return Promise.resolve(own);
  return import(new URL(document.documentElement.dataset.layout ?? "", document.baseURI).href);
}

/** The picture of a method's graph: always the same one. @param {string} name @param {any} graph @returns {Promise<Picture>} */
export function pictureOf(name, graph) {
  const known = drawn.get(name);
  if (known) return known;
  const made = layouter().then((dagre) => laidOut(dagre, graph));
  drawn.set(name, made);
  made.catch(() => drawn.delete(name));
  return made;
}

/** @param {any} dagre @param {any} graph @returns {Picture} */
function laidOut(dagre, graph) {
  const g = new dagre.Graph({ compound: true, multigraph: true });
  g.setGraph({ rankdir: "TB", nodesep: 22, ranksep: 34, edgesep: 10, marginx: 10, marginy: 10 });
  g.setDefaultEdgeLabel(() => ({}));
  for (const frame of graph.subgraphs ?? []) g.setNode(`frame ${frame}`, {});
  for (const node of graph.nodes) {
    g.setNode(node.id, { width: Math.max(44, String(node.name).length * CHARACTER + 46), height: 30 });
    if (node.frame) g.setParent(node.id, `frame ${node.frame}`);
  }
  graph.edges.forEach((/** @type {any} */ e, /** @type {number} */ n) => g.setEdge(e.source, e.target, {}, String(n)));
  dagre.layout(g);
  const boxes = g.nodes().map((/** @type {string} */ id) => {
    const at = g.node(id);
    const outer = id.startsWith("frame ");
    const name = outer ? id.slice(6) : graph.nodes.find((/** @type {any} */ n) => n.id === id)?.name ?? id;
    return { id, name, x: at.x, y: at.y, w: at.width, h: at.height, outer };
  });
  const lines = g.edges().map((/** @type {any} */ e) => {
    const edge = graph.edges[Number(e.name)];
    const points = e.v === e.w ? loop(boxes.find((/** @type {Box} */ b) => b.id === e.v)) : g.edge(e).points;
    return { source: edge.source, target: edge.target, conditional: Boolean(edge.conditional), path: curve(points), points };
  });
  for (const frame of boxes.filter((/** @type {Box} */ b) => b.outer)) frame.sign = signed(frame, boxes, lines);
  return framed(boxes, lines);
}

/** A node that may come after itself: a loop at its right side. @param {Box} box @returns {Point[]} */
function loop({ x, y, w }) {
  const edge = x + w / 2;
  return [[0, -7], [LOOP, -11], [LOOP, 11], [0, 7]].map(([dx, dy]) => ({ x: edge + dx, y: y + dy }));
}

/** Where the name of a subgraph crosses no line and no node: along its upper border, else its lower one. @param {Box} frame @param {Box[]} boxes @param {Line[]} lines @returns {Point} */
function signed(frame, boxes, lines) {
  const wide = frame.name.length * SMALL + ROOM;
  const [left, top] = [frame.x - frame.w / 2, frame.y - frame.h / 2];
  const dots = lines.flatMap((line) => line.points.slice(1).flatMap((b, n) => [...Array(DOTS).keys()].map((k) => ({ x: line.points[n].x + ((b.x - line.points[n].x) * k) / DOTS, y: line.points[n].y + ((b.y - line.points[n].y) * k) / DOTS }))));
  const isFree = (/** @type {Point} */ p) => !dots.some((d) => d.x > p.x - 3 && d.x < p.x + wide && d.y > p.y - HIGH && d.y < p.y + 4) && !boxes.some((b) => !b.outer && b.x + b.w / 2 > p.x && b.x - b.w / 2 < p.x + wide && b.y + b.h / 2 > p.y - HIGH && b.y - b.h / 2 < p.y + 3);
  const places = [HIGH + 2, frame.h - 6].flatMap((dy) => [...Array(Math.max(1, Math.floor((frame.w - wide) / 6))).keys()].map((k) => ({ x: left + 8 + 6 * k, y: top + dy })));
  return places.find(isFree) ?? places[0];
}

/** A picture with room for all of it: around subgraphs some lines run past the borders that the layout names. @param {Box[]} boxes @param {Line[]} lines @returns {Picture} */
function framed(boxes, lines) {
  const ends = [...lines.flatMap((line) => line.points).map((p) => [p.x, p.x, p.y, p.y]), ...boxes.map((b) => [b.x - b.w / 2, b.x + b.w / 2, b.y - b.h / 2, b.y + b.h / 2])];
  const [left, right, top, bottom] = [Math.min, Math.max, Math.min, Math.max].map((most, n) => most(...ends.map((e) => e[n])));
  return { left: Math.floor(left - MARGIN), top: Math.floor(top - MARGIN), width: Math.ceil(right - left + 2 * MARGIN), height: Math.ceil(bottom - top + 2 * MARGIN), boxes, lines };
}

/** A smooth line through points. @param {{x: number, y: number}[]} points */
function curve(points) {
  const [first, ...rest] = points;
  let d = `M${first.x} ${first.y}`;
  for (let n = 0; n < rest.length - 1; n += 1) {
    const [a, b] = [rest[n], rest[n + 1]];
    const last = n === rest.length - 2;
    d += `Q${a.x} ${a.y} ${last ? b.x : (a.x + b.x) / 2} ${last ? b.y : (a.y + b.y) / 2}`;
  }
  return rest.length === 1 ? `${d}L${rest[0].x} ${rest[0].y}` : d;
}
