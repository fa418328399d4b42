// A batch: what came out, which rows failed and why, and how the rows fall apart. Every group and bar is a filter.

import { html, useState } from "../vendor/preact.js";
import { useAsked } from "../api.js";
import { Copy, Plain, Status, Toys, Trouble, Waiting } from "../parts.js";
import { go, runHash, withQuery } from "../route.js";
import { Rows } from "../rows.js";
import { age, count, dollars, headOf, number, plain, short } from "../words.js";
import { Answer, Search, idOf, useMoves } from "./runs.js";

const FIRST = "symposia batch magicore data.jsonl --model toy/default";

export function Batches() {
  const asked = useAsked("/batches", { every: 10 });
  const [selected, setSelected] = useState(0);
  const rows = asked.data?.items ?? [];
  const open = (/** @type {number} */ n) => rows[n] && go(`#/batches/${encodeURIComponent(rows[n].id)}`);
  useMoves(rows.length, selected, setSelected, open);
  return html`<main class="list"><div class="bar"><h1>Batches</h1></div>
    ${!asked.data && html`<${Waiting} asked=${asked} what="the batches" />`}
    ${asked.data && !rows.length && html`<div class="empty"><p>There are no batches yet. A batch is a method over the rows of a file:</p><p><code>${FIRST}</code> <${Copy} text=${FIRST} label="copy" /></p></div>`}
    ${rows.length > 0 && html`<${Rows} id="batches" label="Batches" rows=${rows} height=${2.5} selected=${selected} onSelect=${setSelected} onOpen=${open} row=${(/** @type {any} */ b) => html`<${BatchLine} b=${b} />`} />`}</main>`;
}

/** @param {any} path */
const fileOf = (path) => short(String(path ?? "").split(/[/\\]/).pop(), 80);

/** @param {{b: any}} props */
function BatchLine({ b }) {
  return html`<div class="batch-grid"><span class="mono dim">${b.id}</span><b class="cut"><${Plain} text=${String(b.method)} /></b><span class="cut dim">${fileOf(b.input)}</span>
    <span class="cut">${Object.entries(b.counts ?? {}).map(([name, n]) => `${plain(name)} ${number(n)}`).join(", ")}</span><span class="num">${count(b.rows ?? 0, "row")}</span><span class="num dim">${age(b.started)}</span></div>`;
}

/** @param {{route: import("../route.js").Route}} props */
export function Batch({ route }) {
  const id = encodeURIComponent(route.id);
  const q = route.query.get("filter") ?? "";
  const page = useAsked(`/batches/${id}`, { every: 10 });
  const [after, setAfter] = useState(0);
  const rows = useAsked(`/batches/${id}/rows?${new URLSearchParams({ q, ...(after ? { after: String(after) } : {}) })}`, { every: page.data && !page.data.ended ? 5 : 0 });
  const [selected, setSelected] = useState(0);
  const items = rows.data?.items ?? [];
  const open = (/** @type {number} */ n) => items[n] && go(runHash(idOf(items[n]), items[n].error?.place ?? ""));
  useMoves(items.length, selected, setSelected, open);
  if (!page.data) return html`<main class="list"><${Waiting} asked=${page} what="the batch" /></main>`;
  const b = page.data;
  return html`<main class="list"><${Head} b=${b} />
    <${Failures} groups=${b.errors ?? []} q=${q} />
    <${Facets} facets=${telling(b.facets ?? [], b.rows)} q=${q} />
    <div class="bar"><${Search} q=${q} name="filter" hint="correct:no visited:refine error:ReplyError round>=2" />
      <span class="dim" role="status">${rows.data ? `${number(rows.data.total)} of ${count(rows.data.of ?? b.rows, "row")}` : ""}</span>
      ${q && html`<button class="quiet" onClick=${() => go(withQuery({ filter: "" }), { replace: true })}>clear</button>`}</div>
    ${rows.fault && html`<${Trouble} fault=${rows.fault} again=${rows.again} />`}
    ${!rows.data && !rows.fault && html`<${Waiting} asked=${rows} what="the rows" />`}
    ${rows.data && !items.length && html`<div class="empty"><p>No row passes <code>${q || "the filter"}</code>${lastTerm(q) ? html`; the last term is <code>${lastTerm(q)}</code>` : ""}.</p></div>`}
    ${items.length > 0 && html`<div class="head rows-grid" aria-hidden="true"><span>how</span><span>row</span><span>question</span><span>answer</span><span class="num">calls</span><span class="num">cost</span></div>
      <${Rows} id="rows" label="Rows of the batch" rows=${items} height=${2.5} selected=${selected} onSelect=${setSelected} onOpen=${open} row=${(/** @type {any} */ r) => html`<${RowLine} r=${r} />`} />`}
    ${(rows.data?.next || after > 0) && html`<p class="foot">rows ${number(after + 1)} to ${number(after + items.length)} ${after > 0 && html`<button class="more" onClick=${() => setAfter(0)}>first rows</button>`} ${rows.data?.next && html`<button class="more" onClick=${() => setAfter(rows.data.next)}>next rows</button>`}</p>`}
  </main>`;
}

/** @param {string} q */
const lastTerm = (q) => (q.trim().includes(" ") ? q.trim().split(/\s+/).pop() : "");

/** @param {{b: any}} props */
function Head({ b }) {
  const a = b.accuracy;
  const percent = (/** @type {number} */ x) => `${(100 * x).toFixed(1)}`;
  const changed = Object.entries(b.changed ?? {}).map(([key, value]) => `${plain(key)} ${short(typeof value === "string" ? value : JSON.stringify(value), 40)}`);
  return html`<header class="run-head"><div class="bar"><h1><${Plain} text=${String(b.method)} /></h1><span class="mono dim">${b.id}</span><span class="dim" title=${short(b.input ?? "", 400)}>${fileOf(b.input)}</span><${Toys} toys=${b.toy} />
      <span class="grow"></span><${Copy} text=${() => location.href} label="copy link" /></div>
    <div class="outcome"><span class="answer">${a ? html`<b>${percent(a.estimate)} % right</b> <span class="dim">(${percent(a.low)} to ${percent(a.high)}, ${number(b.right)} of ${number(b.graded)} graded)</span>` : html`<span class="dim">not graded</span>`}</span>
      <span class="facts">${Object.entries(b.counts ?? {}).map(([name, n]) => `${plain(name)} ${number(n)}`).join(" · ")} · ${count(b.calls ?? 0, "call")} · ${typeof b.cost === "number" ? dollars(b.cost) : "price not known"}</span></div>
    ${changed.length > 0 && html`<p class="dim params">${changed.join(" · ")}</p>`}</header>`;
}

/** A filter with a term added, or taken out where it already stands. @param {string} q @param {string} term */
function toggled(q, term) {
  const terms = q.trim().split(/\s+/).filter(Boolean);
  return (terms.includes(term) ? terms.filter((t) => t !== term) : [...terms.filter((t) => t.split(":")[0] !== term.split(":")[0]), term]).join(" ");
}

/** @param {string} key @param {any} value */
const termOf = (key, value) => `${key}:${/[\s",]/.test(String(value)) ? `"${String(value).replaceAll('"', "")}"` : value}`;

/** @param {{groups: any[], q: string}} props */
function Failures({ groups, q }) {
  if (!groups.length) return null;
  return html`<section class="groups" aria-label="Failures"><h2>Why rows failed</h2><ul>${groups.map((g) => {
    const terms = [termOf("error", g.name), ...(g.node ? [termOf("node", g.node)] : [])];
    const on = terms.every((t) => q.includes(t));
    return html`<li key=${`${g.name} ${g.node}`}><button class="group" aria-pressed=${on} onClick=${() => go(withQuery({ filter: on ? "" : terms.join(" ") }), { replace: true })}>
      <b class="bad">${number(g.count)} × ${short(g.name, 60)}</b>${g.node && html` in <b>${short(g.node, 40)}</b>`}</button> <span class="dim">${short(g.message, 160)}</span></li>`;
  })}</ul></section>`;
}

/** What splits the rows: a node that every row visited says nothing. @param {any[]} facets @param {number} all */
function telling(facets, all) {
  const split = facets.map((f) => (f.key === "visited" ? { ...f, values: f.values.filter((/** @type {any} */ v) => v.n < all) } : f));
  return split.filter((f) => f.values.length > 0);
}

/** @param {{facets: any[], q: string}} props */
function Facets({ facets, q }) {
  if (!facets.length) return null;
  return html`<section class="facets" aria-label="How the rows fall apart">${facets.map((f) => {
    const top = Math.max(...f.values.map((/** @type {any} */ v) => v.n));
    return html`<div class="facet" key=${f.key}><h3><${Plain} text=${String(f.key)} /></h3><ul>${f.values.map((/** @type {any} */ v) => {
      const term = termOf(f.key, v.value === null ? "none" : v.value);
      return html`<li key=${term}><button aria-pressed=${q.includes(term)} onClick=${() => go(withQuery({ filter: toggled(q, term) }), { replace: true })}>
        <span class="cut"><${Plain} text=${v.value === null ? "none" : typeof v.value === "number" ? number(v.value) : short(headOf(v.value) ?? String(v.value), 30)} /></span>
        <span class="bar-box"><span class="bar" style=${{ width: `${(100 * v.n) / top}%` }}></span></span><span class="num">${number(v.n)}</span>
        <span class="num dim">${v.graded ? `${Math.round((100 * v.right) / v.graded)} % right` : ""}</span></button></li>`;
    })}</ul></div>`;
  })}</section>`;
}

/** @param {{r: any}} props */
function RowLine({ r }) {
  return html`<div class="rows-grid"><span><${Status} run=${r} /></span><span class="cut">${short(r.row ?? r.position ?? idOf(r), 30)}${r.repeat > 1 ? html` <span class="dim">#${r.repeat}</span>` : ""}</span>
    <span class="cut dim">${short(headOf(r.question) ?? "", 140)}</span>
    <span class="cut">${r.error ? html`<span class="bad">${short(`${r.error.name}: ${r.error.message}`, 80)}</span>` : html`<${Answer} run=${r} />`}</span>
    <span class="num">${number(r.calls)}</span><span class="num">${dollars(r.cost)}</span></div>`;
}
