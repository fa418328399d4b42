// How long steps took: on the scale of true time, with what was in flight, or each step as wide as every other, with a box per branch.

import { html } from "../vendor/preact.js";
import { count, duration } from "../words.js";

const BOXES = 24; // branches that are drawn one by one

/** Where a step begins and ends on the scale of time, in milliseconds. @typedef {{from: number, to: number}} Span */

/** Steps one after the other by what their longest branch took, which is what is recorded; waits between steps are not. @param {any[]} steps @returns {Map<number, Span>} */
export function spansOf(steps) {
  /** @type {Map<number, Span>} */
  const found = new Map();
  let at = 0;
  for (const step of steps) {
    found.set(step.n, { from: at, to: at + (step.ms ?? 0) });
    at += step.ms ?? 0;
  }
  return found;
}

/** @param {{steps: any[], spans: Map<number, Span>, total: number, scale: string}} props `steps` are one, or those of a folded round */
export function Track({ steps, spans, total, scale }) {
  const [first, last] = [spans.get(steps[0].n), spans.get(steps[steps.length - 1].n)];
  if (!first || !last) return null;
  const flight = steps.length === 1 ? steps[0].flight ?? null : null;
  const odd = flight ? (Array.isArray(flight.odd) ? flight.odd : []) : [];
  const said = flight ? `, ${count(flight.n, "branch", "branches")}${odd.length || flight.odd > 0 ? `, ${odd.length || flight.odd} not in order` : ""}` : "";
  if (scale === "time") {
    const [left, width] = [(100 * first.from) / Math.max(1, total), (100 * (last.to - first.from)) / Math.max(1, total)];
    const title = `${duration(first.from)} to ${duration(last.to)} of ${duration(total)}${said}`;
    return html`<span class="track time" title=${title}><svg class=${odd.length || flight?.odd > 0 ? "odd" : ""} style=${{ left: `${Math.min(99, left)}%`, width: `${width}%` }} viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=${title}><path d=${stairs(flight?.ms ?? [])} /></svg></span>`;
  }
  if (!flight) return null;
  const title = `${duration(steps[0].ms)}${said}`;
  if (flight.n > BOXES) return html`<span class="track" title=${title}><i class=${flight.odd > 0 || odd.length ? "odd" : ""}></i></span>`;
  return html`<span class="track" title=${title}>${flight.ms.map((/** @type {number} */ _, /** @type {number} */ n) => html`<i key=${n} class=${odd.includes(n) ? "odd" : ""}></i>`)}</span>`;
}

/** How many branches are still in flight, as stairs that go down to the right. @param {number[]} ms */
function stairs(ms) {
  const sorted = [...ms].sort((a, b) => a - b);
  const longest = sorted[sorted.length - 1];
  if (!longest) return "M0 0H100V10H0z";
  return `M0 10V0${sorted.map((took, n) => `H${round((100 * took) / longest)}V${round((10 * (n + 1)) / sorted.length)}`).join("")}z`;
}

/** @param {number} x */
const round = (x) => Math.round(100 * x) / 100;
