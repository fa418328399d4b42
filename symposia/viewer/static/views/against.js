// Others to hold a run or a batch against: a box that a key opens, with a link for each.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { carried, useAsked } from "../api.js";
import { Plain, Status, Waiting } from "../parts.js";
import { termOf } from "../terms.js";
import { age, count, headOf, number, short, standsFor } from "../words.js";
import { Answer, idOf } from "./runs.js";

const MOST = 30; // others in the list

/** @typedef {{id: string, line: any}} Other */

/** @param {{id: string, path: string, what: string, keyed?: boolean, sorted: (items: any[]) => Other[]}} props `path` of the others, `keyed` where `c` opens the box */
function Box({ id, path, what, keyed = true, sorted }) {
  const [open, setOpen] = useState(false);
  const asked = useAsked(open ? path : null);
  const list = useRef(/** @type {any} */ (null));
  useLayoutEffect(() => {
    const pressed = (/** @type {any} */ event) => keyed && event.detail === "compare" && setOpen(true);
    addEventListener("symposia-key", pressed);
    return () => removeEventListener("symposia-key", pressed);
  }, [keyed]);
  useEffect(() => {
    if (open && asked.data) list.current?.querySelector("a")?.focus();
  }, [open, asked.data !== undefined]);
  if (carried()) return null;
  const others = asked.data ? sorted(asked.data.items) : [];
  return html`<div class="saves against"><button class="quiet" title=${keyed ? "c" : ""} aria-expanded=${open} onClick=${() => setOpen(!open)}>compare with…</button>
    ${open && html`<div class="saves-box" ref=${list} onKeyDown=${(/** @type {KeyboardEvent} */ e) => e.key === "Escape" && (e.stopPropagation(), setOpen(false))}>${!asked.data ? html`<${Waiting} asked=${asked} what=${what} />` : !others.length ? html`<p>There is no other yet.</p>` : html`<ul>${others.slice(0, MOST).map((o) => html`<li key=${o.id}>
      <a href=${`#/compare/${encodeURIComponent(id)}/${encodeURIComponent(o.id)}`}>${o.line}</a></li>`)}</ul>`}
      ${others.length > MOST && html`<p class="dim">${MOST} of ${number(others.length)}</p>`}<p class="dim">any two: <code>#/compare/A/B</code></p></div>`}</div>`;
}

/** The name of a file without its folders. @param {any} path */
export const fileOf = (path) => short(String(path ?? "").split(/[/\\]/).pop(), 80);

/** Other batches, those over the same rows first. @param {{b: any}} props */
export function AgainstBatch({ b }) {
  const near = (/** @type {any} */ o) => Number(o.input !== b.input || o.rows !== b.rows);
  const sorted = (/** @type {any[]} */ items) => items.filter((o) => o.id !== b.id).sort((one, two) => near(one) - near(two)).map((o) => ({
    id: o.id, line: html`<span class="mono">${o.id}</span> <b><${Plain} text=${String(o.method)} /></b> <span class="dim">${fileOf(o.input)}, ${count(o.rows, "row")}, ${age(o.started)}</span>` }));
  return html`<${Box} id=${b.id} path="/batches" what="the batches" sorted=${sorted} />`;
}

/** Other runs of the same row, else of the same method; of a fork `c` is its parent. @param {{run: any}} props */
export function AgainstRun({ run }) {
  const q = run.row === null || run.row === undefined ? termOf("method", run.method) : termOf("row", run.row);
  const asked = (/** @type {any} */ o) => standsFor(String(o.question ?? ""), headOf(run.question) ?? "");
  const near = (/** @type {any} */ o) => Number(o.method !== run.method || !asked(o));
  const sorted = (/** @type {any[]} */ items) => items.filter((o) => idOf(o) !== run.run_id).sort((one, two) => near(one) - near(two)).map((o) => ({
    id: idOf(o), line: html`<span class="mono">${idOf(o)}</span> <b><${Plain} text=${String(o.method)} /></b> <${Status} run=${o} /> <${Answer} run=${o} /> <span class="dim">${o.parent ? `fork of ${String(o.parent.run).slice(0, 6)} at ${o.parent.at}, ` : ""}${asked(o) ? "" : `${short(o.question ?? "", 50)}, `}${age(o.started)}</span>` }));
  return html`<${Box} id=${run.run_id} path=${`/runs?${new URLSearchParams({ q })}`} what="the runs" keyed=${!run.parent} sorted=${sorted} />`;
}
