// Trees: why this branch. Indented lines with value, visits and the chosen path; opened as far as one can read at once.

import { html, useState } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { count, headOf, isThin, number, short } from "../words.js";

/** @typedef {{id: string, parent: string|null, facts: any}} Twig */

/** @param {any} value @returns {Twig[]|null} */
function twigs(value) {
  if (!value || typeof value !== "object" || isThin(value)) return null;
  if (Array.isArray(value.nodes) && Array.isArray(value.edges)) return ofGraph(value);
  const entries = Array.isArray(value) ? value.map((v, n) => [String(v?.id ?? n), v]) : Object.entries(value);
  const plain = entries.length > 0 && entries.every(([, v]) => v && typeof v === "object" && "parent" in v);
  if (!plain) return null;
  return entries.map(([id, v]) => ({ id: String(id), parent: v.parent === null || v.parent === undefined ? null : String(v.parent), facts: v }));
}

/** @param {{nodes: any[], edges: any[]}} value @returns {Twig[]|null} */
function ofGraph({ nodes, edges }) {
  if (!nodes.length || !nodes.every((n) => n && typeof n === "object" && "id" in n) || !edges.every((e) => e && "source" in e && "target" in e)) return null;
  const parents = new Map(edges.map((e) => [String(e.target), String(e.source)]));
  return nodes.map((n) => ({ id: String(n.id), parent: parents.get(String(n.id)) ?? null, facts: n }));
}

/** @param {{value: any, state: any}} props */
function View({ value, state }) {
  const all = twigs(value) ?? [];
  const known = new Set(all.map((t) => t.id));
  /** @type {Map<string|null, Twig[]>} */
  const children = new Map();
  for (const twig of all) {
    const above = twig.parent !== null && known.has(twig.parent) && twig.parent !== twig.id ? twig.parent : null;
    children.set(above, [...(children.get(above) ?? []), twig]);
  }
  const chosen = path(all, state);
  const deepest = depth(children, null, 0);
  return html`<p class="says">${count(all.length, "node")}, ${count(deepest, "level")}${chosen.size ? html`; the chosen path is marked <b>◆</b>` : ""}</p>
    <ul class="twigs">${(children.get(null) ?? []).map((twig) => html`<${Line} key=${twig.id} twig=${twig} kin=${children} chosen=${chosen} level=${0} />`)}</ul>`;
}

/** From what the state calls chosen up to the root. @param {Twig[]} all @param {any} state */
function path(all, state) {
  const by = new Map(all.map((t) => [t.id, t]));
  const named = ["best", "best_id", "chosen", "selected", "best_node"].map((k) => state?.[k]).find((v) => (typeof v === "string" || typeof v === "number") && by.has(String(v)));
  const marked = named === undefined ? all.find((t) => t.facts.chosen === true) : by.get(String(named));
  /** @type {Set<string>} */
  const found = new Set();
  for (let at = marked; at && !found.has(at.id); at = by.get(at.parent ?? "")) found.add(at.id);
  return found;
}

/** @param {Map<string|null, Twig[]>} children @param {string|null} id @param {number} level @returns {number} */
function depth(children, id, level) {
  const below = level > 200 ? [] : (children.get(id) ?? []);
  return below.reduce((most, t) => Math.max(most, depth(children, t.id, level + 1)), level);
}

const OPEN = 3; // levels open from the start
const FEW = 40; // branches of one node shown at once

/** @param {{twig: Twig, kin: Map<string|null, Twig[]>, chosen: Set<string>, level: number}} props */
function Line({ twig, kin, chosen, level }) {
  const below = kin.get(twig.id) ?? [];
  const [open, setOpen] = useState(level < OPEN || chosen.has(twig.id));
  const [most, setMost] = useState(FEW);
  return html`<li class=${chosen.has(twig.id) ? "chosen" : ""}>
    ${below.length ? html`<button class="twist" aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "▾" : "▸"} ${chosen.has(twig.id) ? "◆ " : ""}<b><${Plain} text=${twig.id} /></b></button>` : html`<span class="end">${chosen.has(twig.id) ? "◆ " : ""}<b><${Plain} text=${twig.id} /></b></span>`}
    <${Facts} facts=${twig.facts} />${!open && below.length > 0 && html`<span class="dim"> ${count(below.length, "branch", "branches")} below</span>`}
    ${open && below.length > 0 && html`<ul>${below.slice(0, most).map((t) => html`<${Line} key=${t.id} twig=${t} kin=${kin} chosen=${chosen} level=${level + 1} />`)}
      ${below.length > most && html`<li><button class="more" onClick=${() => setMost(most + 200)}>${most} of ${count(below.length, "branch", "branches")}, show more</button></li>`}</ul>`}
  </li>`;
}

/** Numbers, short words, then the longest text. @param {{facts: any}} props */
function Facts({ facts }) {
  const parts = Object.entries(facts).filter(([key, v]) => !["id", "parent", "children", "seq"].includes(key) && v !== null);
  const numbers = parts.filter(([, v]) => typeof v === "number" || typeof v === "boolean").slice(0, 5);
  const texts = parts.map(([key, v]) => [key, headOf(v)]).filter(([, t]) => t).slice(0, 3);
  const lists = parts.filter(([, v]) => Array.isArray(v) && v.length).slice(0, 2);
  return html`<span class="facts">${numbers.map(([k, v]) => html`<span key=${k}><span class="dim">${k}</span> ${typeof v === "number" ? number(v) : v ? "yes" : "no"} </span>`)}
    ${lists.map(([k, v]) => html`<span key=${k}><span class="dim">${k}</span> ${v.length} </span>`)}
    ${texts.map(([k, t]) => html`<span key=${k} title=${short(t, 600)}><span class="dim">${k}</span> ${short(t, 90)} </span>`)}</span>`;
}

/** @type {import("./index.js").Kind} */
export const tree = { name: "tree", reach: "now", fits: (/** @type {any} */ value) => (twigs(value)?.length ?? 0) > 0, View };
