// The nodes of a tree, however it is written down: by id with a parent, as nodes and edges, or in one another.

import { isThin } from "../words.js";

/** @typedef {{id: string, parent: string|null, facts: any}} Twig */
/** @typedef {{twig: Twig, level: number, below: number, at: number, of: number}} Row */

const MOST = 20_000; // nodes of a nested tree that are looked at
const DEEP = 200; // levels

/** @param {any} v */
const isNode = (v) => v !== null && typeof v === "object" && !Array.isArray(v) && !isThin(v);
/** @param {any} id */
const named = (id) => (id === null || id === undefined ? null : typeof id === "object" ? JSON.stringify(id) : String(id));

/** @param {any} value @param {string} [parent] the field with the node above @returns {Twig[]|null} */
export function twigs(value, parent = "parent") {
  if (value === null || typeof value !== "object" || isThin(value)) return null;
  if (Array.isArray(value.nodes) && Array.isArray(value.edges)) return ofGraph(value);
  if (isNode(value) && Array.isArray(value.children)) return nested(value);
  const entries = Array.isArray(value) ? value.map((v, n) => [named(v?.id) ?? String(n), v]) : Object.entries(value);
  if (!entries.length || !entries.every(([, v]) => isNode(v) && Object.hasOwn(v, parent))) return null;
  return entries.map(([id, v]) => ({ id: String(id), parent: named(v[parent]), facts: v }));
}

/** @param {{nodes: any[], edges: any[]}} value @returns {Twig[]|null} */
function ofGraph({ nodes, edges }) {
  if (!nodes.length || !nodes.every((n) => isNode(n) && Object.hasOwn(n, "id")) || !edges.every((e) => isNode(e) && "source" in e && "target" in e)) return null;
  const parents = new Map(edges.map((e) => [String(e.target), String(e.source)]));
  return nodes.map((n) => ({ id: String(n.id), parent: parents.get(String(n.id)) ?? null, facts: n }));
}

/** @param {any} root @returns {Twig[]|null} */
function nested(root) {
  /** @type {Twig[]} */
  const found = [];
  /** @type {[any, string|null, string][]} */
  const open = [[root, null, "root"]];
  while (open.length && found.length < MOST) {
    const [node, above, path] = /** @type {any} */ (open.pop());
    if (!isNode(node)) return null;
    const { children, ...facts } = node;
    found.push({ id: path, parent: above, facts });
    if (Array.isArray(children)) children.forEach((child, n) => open.push([child, path, `${path}.${n}`]));
  }
  return found;
}

/** Nodes by the one above them; what has none, or one that is not there, stands at the top, and no node is lost in a circle. @param {Twig[]} all */
export function kinOf(all) {
  const by = new Map(all.map((t) => [t.id, t]));
  /** @type {Map<string|null, Twig[]>} */
  const kin = new Map([[null, []]]);
  const put = (/** @type {string|null} */ above, /** @type {Twig} */ twig) => (kin.has(above) ? kin.get(above)?.push(twig) : kin.set(above, [twig]));
  for (const twig of by.values()) put(twig.parent !== null && by.has(twig.parent) && twig.parent !== twig.id ? twig.parent : null, twig);
  const reached = new Set(rowsOf(kin, () => true, Infinity).map((r) => r.twig.id));
  for (const twig of by.values()) if (!reached.has(twig.id)) kin.get(null)?.push({ ...twig, id: twig.id });
  return { kin, by };
}

/** The nodes that show, in the order of the tree. @param {Map<string|null, Twig[]>} kin @param {(twig: Twig, level: number) => boolean} isOpen @param {number} most @returns {Row[]} */
export function rowsOf(kin, isOpen, most) {
  /** @type {Row[]} */
  const found = [];
  const seen = new Set();
  /** @type {Row[]} */
  const open = [];
  const put = (/** @type {Twig[]} */ all, /** @type {number} */ level) => {
    for (let n = all.length - 1; n >= 0; n -= 1) open.push({ twig: all[n], level, below: (kin.get(all[n].id) ?? []).length, at: n + 1, of: all.length });
  };
  put(kin.get(null) ?? [], 0);
  while (open.length && found.length < most) {
    const row = /** @type {Row} */ (open.pop());
    if (seen.has(row.twig.id)) continue;
    seen.add(row.twig.id);
    found.push(row);
    if (row.below && row.level < DEEP && isOpen(row.twig, row.level)) put(kin.get(row.twig.id) ?? [], row.level + 1);
  }
  return found;
}
