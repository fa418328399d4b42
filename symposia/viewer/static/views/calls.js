// The calls of a step: a line for each, windowed where there are many.

import { html, useState } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { go, runHash } from "../route.js";
import { nameOf } from "./steps.js";
import { Rows } from "../rows.js";
import { count, dollars, duration, number, short } from "../words.js";

/** @type {Record<string, [string, string]>} */
const SIGNS = { ok: ["✓", "good"], failed: ["✗", "bad"], refused: ["✗", "bad"], truncated: ["!", "doubt"], unreadable: ["!", "doubt"] };
const FEW = 60; // calls that are listed without a window

/** @param {{calls: any[], id: string, n?: number, steps?: any[], query?: URLSearchParams}} props `n` is the step's number; with the `steps` of the run a step without calls names the nearest */
export function CallList({ calls, id, n = 0, steps = [], query = new URLSearchParams() }) {
  const [at, setAt] = useState(-1);
  if (!calls.length) return html`<section class="calls"><h3>Calls</h3><p class="dim">none in this step<${Nearest} id=${id} n=${n} steps=${steps} query=${query} /></p></section>`;
  const open = (/** @type {number} */ n) => go(runHash(id, calls[n].place));
  const odd = calls.filter((c) => c.status !== "ok").length;
  return html`<section class="calls"><h3>Calls <span class="dim">${number(calls.length)}${odd ? html`, <span class="bad">${odd} not in order</span>` : ""}</span></h3>
    ${calls.length <= FEW ? html`<ul class="call-list">${calls.map((call) => html`<li key=${`${call.place} ${call.seq}`}><a href=${runHash(id, call.place)}><${CallLine} call=${call} /></a></li>`)}</ul>`
      : html`<div class="boxed"><${Rows} id="calls" label="Calls of the step" rows=${calls} height=${2} selected=${at} onSelect=${setAt} onOpen=${open} row=${(/** @type {any} */ call) => html`<${CallLine} call=${call} />`} /></div>`}
  </section>`;
}

/** The step with calls that is nearest, the one before of two. @param {{id: string, n: number, steps: any[], query: URLSearchParams}} props */
function Nearest({ id, n, steps, query }) {
  const [near] = steps.filter((s) => s.calls > 0).sort((a, b) => Math.abs(a.n - n) - Math.abs(b.n - n) || a.n - b.n);
  return near ? html`; nearest: <a href=${runHash(id, near.n, query)}>${near.n} <${Plain} text=${nameOf(near)} />, ${count(near.calls, "call")}</a>` : null;
}

/** @param {{call: any}} props */
function CallLine({ call }) {
  const [sign, tone] = SIGNS[call.status] ?? ["–", ""];
  const tokens = call.tokens ?? [0, 0];
  return html`<span class="call-line"><span class=${tone} title=${call.status}>${sign}</span>
    <span class="mono"><${Plain} text=${tail(call.place)} /></span>
    <span class="cut">${call.status !== "ok" && html`<span class=${tone}>${call.status} </span>`}<${Plain} text=${short(call.head ?? "", 100)} /></span>
    <span class="dim cut">${short(call.role || call.kind || "", 20)}${call.retries ? `, ${count(call.retries, "retry", "retries")}` : ""}</span>
    <span class="num dim">${tokens[0] + tokens[1] ? `${number(tokens[0])}+${number(tokens[1])}` : ""}</span>
    <span class="num dim">${call.cost ? dollars(call.cost) : duration(call.ms)}</span></span>`;
}

/** A place without its step, which stands above. @param {string} place */
const tail = (place) => String(place).replace(/^-?\d+\./, "");
