// The path of a run: a line per step with what it found, rounds folded where there are many.

import { html, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { go, useRoute, withQuery } from "../route.js";
import { Rows } from "../rows.js";
import { count, duration, number, plain, short } from "../words.js";
import { Find } from "./find.js";
import { Track, spansOf } from "./scale.js";

const MANY = 24; // steps above which rounds fold

/** @typedef {{step?: any, round?: number, span?: string, nodes?: string, turning?: boolean, failed?: boolean, inside?: any[]}} Line */

/** @param {{steps: any[], selected: number|null, onPick: (n: number) => void}} props */
export function Steps({ steps, selected, onPick }) {
  const { id, query } = useRoute();
  const scale = query.get("scale") === "time" ? "time" : "sequence";
  const spans = useMemo(() => spansOf(steps), [steps]);
  const [open, setOpen] = useState(/** @type {Set<number>} */ (new Set()));
  const here = steps.find((s) => s.n === selected)?.round;
  const lines = useMemo(() => folded(steps, open, here), [steps, open, here]);
  const total = steps.reduce((sum, s) => sum + (s.ms ?? 0), 0);
  const track = (/** @type {any[]} */ inside) => html`<${Track} steps=${inside} spans=${spans} total=${total} scale=${scale} />`;
  const at = lines.findIndex((line) => line.step?.n === selected);
  const pick = (/** @type {number} */ n) => {
    const line = lines[n];
    if (line?.step) onPick(line.step.n);
    else if (line) setOpen(new Set([...open, /** @type {number} */ (line.round)]));
  };
  if (!steps.length) return html`<p class="dim">none yet</p>`;
  return html`<div class="steps-bar"><div class="segments" role="group" aria-label="Scale of the steps">${["time", "sequence"].map((name) => html`<button key=${name} aria-pressed=${scale === name} title=${SCALES[name]}
      onClick=${() => go(withQuery({ scale: name === "time" ? name : "" }), { replace: true })}>${name}</button>`)}</div>
      ${scale === "time" && html`<span class="dim">0 to ${duration(total)}</span>`}<${Find} id=${id} steps=${steps} query=${query} /></div>
    <${Rows} id="step" label="Steps of the run" rows=${lines} height=${3.4} selected=${at} onSelect=${pick} classOf=${(/** @type {Line} */ l) => (l.step ? "" : "fold")}
      row=${(/** @type {Line} */ line, /** @type {number} */ n) => (line.step ? html`<${StepLine} step=${line.step} first=${n > 0 && line.step.round !== lines[n - 1].step?.round && (line.step.round ?? 0) > 0} track=${track([line.step])} />` : html`<${FoldLine} line=${line} track=${track(line.inside ?? [])} />`)} />`;
}

/** @type {Record<string, string>} */
const SCALES = { time: "As long as the longest branch of each step took, and how many were in flight; waits between steps are not recorded", sequence: "Every step as wide as every other, a box per branch" };

/** Steps as lines; in a long run every round but the one being read is one line. @param {any[]} steps @param {Set<number>} open @param {number|undefined} here @returns {Line[]} */
function folded(steps, open, here) {
  if (steps.length <= MANY) return steps.map((step) => ({ step }));
  /** @type {Map<number, any[]>} */
  const rounds = new Map();
  for (const step of steps) rounds.set(step.round ?? 0, [...(rounds.get(step.round ?? 0) ?? []), step]);
  return [...rounds].flatMap(([round, inside]) =>
    round === here || open.has(round) || inside.length < 3
      ? inside.map((step) => /** @type {Line} */ ({ step }))
      : [/** @type {Line} */ ({ round, span: `${inside[0].n}–${inside[inside.length - 1].n}`, nodes: [...new Set(inside.flatMap((s) => s.nodes))].join(", "), turning: inside.some((s) => s.turning), failed: inside.some((s) => s.failed), inside })]);
}

const FORM = /\.(multigraph|directed|graph|edges)$/; // how networkx writes down what sort of a graph it is: nothing depends on it

/** What a router has read. @param {any} why @returns {[string, any][]} */
export const readsOf = (why) => Object.entries(why?.read ?? {}).filter(([path]) => !FORM.test(path) || !Object.hasOwn(why.read, path.replace(FORM, ".multigraph")));

/** What a step says of itself in a line. @param {any} step */
export function gistOf(step) {
  if (step.summary) return plain(step.summary);
  const said = (step.wrote ?? []).filter((/** @type {any} */ w) => !["params", "messages", "artefact"].includes(w.key));
  const why = (step.why ?? []).find((/** @type {any} */ w) => w.goto?.length);
  const read = readsOf(why).filter(([path]) => !path.startsWith("len("));
  if (read.length) return plain(`→ ${[...new Set(why.goto)].map((g) => (g === "__end__" ? "the end" : g)).join(", ")} · ${read.slice(0, 3).map(([path, value]) => `${path.replace(/^.*[.\]]\.?/, "") || path} ${briefly(value)}`).join(", ")}`);
  const parts = said.slice(0, 3).map((/** @type {any} */ w) => `${w.key} ${w.head || "–"}`);
  if (parts.length) return plain(parts.join(" · "));
  return step.source === "journal" ? "" : step.source === "open" ? "did not end" : step.source === "update" ? "edited by hand" : "nothing new";
}

/** @param {any} value */
const briefly = (value) => (typeof value === "boolean" ? (value ? "yes" : "no") : typeof value === "number" ? number(value) : value === null ? "none" : short(value, 24));

/** @param {any} step */
export const nameOf = (step) => (step.source === "update" ? "(edited)" : (step.tasks ?? []).map((/** @type {any} */ t) => (t.n > 1 ? `${t.node} ×${t.n}` : t.node)).join(", ") || step.nodes.join(", "));

/** @param {{step: any, first: boolean, track: any}} props */
function StepLine({ step, first, track }) {
  const turn = step.turning;
  return html`<div class=${`step-line ${step.fold ? "dim" : ""}`}>
    <span class="n">${step.n}</span>
    <span class="name"><b><${Plain} text=${nameOf(step)} /></b>${first && html` <span class="round">round ${step.round}</span>`}
      ${turn && html` <span class=${`turn-mark ${turn}`} title=${TURNS[turn] ?? ""}>◆ ${turn === "changed" ? "changed" : `${turn} from here`}</span>`}
      ${step.failed > 0 && html` <span class="bad">✗ ${step.failed} failed</span>`}</span>
    <span class="made">${step.calls > 0 ? count(step.calls, "call") : ""}</span>
    <span class="gist">${short(gistOf(step), 160)}</span>
    ${track}
  </div>`;
}

/** @type {Record<string, string>} */
const TURNS = { wrong: "turning point: from here the leading answer stays wrong", right: "turning point: from here the leading answer stays right", changed: "the leading answer changed here; no reference answer is known" };

/** @param {{line: Line, track: any}} props */
function FoldLine({ line, track }) {
  return html`<div class="step-line"><span class="n">↻</span><span class="name">round ${line.round} folded: ${line.span}${line.turning ? " ◆" : ""}${line.failed ? html` <span class="bad">✗</span>` : ""}</span><span></span><span class="gist">${short(line.nodes, 120)}</span>${track}</div>`;
}

/** j and k, turning points, failures, and the same node a round before or after. @param {any[]} steps @param {number|null} selected @param {(to: any) => void} pick @param {boolean} isCall @param {boolean} pending while states are being rebuilt */
export function useStepKeys(steps, selected, pick, isCall, pending) {
  const held = useRef(""); // turning points are known once the states are
  useLayoutEffect(() => {
    const move = (/** @type {string} */ key) => {
      const at = steps.findIndex((s) => s.n === selected);
      const node = steps[at]?.nodes[0];
      const next = (/** @type {(s: any) => boolean} */ wanted) => steps.slice(at + 1).find(wanted) ?? steps.find(wanted);
      /** @type {Record<string, any>} */
      const moves = {
        down: steps[at + 1], up: steps[Math.max(0, at - 1)],
        turning: next((s) => Boolean(s.turning)), failure: next((s) => s.failed > 0),
        "round-before": steps.slice(0, Math.max(0, at)).reverse().find((s) => s.nodes.includes(node)), "round-after": steps.slice(at + 1).find((s) => s.nodes.includes(node)),
      };
      const to = moves[key];
      if (isCall && key.startsWith("round-")) return;
      if (to) pick(to.n);
    };
    if (held.current && !pending) {
      const key = held.current;
      held.current = "";
      move(key);
    }
    const pressed = (/** @type {any} */ event) => {
      held.current = pending && event.detail === "turning" ? "turning" : "";
      if (!held.current) move(event.detail);
    };
    addEventListener("symposia-key", pressed);
    return () => removeEventListener("symposia-key", pressed);
  });
}
