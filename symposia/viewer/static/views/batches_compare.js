// Two batches side by side, joined on their rows: who is right where, whether that is more than chance, and which answers changed.

import { html, useState } from "../vendor/preact.js";
import { useAsked } from "../api.js";
import { Plain, Status, Toys, Waiting } from "../parts.js";
import { go, runHash, withQuery } from "../route.js";
import { Rows, useMatch } from "../rows.js";
import { count, figure, headOf, number, plain, short } from "../words.js";
import { useMoves } from "./runs.js";
import { Saves } from "./saves.js";

/** @type {Record<string, string>} */
const NAMES = {
  changed: "whose answer changed", right_right: "right in both", right_wrong: "right in A, wrong in B", wrong_right: "wrong in A, right in B",
  wrong_wrong: "wrong in both", all: "in both batches",
};

/** @type {Record<string, string>} */
const TESTS = { mcnemar: "McNemar's test", "mcnemar exact": "McNemar's exact test", "sign flips": "flipping the signs of the differences" };

/** @param {{found: any, which: string}} props */
export function TwoBatches({ found, which }) {
  const [a, b] = found.batches;
  const toys = found.batches.some((/** @type {any} */ side) => side.toy);
  return html`<main class="list"><div class="bar"><h1>Compare batches</h1><${Toys} toys=${toys} /><span class="grow"></span>
      <a href=${`#/compare/${encodeURIComponent(b.id)}/${encodeURIComponent(a.id)}`}>swap A and B</a>
      <${Saves} path=${`/compare/export?a=${a.id}&b=${b.id}`} command=${`symposia diff ${a.id} ${b.id} --html compared.html`} /></div>
    ${!found.same_method && html`<p class="notice doubt">! The methods differ, so their steps do not correspond; outcomes only.</p>`}
    <div class="two">${[a, b].map((side, n) => html`<${Side} key=${side.id} name=${n ? "B" : "A"} side=${side} other=${n ? a : b} />`)}</div>
    <div class="two crossed"><${Cross} found=${found} which=${which} /><${Tested} found=${found} /></div>
    <${Pairs} found=${found} which=${which} /></main>`;
}

/** @param {number} x */
const percent = (x) => `${(100 * x).toFixed(1)} %`;

/** What a batch was given that the other was not. @param {any} side @param {any} other */
function ownOf(side, other) {
  const [mine, theirs] = [side.changed ?? {}, other.changed ?? {}];
  const keys = [...new Set([...Object.keys(mine), ...Object.keys(theirs)])].filter((key) => JSON.stringify(mine[key]) !== JSON.stringify(theirs[key]));
  return keys.map((key) => `${plain(key)} ${Object.hasOwn(mine, key) ? short(typeof mine[key] === "string" ? mine[key] : JSON.stringify(mine[key]), 60) : "as usual"}`);
}

/** @param {{name: string, side: any, other: any}} props */
function Side({ name, side, other }) {
  const a = side.accuracy;
  const own = ownOf(side, other);
  return html`<section class="side"><h2><a href=${`#/batches/${encodeURIComponent(side.id)}`}>${name} · <${Plain} text=${String(side.method)} /> <span class="mono dim">${side.id}</span></a></h2>
    <p>${a ? html`<b>${percent(a.estimate)} right</b> <span class="dim">(${(100 * a.low).toFixed(1)} to ${(100 * a.high).toFixed(1)}, ${number(side.right)} of ${number(side.graded)})</span>` : html`<span class="dim">not graded</span>`}</p>
    <p class="given">${own.length ? own.join(" · ") : html`<span class="dim">the same settings</span>`}</p>
    <p class="dim">${short(String(side.input ?? "").split(/[/\\]/).pop() ?? "", 60)} · ${count(side.rows, "row")} · ${count(side.calls, "call")}</p></section>`;
}

/** Right and wrong, every cell a filter. @param {{found: any, which: string}} props */
function Cross({ found, which }) {
  const table = found.table ?? {};
  const cell = (/** @type {string} */ name, /** @type {string} */ tone) => html`<td><button class=${`cross-cell ${table[name] ? tone : ""}`} aria-pressed=${which === name} disabled=${!found.table} aria-label=${`${number(table[name] ?? 0)} rows ${NAMES[name]}`}
    onClick=${() => show(which === name ? "" : name)}><b>${number(table[name] ?? 0)}</b> <span>${NAMES[name]}</span></button></td>`;
  return html`<section aria-label="Right and wrong"><h2>Who is right where <span class="dim">${count(found.graded, "row")} graded in both</span></h2>
    <table class="crosses"><thead><tr><th></th><th>B right</th><th>B wrong</th></tr></thead><tbody>
      <tr><th>A right</th>${cell("right_right", "")}${cell("right_wrong", "bad")}</tr><tr><th>A wrong</th>${cell("wrong_right", "good")}${cell("wrong_wrong", "")}</tr></tbody></table>
    <p class="dim">${[found.only_a && `${count(found.only_a, "row")} only in A`, found.only_b && `${count(found.only_b, "row")} only in B`, found.other_reference && `${count(found.other_reference, "row")} with another reference, left out`].filter(Boolean).join(" · ")}</p></section>`;
}

/** @param {string} which */
const show = (which) => go(withQuery({ rows: which }), { replace: true });

/** Whether the difference is more than chance. @param {{found: any}} props */
function Tested({ found }) {
  const t = found.test;
  const points = (/** @type {number} */ x) => (100 * x).toFixed(1);
  if (!t || !found.graded) return html`<section><h2>Is that chance?</h2><p class="dim">No row is graded in both.</p></section>`;
  if (t.missing) return html`<section><h2>Is that chance?</h2><p class="dim">The paired test is not at hand: <${Plain} text=${t.missing} /></p></section>`;
  const [better, sign] = t.difference > 0 ? ["A", 1] : ["B", -1];
  const ends = t.low === null ? null : [sign * t.low, sign * t.high].sort((x, y) => x - y);
  const sure = t.p < 0.05;
  return html`<section aria-label="Paired test"><h2>Is that chance?</h2>
    <p>${t.difference === 0 ? "Both are right equally often." : html`<b>${better} is right more often by ${points(Math.abs(t.difference))} points</b>${ends && html` <span class="dim">(${points(ends[0])} to ${points(ends[1])})</span>`}.`}</p>
    <p>${t.difference === 0 ? "" : sure ? html`<b class="good">✓ More than chance</b>` : html`<b class="doubt">! It may be chance</b>`} <span class="dim">${TESTS[t.test] ?? plain(t.test)}, p ${t.p < 0.0001 ? "< 0.0001" : number(t.p)}</span></p>
    <p class="dim">A does better on ${count(t.a_better, "problem")}, B on ${number(t.b_better)}. The same paired test as on the command line.</p></section>`;
}

/** The rows of a cell side by side. @param {{found: any, which: string}} props */
function Pairs({ found, which }) {
  const [a, b] = found.batches;
  const own = which === found.which;
  const asked = useAsked(own ? null : `/compare?${new URLSearchParams({ a: a.id, b: b.id, rows: which })}`);
  const told = own ? found : asked.data;
  const small = useMatch("(max-width: 43.75em)"); // where a selection would scroll past the table
  const [chosen, setSelected] = useState(-1);
  const rows = told?.rows ?? [];
  const selected = Math.min(rows.length - 1, Math.max(small ? -1 : 0, chosen));
  const address = (/** @type {any} */ r) => (found.same_method ? `#/compare/${r.a.run}/${r.b.run}` : runHash(r.a.run));
  const open = (/** @type {number} */ n) => rows[n] && go(address(rows[n]));
  useMoves(rows.length, selected, setSelected, (n) => open(Math.max(0, n)));
  const here = rows[Math.max(0, selected)];
  return html`<section class="list-of-pairs"><div class="bar"><h2>Rows ${NAMES[which] ?? ""} <span class="dim" role="status">${told ? `${number(told.total)} of ${number(found.shared)}` : ""}</span></h2>
      ${["changed", "all"].map((name) => html`<button key=${name} class="quiet" aria-pressed=${which === name} onClick=${() => show(name === "changed" ? "" : name)}>${name === "all" ? "all rows" : "changed answers"}</button>`)}</div>
    ${!told && html`<${Waiting} asked=${asked} what="the rows" />`}
    ${told && !rows.length && html`<div class="empty"><p>There is no row ${NAMES[which] ?? ""}.</p></div>`}
    ${here && html`<p class="bar picked">row <b>${short(here.row, 40)}</b>${here.repeat > 1 ? ` #${here.repeat}` : ""} <a href=${runHash(here.a.run)}>open A</a> <a href=${runHash(here.b.run)}>open B</a>${found.same_method && html` <a href=${address(here)}>step by step</a>`} <span class="dim"><kbd>Enter</kbd> opens ${found.same_method ? "both, step by step" : "A"}</span></p>
      <div class="head pairs-grid" aria-hidden="true"><span>row</span><span>question</span><span>expected</span><span>A</span><span>B</span></div>
      <${Rows} id="pairs" label="Rows of both batches" rows=${rows} height=${2.5} narrow=${4.4} selected=${selected} onSelect=${setSelected} onOpen=${open} row=${(/** @type {any} */ r) => html`<${PairLine} r=${r} />`} />
      ${told.total > rows.length && html`<p class="dim foot">${number(rows.length)} of ${number(told.total)}; the cells of the table narrow them down</p>`}`}</section>`;
}

/** @param {any} value */
const cell = (value) => (value === null || value === undefined ? html`<span class="dim">none</span>` : typeof value === "number" ? figure(value) : short(headOf(value) ?? JSON.stringify(value), 80));

/** @param {{r: any}} props */
function PairLine({ r }) {
  return html`<div class="pairs-grid"><span class="cut">${short(r.row, 30)}${r.repeat > 1 ? html` <span class="dim">#${r.repeat}</span>` : ""}</span><span class="cut dim">${short(headOf(r.question) ?? "", 140)}</span><span class="cut">${cell(r.reference)}</span>
    ${[r.a, r.b].map((side, n) => html`<span class="cut" key=${n}><span class="dim side-name">${n ? "B " : "A "}</span><${Status} run=${side} /> ${cell(side.answer)}</span>`)}</div>`;
}
