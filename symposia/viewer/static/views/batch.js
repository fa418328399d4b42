// A batch: what came out, which rows failed and why, and how the rows fall apart. Every group and bar is a filter.

import { html, useEffect, useState } from "../vendor/preact.js";
import { carried, useAsked } from "../api.js";
import { Copy, Plain, Status, Toys, Trouble, Waiting } from "../parts.js";
import { go, runHash, withQuery } from "../route.js";
import { Rows, useMatch } from "../rows.js";
import { age, count, dollars, headOf, number, plain, short } from "../words.js";
import { AgainstBatch, fileOf } from "./against.js";
import { Standing, useStanding } from "./standing.js";
import { Changes, Facets, Failures, States, useDivided } from "./divided.js";
import { Filter } from "./filter.js";
import { Answer, idOf, useMoves } from "./runs.js";
import { Saves } from "./saves.js";

const FIRST = "symposia batch magicore data.jsonl --model toy/default";

export function Batches() {
  const asked = useAsked("/batches", { every: 10 });
  const [chosen, setChosen] = useState(/** @type {string|null} */ (null));
  const rows = asked.data?.items ?? [];
  const selected = Math.max(0, rows.findIndex((/** @type {any} */ b) => b.id === chosen));
  const setSelected = (/** @type {number} */ n) => rows[n] && setChosen(rows[n].id);
  const open = (/** @type {number} */ n) => rows[n] && go(`#/batches/${encodeURIComponent(rows[n].id)}`);
  useMoves(rows.length, selected, setSelected, open);
  return html`<main class="list"><div class="bar"><h1>Batches</h1></div>
    ${!asked.data && html`<${Waiting} asked=${asked} what="the batches" />`}
    ${asked.data && !rows.length && html`<div class="empty"><p>There are no batches yet. A batch is a method over the rows of a file:</p><p><code>${FIRST}</code> <${Copy} text=${FIRST} label="copy" /></p></div>`}
    ${rows.length > 0 && html`<${Rows} id="batches" label="Batches" rows=${rows} height=${2.5} selected=${selected} onSelect=${setSelected} onOpen=${open} row=${(/** @type {any} */ b) => html`<${BatchLine} b=${b} />`} />`}</main>`;
}

/** @param {{b: any}} props */
function BatchLine({ b }) {
  return html`<div class="batch-grid"><span class="mono dim">${b.id}</span><b class="cut"><${Plain} text=${String(b.method)} /></b><span class="cut dim">${fileOf(b.input)}</span>
    <span class="cut">${Object.entries(b.counts ?? {}).map(([name, n]) => `${plain(name)} ${number(n)}`).join(", ")}</span><span class="num">${count(b.rows ?? 0, "row")}</span><span class="num dim">${age(b.started)}</span></div>`;
}

/** @param {{route: import("../route.js").Route}} props */
export function Batch({ route }) {
  const id = encodeURIComponent(route.id);
  const q = route.query.get("filter") ?? "";
  const page = useAsked(`/batches/${id}${carried() ? "" : "?quick=1"}`);
  const [from, setFrom] = useState({ q, after: 0 });
  const after = from.q === q ? from.after : 0; // another filter begins with its first row
  if (from.q !== q) setFrom({ q, after });
  const setAfter = (/** @type {number} */ n) => setFrom({ q, after: n });
  const rows = useAsked(`/batches/${id}/rows?${new URLSearchParams({ q, ...(after ? { after: String(after) } : {}) })}`);
  const live = useStanding(id, page, rows);
  const divided = useDivided(id, page.data);
  const told = divided.changes && !divided.states?.going;
  useEffect(() => {
    if (told) rows.again(); // its rows say which way their answers moved
  }, [told]);
  const [chosen, setChosen] = useState(/** @type {string|null} */ (null));
  const items = rows.data?.items ?? [];
  const small = useMatch("(max-width: 43.75em)");
  // On a phone nothing is selected at first: the list would scroll to it, past everything above.
  const selected = Math.max(small ? -1 : 0, items.findIndex((/** @type {any} */ r) => idOf(r) === chosen));
  const setSelected = (/** @type {number} */ n) => items[n] && setChosen(idOf(items[n]));
  const open = (/** @type {number} */ n) => items[n] && go(runHash(idOf(items[n]), items[n].error?.place ?? ""));
  useMoves(items.length, selected, setSelected, (n) => open(Math.max(0, n)));
  if (!page.data) return html`<main class="list"><${Waiting} asked=${page} what="the batch" /></main>`;
  const b = page.data;
  return html`<main class="list"><${Head} b=${b} q=${q} /><${Standing} b=${b} live=${live} />
    <${Failures} groups=${b.errors ?? []} q=${q} />
    <${Changes} changes=${divided.changes} states=${divided.states} q=${q} />
    <${Facets} facets=${divided.facets} q=${q} />
    <${States} states=${divided.states} begin=${divided.begin} />
    ${divided.fault && html`<${Trouble} fault=${divided.fault} />`}
    <${Filter} q=${q} b=${b} facets=${divided.facets} changes=${divided.changes} rows=${rows} />
    ${rows.fault && html`<${Trouble} fault=${rows.fault} again=${rows.again} />`}
    ${!rows.data && !rows.fault && html`<${Waiting} asked=${rows} what="the rows" />`}
    ${items.length > 0 && html`<div class="head rows-grid" aria-hidden="true"><span>how</span><span>row</span><span>question</span><span>answer</span><span class="num">calls</span><span class="num">cost</span></div>
      <${Rows} id="rows" label="Rows of the batch" rows=${items} height=${2.5} selected=${selected} onSelect=${setSelected} onOpen=${open} row=${(/** @type {any} */ r) => html`<${RowLine} r=${r} />`} />`}
    ${(rows.data?.next || after > 0) && html`<p class="foot">${items.length > 0 && `rows ${number(after + 1)} to ${number(after + items.length)}`} ${after > 0 && html`<button class="more" onClick=${() => setAfter(0)}>first rows</button>`} ${rows.data?.next && html`<button class="more" onClick=${() => setAfter(rows.data.next)}>next rows</button>`}</p>`}
  </main>`;
}

/** @param {{b: any, q: string}} props */
function Head({ b, q }) {
  const a = b.accuracy;
  const percent = (/** @type {number} */ x) => `${(100 * x).toFixed(1)}`;
  const changed = Object.entries(b.changed ?? {}).map(([key, value]) => `${plain(key)} ${short(typeof value === "string" ? value : JSON.stringify(value), 40)}`);
  return html`<header class="run-head"><div class="bar"><h1><${Plain} text=${String(b.method)} /></h1><span class="mono dim">${b.id}</span><span class="dim" title=${short(b.input ?? "", 400)}>${fileOf(b.input)}</span><${Toys} toys=${b.toy} />
      <span class="grow"></span><${Saves} path=${`/batches/${encodeURIComponent(b.id)}/export`} command=${`symposia show ${b.id} --html ${b.id}.html`} note="holds every row, and 20 of the runs whole: failed ones first, then wrong ones" />${!carried() && html`<a href=${`api/batches/${encodeURIComponent(b.id)}/rows.csv?${new URLSearchParams({ q })}`} download title="the rows that the filter keeps">CSV</a>`}<${AgainstBatch} b=${b} /><${Copy} text=${() => location.href} label="copy link" /></div>
    <div class="outcome"><span class="answer">${a ? html`<b>${percent(a.estimate)} % right</b> <span class="dim">(${percent(a.low)} to ${percent(a.high)}, ${number(b.right)} of ${number(b.graded)} graded)</span>` : html`<span class="dim">not graded</span>`}</span>
      <span class="facts">${Object.entries(b.counts ?? {}).map(([name, n]) => `${plain(name)} ${number(n)}`).join(" · ")} · ${count(b.calls ?? 0, "call")} · ${typeof b.cost === "number" ? dollars(b.cost) : "price not known"}</span></div>
    ${changed.length > 0 && html`<p class="dim params">${changed.join(" · ")}</p>`}</header>`;
}

/** @param {{r: any}} props */
function RowLine({ r }) {
  return html`<div class="rows-grid"><span><${Status} run=${r} /></span><span class="cut">${short(r.row ?? r.position ?? idOf(r), 30)}${r.repeat > 1 ? html` <span class="dim">#${r.repeat}</span>` : ""}</span>
    <span class="cut dim">${short(headOf(r.question) ?? "", 140)}</span>
    <span class="cut">${r.error ? html`<span class="bad">${short(`${r.error.name}: ${r.error.message}`, 80)}</span>` : html`<${Answer} run=${r} /> <${Moved} moves=${r.moves} />`}</span>
    <span class="num">${number(r.calls)}</span><span class="num">${dollars(r.cost)}</span></div>`;
}

/** Which way a row's dialogue moved answers, in three signs. @param {{moves: any}} props */
function Moved({ moves }) {
  if (!moves) return null;
  const told = [["good", "✓", moves["wrong-right"], "wrong to right"], ["bad", "✗", moves["right-wrong"], "right to wrong"], ["doubt", "↻", (moves["wrong-wrong"] ?? 0) + (moves.changed ?? 0), "to another answer"]];
  return html`<span class="moved-line">${told.filter(([, , n]) => n).map(([tone, sign, n, words]) => html`<span key=${sign} class=${tone} title=${`${n} ${words}`}>${sign}${n}</span> `)}</span>`;
}
