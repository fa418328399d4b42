// The typed filter of a batch, and the menus that write it.

import { html } from "../vendor/preact.js";
import { go, withQuery } from "../route.js";
import { termOf, termsOf, toggled } from "../terms.js";
import { figure, headOf, number, plain, short } from "../words.js";
import { Search } from "./runs.js";

/** @param {string} q */
export const filterBy = (q) => go(withQuery({ filter: q }), { replace: true });

/** What a value of a facet is called. @param {any} value */
export const said = (value) => (value === null || value === undefined ? "none" : typeof value === "boolean" ? (value ? "yes" : "no") : typeof value === "number" ? figure(value) : short(headOf(value) ?? plain(value), 30));

/** @typedef {{term: string, label: string}} Choice */

/** What can be filtered by, in groups. @param {any} b @param {any[]} facets @param {any} changes @returns {[string, Choice[]][]} */
function choices(b, facets, changes) {
  const verdicts = b.graded ? [["yes", "right", b.right], ["no", "wrong", b.graded - b.right], ["unknown", "not graded", b.rows - b.graded]].filter(([, , n]) => n) : [];
  const price = b.cost ? b.cost / Math.max(1, b.rows) : 0;
  /** @type {[string, Choice[]][]} */
  const groups = [
    ["verdict", verdicts.map(([value, word, n]) => ({ term: `correct:${value}`, label: `${word} (${number(n)})` }))],
    ["failures", (b.errors ?? []).map((/** @type {any} */ g) => ({ term: [termOf("error", g.name), ...(g.node ? [termOf("node", g.node)] : [])].join(" "), label: `${short(g.name, 30)}${g.node ? ` in ${short(g.node, 30)}` : ""} (${number(g.count)})` }))],
    ["changes of answer", Object.entries(changes?.moves ?? {}).map(([move, n]) => ({ term: `changed:${move}`, label: `${move.replace("-", " to ")} (${number(n.rows)})` }))],
    ...facets.map((f) => /** @type {[string, Choice[]]} */ ([plain(f.key), f.values.map((/** @type {any} */ v) => ({ term: termOf(f.key, v.value), label: `${f.key} ${said(v.value)} (${number(v.n)})` }))])),
    ["more than usual", [...(b.rows && b.calls ? [{ term: `calls>${Math.ceil(b.calls / b.rows)}`, label: "more calls than the mean" }] : []), ...(price ? [{ term: `cost>${price.toPrecision(2)}`, label: "dearer than the mean" }] : [])]],
  ];
  return groups.filter(([, items]) => items.length > 0);
}

/** @param {{q: string, b: any, facets: any[], changes: any, rows: any}} props */
export function Filter({ q, b, facets, changes, rows }) {
  const pick = (/** @type {any} */ event) => {
    const term = event.target.value;
    event.target.value = "";
    if (term) filterBy(termsOf(term).reduce((all, one) => (termsOf(all).includes(one) ? all : toggled(all, one)), q));
  };
  return html`<div class="bar filter"><${Search} q=${q} name="filter" hint="correct:no visited:refine error:ReplyError round>=2" />
    <label><span class="away">Add to the filter</span><select class="menu" onChange=${pick}><option value="">add …</option>
      ${choices(b, facets, changes).map(([name, items]) => html`<optgroup key=${name} label=${name}>${items.map(({ term, label }) => html`<option key=${term} value=${term}>${label}</option>`)}</optgroup>`)}</select></label>
    <span class="dim" role="status">${rows.data ? `${number(rows.data.total)} of ${(rows.data.of ?? b.rows).toLocaleString("en")} rows` : ""}</span>
    ${q && html`<button class="quiet" onClick=${() => filterBy("")}>clear</button>`}</div>
    ${rows.data && rows.data.total === 0 && html`<${NoMatch} q=${q} removed=${rows.data.removed_by} states=${rows.data.states} />`}`;
}

/** Nothing is left: which term removed the last row, and a way back. @param {{q: string, removed: any, states: any}} props */
function NoMatch({ q, removed, states }) {
  const open = states && states.done < states.of;
  return html`<div class="empty"><p>No row passes ${removed ? html`<code>${short(q, 200)}</code>: <code>${short(removed.term, 80)}</code> removed the last ${number(removed.before)}.` : html`<code>${short(q, 200)}</code>.`}</p>
    ${open && html`<p>The states of ${number(states.done)} of ${number(states.of)} rows are known so far.</p>`}
    ${removed && html`<button onClick=${() => filterBy(termsOf(q).filter((t) => t !== removed.term).join(" "))}>Take ${short(removed.term, 40)} out</button>`}</div>`;
}
