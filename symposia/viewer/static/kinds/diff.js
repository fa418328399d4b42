// What changed between two texts, word by word: Myers' shortest edit path over words, or over lines where a text is long.

import { html } from "../vendor/preact.js";
import { Plain } from "../parts.js";

const MOST = 4000; // words of both texts together; above it lines are compared
const LEAST = 0.4; // share of the shorter text that must have stayed; below it marks would only confuse
const STEPS = 1200; // edits after which two texts count as rewritten

/** @typedef {{op: "same"|"gone"|"new", text: string}} Piece */

/** @param {string} before @param {string} after @returns {Piece[]} */
export function compared(before, after) {
  const [a, b] = [before.match(/\s+|[^\s]+/g) ?? [], after.match(/\s+|[^\s]+/g) ?? []];
  return a.length + b.length <= MOST ? pieces(a, b) : pieces(before.match(/[^\n]*\n|[^\n]+/g) ?? [], after.match(/[^\n]*\n|[^\n]+/g) ?? []);
}

/** @param {string[]} a @param {string[]} b @returns {Piece[]} */
function pieces(a, b) {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const middle = path(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return joined([...a.slice(0, start).map(same), ...middle, ...a.slice(a.length - end).map(same)]);
}

/** @param {string} text @returns {Piece} */
const same = (text) => ({ op: "same", text });

/** Myers' greedy search, then its way back. @param {string[]} a @param {string[]} b @returns {Piece[]} */
function path(a, b) {
  const rewritten = () => [...a.map((text) => /** @type {Piece} */ ({ op: "gone", text })), ...b.map((text) => /** @type {Piece} */ ({ op: "new", text }))];
  const most = Math.min(a.length + b.length, STEPS);
  const front = new Map([[1, 0]]);
  /** @type {Map<number, number>[]} */
  const trace = [];
  for (let d = 0; d <= most; d += 1) {
    trace.push(new Map(front));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (front.get(k - 1) ?? -1) < (front.get(k + 1) ?? -1));
      let x = down ? (front.get(k + 1) ?? 0) : (front.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      front.set(k, x);
      if (x >= a.length && x - k >= b.length) return back(trace, a, b);
    }
  }
  return rewritten();
}

/** @param {Map<number, number>[]} trace @param {string[]} a @param {string[]} b @returns {Piece[]} */
function back(trace, a, b) {
  /** @type {Piece[]} */
  const found = [];
  let [x, y] = [a.length, b.length];
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const front = trace[d];
    const k = x - y;
    const down = k === -d || (k !== d && (front.get(k - 1) ?? -1) < (front.get(k + 1) ?? -1));
    const fromX = d === 0 ? 0 : front.get(down ? k + 1 : k - 1) ?? 0;
    const fromY = d === 0 ? 0 : fromX - (down ? k + 1 : k - 1);
    while (x > fromX && y > fromY) found.push(same(a[((x -= 1), (y -= 1), x)]));
    if (d > 0) found.push(down ? { op: "new", text: b[(y -= 1)] } : { op: "gone", text: a[(x -= 1)] });
  }
  return found.reverse();
}

/** Neighbours of one kind as one piece. @param {Piece[]} all @returns {Piece[]} */
function joined(all) {
  /** @type {Piece[]} */
  const found = [];
  for (const piece of all) {
    const last = found[found.length - 1];
    if (last && last.op === piece.op) last.text += piece.text;
    else found.push({ ...piece });
  }
  return found;
}

/** Two texts as one, with what went and what came marked. @param {{before: string, after: string, mono?: boolean}} props */
export function Diff({ before, after, mono = false }) {
  if (before === after) return html`<p class="dim">unchanged</p>`;
  const found = compared(before, after);
  const kept = found.reduce((sum, piece) => sum + (piece.op === "same" ? piece.text.trim().length : 0), 0);
  if (kept < LEAST * Math.min(before.length, after.length)) return html`<div class=${mono ? "text mono" : "text"}><span class="dim">written anew: </span><ins><${Plain} text=${after} /></ins></div>`;
  return html`<div class=${mono ? "text mono" : "text"}>${found.map((piece, n) =>
    piece.op === "same" ? html`<${Plain} key=${n} text=${piece.text} />` : piece.op === "gone" ? html`<del key=${n}><${Plain} text=${piece.text} /></del>` : html`<ins key=${n}><${Plain} text=${piece.text} /></ins>`)}</div>`;
}
