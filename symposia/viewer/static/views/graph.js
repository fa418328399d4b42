// The method's graph with the run's path on it: where it went, how often, and where it is looked at now.

import { html, useEffect, useLayoutEffect, useMemo, useState } from "../vendor/preact.js";
import { count, plain } from "../words.js";
import { pictureOf } from "./layout.js";

const MOST = 300; // nodes above which a picture says less than the list of steps

/** @typedef {{nodes: Map<string, number[]>, edges: Set<string>, known: Set<string>}} Trail  `known`: the subgraphs whose steps are */

/** Which nodes ran, in which steps, and which edges were taken; from the record, never from times. @param {any[]} steps @returns {Trail} */
export function trailOf(steps) {
  /** @type {Map<string, number[]>} */
  const nodes = new Map();
  const edges = new Set();
  const known = new Set();
  const went = (/** @type {string[]} */ before, /** @type {string[]} */ ran, /** @type {number} */ n) => {
    for (const node of ran) {
      nodes.set(node, [...(nodes.get(node) ?? []), n]);
      for (const from of before) edges.add(`${from}>${node}`);
    }
    return ran;
  };
  let before = ["__start__"];
  for (const step of steps) {
    if (step.source === "update") continue;
    before = went(before, step.nodes, step.n);
    for (const { frame, ran } of step.inside ?? []) {
      known.add(frame);
      ran.reduce((/** @type {string[]} */ last, /** @type {string[]} */ now) => went(last, now.map((node) => `${frame}:${node}`), step.n), []);
    }
    if (step.source !== "open" && step.next && !step.next.length) for (const node of step.nodes) edges.add(`${node}>__end__`);
  }
  return { nodes, edges, known };
}

/** @param {{method: any, steps: any[], selected: number|null, onPick: (n: number) => void}} props */
export function Graph({ method, steps, selected, onPick }) {
  const [picture, setPicture] = useState(/** @type {import("./layout.js").Picture|null} */ (null));
  const [said, setSaid] = useState("");
  const [open, setOpen] = useState(() => matchMedia("(min-width: 68.76em)").matches);
  const graph = method?.graph;
  useEffect(() => {
    if (!graph || !open || graph.nodes.length > MOST) return;
    pictureOf(method.name, graph).then(setPicture, () => setSaid("The graph could not be laid out; the list of steps is complete."));
  }, [graph, open]);
  useLayoutEffect(() => {
    const pressed = (/** @type {any} */ e) => e.detail === "graph" && setOpen((/** @type {boolean} */ was) => !was);
    addEventListener("symposia-key", pressed);
    return () => removeEventListener("symposia-key", pressed);
  });
  const trail = useMemo(() => trailOf(steps), [steps]);
  return html`<section class=${`pane graph-pane ${open ? "" : "shut"}`} aria-label="Graph">
    <h2><button class="twist" aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "▾" : "▸"} Graph</button></h2>
    ${open && said && html`<p class="dim">${said}</p>`}
    ${open && graph && graph.nodes.length > MOST && html`<p class="dim">${count(graph.nodes.length, "node")}: too many for a picture, the list of steps says more.</p>`}
    ${open && picture && html`<${Picture} picture=${picture} trail=${trail} steps=${steps} selected=${selected} onPick=${onPick} />`}
  </section>`;
}

/** @param {{picture: import("./layout.js").Picture, trail: Trail, steps: any[], selected: number|null, onPick: (n: number) => void}} props */
function Picture({ picture, trail, steps, selected, onPick }) {
  const now = steps.find((s) => s.n === selected)?.nodes ?? [];
  const { boxes, lines, left, top, width, height } = picture;
  const go = (/** @type {string} */ id) => {
    const visits = trail.nodes.get(id) ?? [];
    const next = visits.find((n) => n > (selected ?? -1)) ?? visits[0];
    if (next !== undefined) onPick(next);
  };
  return html`<div class="graph-box"><svg class="graph" viewBox=${`${left} ${top} ${width} ${height}`} width=${width} height=${height} role="group" aria-label="Graph of the method with the path of the run">
    <defs>${["", "taken"].map((kind) => html`<marker key=${kind} id=${`tip${kind}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class=${`tip ${kind}`} d="M0 0L8 4L0 8z" /></marker>`)}</defs>
    ${boxes.filter((b) => b.outer).map((b) => html`<${Frame} key=${b.id} b=${b} visits=${trail.nodes.get(b.name) ?? []} now=${now.includes(b.name)} onGo=${() => go(b.name)} />`)}
    ${lines.map((line, n) => {
      const [from, to] = [outside(line.source, line.target), outside(line.target, line.source)];
      const taken = trail.edges.has(`${from}>${to}`) || (!line.conditional && ranAfter(trail, from, to));
      return html`<path key=${n} class=${`edge ${taken ? "taken" : ""} ${line.conditional ? "conditional" : ""}`} d=${line.path} marker-end=${`url(#tip${taken ? "taken" : ""})`} />`;
    })}
    ${boxes.filter((b) => b.outer).map((b) => html`<text key=${`name ${b.id}`} class=${`frame-name ${trail.nodes.has(b.name) ? "seen" : ""}`} aria-hidden="true" x=${b.sign?.x} y=${b.sign?.y}>${plain(b.name)}${(trail.nodes.get(b.name) ?? []).length > 1 && html`<tspan class="times" dx="5">×${trail.nodes.get(b.name)?.length}</tspan>`}</text>`)}
    ${boxes.filter((b) => !b.outer).map((b) => {
      const visits = trail.nodes.get(b.id) ?? [];
      const frame = outside(b.id, "");
      const within = frame !== b.id && trail.nodes.has(frame) && !trail.known.has(frame);
      const end = b.id === "__start__" || b.id === "__end__";
      const label = end ? plain(b.name) : `${plain(b.name)}, ${visits.length ? `visited ${visits.length === 1 ? "once" : `${visits.length} times`}, ${inSteps(visits)}` : within ? "inside a subgraph that was visited" : "not visited"}`;
      const shape = html`<rect x=${-b.w / 2} y=${-b.h / 2} width=${b.w} height=${b.h} rx=${end ? b.h / 2 : 6} /><text dy="0.34em">${plain(b.name)}${visits.length > 1 && html`<tspan class="times" dx="5">×${visits.length}</tspan>`}</text>`;
      const tone = `node ${visits.length ? "visited" : within ? "within" : ""} ${now.includes(b.id) ? "now" : ""} ${end ? "end" : ""}`;
      if (!visits.length) return html`<g key=${b.id} class=${tone} transform=${`translate(${b.x} ${b.y})`} role="img" aria-label=${label}>${shape}</g>`;
      return html`<g key=${b.id} class=${tone} transform=${`translate(${b.x} ${b.y})`} role="button" tabindex="0" aria-label=${label} onClick=${() => go(b.id)}
        onKeyDown=${(/** @type {KeyboardEvent} */ e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); e.stopPropagation(); go(b.id); } }}><title>${label}</title>${shape}</g>`;
    })}
  </svg></div>`;
}

/** The steps of visits, each once: inside a subgraph one step may visit a node again and again. @param {number[]} visits */
function inSteps(visits) {
  const all = [...new Set(visits)];
  return `${all.length === 1 ? "step" : "steps"} ${all.slice(0, 12).join(", ")}${all.length > 12 ? " and more" : ""}`;
}

/** Whether a node ran after another: over an edge without a condition it was then waited for. @param {Trail} trail @param {string} from @param {string} to */
const ranAfter = (trail, from, to) => Math.min(...(trail.nodes.get(from) ?? [])) < Math.max(...(trail.nodes.get(to) ?? []));

/** A node inside a subgraph stands for the subgraph wherever an edge crosses its border. @param {string} node @param {string} other */
function outside(node, other) {
  const frame = node.slice(0, Math.max(0, node.lastIndexOf(":")));
  return frame && !other.startsWith(`${frame}:`) ? frame : node;
}

/** A subgraph: a node of the run's path like any other. @param {{b: any, visits: number[], now: boolean, onGo: () => void}} props */
function Frame({ b, visits, now, onGo }) {
  const label = `subgraph ${plain(b.name)}, ${visits.length ? `visited in ${inSteps(visits)}` : "not visited"}`;
  const inside = html`<rect class="frame-box" width=${b.w} height=${b.h} rx="8" />`;
  const props = { class: `node frame ${visits.length ? "visited" : ""} ${now ? "now" : ""}`, transform: `translate(${b.x - b.w / 2} ${b.y - b.h / 2})`, "aria-label": label };
  if (!visits.length) return html`<g role="img" ...${props}>${inside}</g>`;
  return html`<g role="button" tabindex="0" ...${props} onClick=${onGo} onKeyDown=${(/** @type {KeyboardEvent} */ e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); e.stopPropagation(); onGo(); } }}><title>${label}</title>${inside}</g>`;
}
