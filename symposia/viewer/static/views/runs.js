// The list of runs: find one, see how it stands, open it.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { useAsked } from "../api.js";
import { Copy, Plain, Status, Toys, Trouble, Waiting } from "../parts.js";
import { go, runHash, withQuery } from "../route.js";
import { Rows } from "../rows.js";
import { termOf, toggled } from "../terms.js";
import { age, count, dollars, expected, figure, headOf, number, short } from "../words.js";
import { TextHits } from "./find.js";

const FIRST = "symposia run magicore --model toy/default";

/** @param {{route: import("../route.js").Route}} props */
export function Runs({ route }) {
  const q = route.query.get("q") ?? "";
  const texts = route.query.get("texts") === "1";
  const [after, setAfter] = useState("");
  const [older, setOlder] = useState(/** @type {any[]} */ ([]));
  const asked = useAsked(`/runs?${new URLSearchParams({ q, ...(after ? { after } : {}) })}`, { every: after ? 0 : 5 });
  const [chosen, setChosen] = useState(/** @type {string|null} */ (null)); // by its id: new runs come in above it
  useEffect(() => {
    setAfter("");
    setOlder([]);
    setChosen(null);
  }, [q]);
  const page = asked.data?.items ?? [];
  const rows = nested([...older, ...page]);
  const selected = Math.max(0, rows.findIndex((r) => idOf(r.run) === chosen));
  const setSelected = (/** @type {number} */ n) => rows[n] && setChosen(idOf(rows[n].run));
  const open = (/** @type {number} */ n) => rows[n] && go(runHash(idOf(rows[n].run)));
  useMoves(rows.length, selected, setSelected, open);
  return html`<main class="list">
    <div class="bar"><h1>Runs</h1><${Search} q=${q} hint="correct:no method:magicore error:ReplyError cost>0.01" /><${Menu} q=${q} runs=${rows.map((r) => r.run)} /></div>
    ${asked.fault && html`<${Trouble} fault=${asked.fault} again=${asked.again} />`}
    ${!asked.data && !asked.fault && html`<${Waiting} asked=${asked} what="the runs" />`}
    ${asked.data && !rows.length && html`<${Empty} q=${q} />`}
    ${q && (texts ? html`<${TextHits} q=${q} />` : html`<p><button class="more" onClick=${() => go(withQuery({ texts: "1" }), { replace: true })}>look for “<${Plain} text=${short(q, 60)} />” in all texts</button></p>`)}
    ${rows.length > 0 && html`<div class="head runs-grid" aria-hidden="true"><span>how</span><span>method</span><span>question</span><span>answer</span><span class="num">calls</span><span class="num">cost</span><span class="num">age</span></div>
      <${Rows} id="runs" label="Runs" rows=${rows} height=${2.5} narrow=${3.6} selected=${selected} onSelect=${setSelected} onOpen=${open} row=${(/** @type {any} */ r) => html`<${Row} ...${r} />`} />
      <p class="dim foot">${count(rows.length, "run")}${asked.data?.total !== undefined ? ` of ${number(asked.data.total)}` : ""}
        ${asked.data?.next && html`<button class="more" onClick=${() => { setOlder([...older, ...page]); setAfter(asked.data.next); }}>show more</button>`}</p>`}
  </main>`;
}

/** @param {any} run */
export const idOf = (run) => String(run.run_id ?? run.run ?? run.id);

/** The part of an id that tells the runs of a batch apart. @param {any} run */
const shortId = (run) => (run.batch ? idOf(run).slice(9, 15) : idOf(run).slice(0, 6));

/** Forks under their parents, where both are in the list. @param {any[]} runs @returns {{run: any, level: number}[]} */
function nested(runs) {
  const known = new Set(runs.map(idOf));
  const parentOf = (/** @type {any} */ run) => (run.parent && known.has(String(run.parent.run ?? run.parent)) ? String(run.parent.run ?? run.parent) : "");
  /** @type {Map<string, any[]>} */
  const below = new Map();
  for (const run of runs) below.set(parentOf(run), [...(below.get(parentOf(run)) ?? []), run]);
  /** @type {(id: string, level: number) => {run: any, level: number}[]} */
  const listed = (id, level) => (below.get(id) ?? []).flatMap((run) => [{ run, level }, ...listed(idOf(run), level + 1)]);
  return listed("", 0);
}

/** @param {{run: any, level: number}} props */
function Row({ run, level }) {
  const error = run.error;
  return html`<div class="runs-grid">
    <span><${Status} run=${run} /></span>
    <span class="cut">${level > 0 && html`<span class="dim" title="a fork of the run above">${"  ".repeat(level - 1)}└ </span>`}<b><${Plain} text=${String(run.method)} /></b> <span class="dim mono">${shortId(run)}</span> <${Toys} toys=${run.toy} word="toy" /></span>
    <span class="cut">${run.row !== undefined && run.row !== null && html`<span class="dim">${short(run.row, 24)} </span>`}${short(headOf(run.question) ?? "", 140)}</span>
    <span class="cut">${error ? html`<span class="bad">${short(`${error.name}: ${error.message}`, 60)}</span>` : html`<${Answer} run=${run} />`}</span>
    <span class="num">${number(typeof run.calls === "object" ? (run.calls.live ?? 0) + (run.calls.replayed ?? 0) : run.calls)}</span>
    <span class="num">${dollars(run.cost ?? run.cost_usd)}</span>
    <span class="num dim">${age(run.started)}</span>
  </div>`;
}

/** An answer, and what it should have been. @param {{run: any}} props */
export function Answer({ run }) {
  const answer = run.answer === null || run.answer === undefined ? html`<span class="dim">none</span>` : html`<b>${typeof run.answer === "number" ? figure(run.answer) : short(headOf(run.answer) ?? JSON.stringify(run.answer), 60)}</b>`;
  const right = run.correct === false ? expected(run.reference) : "";
  return html`${answer}${right && html` <span class="dim">expected ${short(right, 40)}</span>`}`;
}

/** What the listed runs can be filtered by. @param {{q: string, runs: any[]}} props */
function Menu({ q, runs }) {
  const of = (/** @type {string} */ key, /** @type {(run: any) => any} */ read) => [...new Set(runs.map(read))].filter((v) => v !== null && v !== undefined).sort().map((value) => termOf(key, value));
  const groups = [["method", of("method", (r) => r.method)], ["status", of("status", (r) => r.status)], ["batch", of("batch", (r) => r.batch)], ["verdict", of("correct", (r) => r.correct)]].filter(([, terms]) => terms.length);
  const pick = (/** @type {any} */ event) => {
    const term = event.target.value;
    event.target.value = "";
    if (term) go(withQuery({ q: toggled(q, term) }), { replace: true });
  };
  return html`<label><span class="away">Add to the filter</span><select class="menu" onChange=${pick}><option value="">add …</option>
    ${groups.map(([name, terms]) => html`<optgroup key=${name} label=${name}>${terms.map((/** @type {string} */ term) => html`<option key=${term} value=${term}>${term}</option>`)}</optgroup>`)}</select></label>`;
}

/** @param {{q: string, hint: string, name?: string}} props */
export function Search({ q, hint, name = "q" }) {
  const [text, setText] = useState(q);
  const sent = useRef(q); // what was typed on after the address took it is not typed over
  const send = () => go(withQuery({ [name]: (sent.current = text) }), { replace: true });
  useLayoutEffect(() => {
    if (q !== sent.current) setText((sent.current = q));
  }, [q]);
  useEffect(() => {
    const timer = setTimeout(() => text !== sent.current && send(), 250);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<label class="search"><span class="away">Filter</span>
    <input type="search" id="find" value=${text} placeholder=${`filter: ${hint}`} onInput=${(/** @type {any} */ e) => setText(e.target.value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ e) => { if (e.key === "Enter") { send(); /** @type {any} */ (e.target).blur(); } }} /></label>`;
}

/** @param {{q: string}} props */
function Empty({ q }) {
  if (q) return html`<div class="empty"><p>No run passes the filter <code>${q}</code>.</p><a href="#/runs">Show every run</a></div>`;
  return html`<div class="empty"><p>There are no runs yet. This makes one with toy models, without a key and without a network:</p>
    <p><code>${FIRST}</code> <${Copy} text=${FIRST} label="copy" /></p></div>`;
}

/** j, k and Enter in a list, wherever the focus is. @param {number} n @param {number} selected @param {(n: number) => void} select @param {(n: number) => void} open */
export function useMoves(n, selected, select, open) {
  const at = useRef(selected); // a key may come before the one before it is drawn
  at.current = selected;
  useLayoutEffect(() => {
    const pressed = (/** @type {any} */ event) => {
      const key = event.detail;
      if (key === "down") select((at.current = Math.min(n - 1, at.current + 1)));
      else if (key === "up") select((at.current = Math.max(0, at.current - 1)));
      else if (key === "open") open(at.current);
    };
    addEventListener("symposia-key", pressed);
    return () => removeEventListener("symposia-key", pressed);
  });
}
