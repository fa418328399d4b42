// Where the nodes and edges of a graph stand. The layout comes from dagre, which is loaded with the first graph.

/** @typedef {{id: string, name: string, x: number, y: number, w: number, h: number, outer: boolean}} Box */
/** @typedef {{source: string, target: string, conditional: boolean, label: string, path: string, at: {x: number, y: number}}} Line */
/** @typedef {{width: number, height: number, boxes: Box[], lines: Line[]}} Picture */

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
    const points = g.edge(e).points;
    return { source: edge.source, target: edge.target, conditional: Boolean(edge.conditional), label: String(edge.label ?? ""), path: curve(points), at: points[Math.floor(points.length / 2)] };
  });
  const size = g.graph();
  return { width: Math.ceil(size.width), height: Math.ceil(size.height), boxes, lines };
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
