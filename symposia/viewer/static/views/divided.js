// How the rows of a batch fall apart: why some failed, which way debates moved their answers, and what splits them. All of it filters.

import { html, useState } from "../vendor/preact.js";
import { carried, useAsked } from "../api.js";
import { Plain } from "../parts.js";
import { useMatch } from "../rows.js";
import { count, number, plain, short } from "../words.js";
import { termOf, termsOf, toggled } from "../terms.js";
import { filterBy, said } from "./filter.js";

const FIRST = 6; // facets that show unasked
const SMALL = 2; // on a phone, where the rows stand below them
const MANY = 2000; // rows from which on the rest is asked for less often

/** What divides a batch's rows, asked again as long as states are being rebuilt. @param {string} id as it stands in an address @param {any} page what is known of the batch */
export function useDivided(id, page) {
  const [begun, setBegun] = useState(false);
  const [every, setEvery] = useState(0);
  const asked = useAsked(page ? `/batches/${id}/facets${begun ? "?begin=1" : ""}` : null, { every });
  const states = asked.data?.states;
  const wanted = !states ? 0 : states.going ? (states.of > MANY ? 5 : 1) : page.ended || carried() ? 0 : 10;
  if (asked.data && wanted !== every) setEvery(wanted);
  return { facets: asked.data?.facets ?? page?.facets ?? [], changes: asked.data?.changes ?? null, states, fault: asked.fault, begin: () => setBegun(true) };
}

/** How far the states are, or what rebuilds them. @param {{states: any, begin: () => void}} props */
export function States({ states, begin }) {
  if (!states || (states.done === states.of && !states.gone)) return null;
  if (states.done === states.of) return html`<p class="dim">The states of ${count(states.gone, "row")} could not be rebuilt: the code has changed since, or the method is gone.</p>`;
  const left = states.seconds === null || states.seconds === undefined ? "" : `, about ${states.seconds < 90 ? `${Math.ceil(states.seconds)} s` : `${Math.round(states.seconds / 60)} min`} to go`;
  return html`<p class="bar dim" role="status">${states.going
    ? html`<progress max=${states.of} value=${states.done} aria-label="states rebuilt"></progress> Rebuilding the last states by replay: ${number(states.done)} of ${number(states.of)}${left}`
    : html`What rows came to in their states is known of ${number(states.done)} of ${number(states.of)}. ${!carried() && html`<button onClick=${begin}>Rebuild the states</button> for changes of answer and more to split by`}`}</p>`;
}

/** @param {{groups: any[], q: string}} props */
export function Failures({ groups, q }) {
  if (!groups.length) return null;
  return html`<section class="groups" aria-label="Failures"><h2>Why rows failed</h2><ul>${groups.map((g) => {
    const terms = [termOf("error", g.name), ...(g.node ? [termOf("node", g.node)] : [])];
    const on = terms.every((t) => termsOf(q).includes(t));
    return html`<li key=${`${g.name} ${g.node}`}><button class="group" aria-pressed=${on} onClick=${() => filterBy(on ? "" : terms.join(" "))}>
      <b class="bad">${number(g.count)} × ${short(g.name, 60)}</b>${g.node && html` in <b>${short(g.node, 40)}</b>`}</button> <span class="dim">${short(g.message, 160)}</span></li>`;
  })}</ul></section>`;
}

/** @type {Record<string, [string, string, string]>} */
const MOVES = {
  "wrong-right": ["good", "✓", "wrong to right"], "right-wrong": ["bad", "✗", "right to wrong"], "wrong-wrong": ["doubt", "↻", "wrong to wrong"],
  changed: ["", "↻", "changed"], held: ["", "=", "held"],
};

/** Does the debate persuade in the right direction? @param {{changes: any, states: any, q: string}} props */
export function Changes({ changes, states, q }) {
  if (!changes) return null;
  const moves = changes.moves;
  const all = Object.values(moves).reduce((/** @type {number} */ a, /** @type {any} */ m) => a + m.answers, 0);
  const known = !("changed" in moves);
  const net = (moves["wrong-right"]?.answers ?? 0) - (moves["right-wrong"]?.answers ?? 0);
  const so = states && states.done < states.of ? ` so far, in ${number(changes.rows)} of ${count(states.of, "row")}` : ` in ${count(changes.rows, "row")}`;
  return html`<section class="changes" aria-label="Changes of answer"><h2>Changes of answer <span class="dim">from turn to turn, ${number(all)}${so}</span></h2>
    <ul>${Object.entries(MOVES).filter(([move]) => (known ? move !== "changed" : move === "changed" || move === "held")).map(([move, [tone, sign, words]]) => {
      const m = moves[move] ?? { answers: 0, rows: 0 };
      const term = `changed:${move}`;
      return html`<li key=${move}><button class=${`move ${tone}`} aria-pressed=${termsOf(q).includes(term)} disabled=${!m.rows} onClick=${() => filterBy(toggled(q, term))}>
        <span><b>${sign} ${number(m.answers)}</b> ${words}</span><span class="bar-box"><span class="bar" style=${{ width: `${(100 * m.answers) / Math.max(1, all)}%` }}></span></span><span class="dim">in ${count(m.rows, "row")}</span></button></li>`;
    })}</ul>
    ${known ? html`<p>${net ? html`Talking moved <b class=${net > 0 ? "good" : "bad"}>${number(Math.abs(net))} more</b> answers ${net > 0 ? "to right than to wrong" : "to wrong than to right"}.` : "Talking moved as many answers to right as to wrong."}</p>` : html`<p class="dim">No reference answer is known, so right and wrong cannot be told.</p>`}</section>`;
}

/** @param {{facets: any[], q: string}} props */
export function Facets({ facets, q }) {
  const [all, setAll] = useState(false);
  const most = useMatch("(max-width: 43.75em)") ? SMALL : FIRST;
  if (!facets.length) return null;
  const shown = all ? facets : facets.slice(0, most);
  const ok = facets.find((f) => f.key === "status")?.values.find((/** @type {any} */ v) => v.value === "ok")?.n;
  return html`<section class="facets" aria-label="How the rows fall apart">${shown.map((f) => html`<${Facet} key=${f.key} f=${f} q=${q} ok=${ok} />`)}
    ${facets.length > shown.length && html`<button class="more" onClick=${() => setAll(true)}>${most} of ${facets.length} ways to split the rows, show all</button>`}</section>`;
}

/** @param {{f: any, q: string, ok?: number}} props `ok` rows have ended well, where some have not */
function Facet({ f, q, ok }) {
  const top = Math.max(...f.values.map((/** @type {any} */ v) => v.n));
  const ways = f.key === "visited" ? f.values.filter((/** @type {any} */ v) => v.n !== ok || termsOf(q).includes(termOf(f.key, v.value))) : f.values; // what every run passes splits nothing
  const common = f.values.filter((/** @type {any} */ v) => !ways.includes(v)).map((/** @type {any} */ v) => plain(v.value));
  return html`<div class="facet"><h3><${Plain} text=${f.key.replace(/^state\./, "").replace(/\.n$/, "")} />${f.key.startsWith("state.") && html` <span class="dim">${f.key.endsWith(".n") ? "how many, " : ""}last state</span>`}</h3><ul>${ways.map((/** @type {any} */ v) => {
    const term = termOf(f.key, v.value);
    return html`<li key=${term}><button aria-pressed=${termsOf(q).includes(term)} onClick=${() => filterBy(toggled(q, term))}>
      <span class="cut"><${Plain} text=${said(v.value)} /></span>
      <span class="bar-box"><span class="bar" style=${{ width: `${(100 * v.n) / top}%` }}>${v.graded > 0 && html`<span style=${{ width: `${(100 * v.right) / v.n}%` }}></span>`}</span></span><span class="num">${number(v.n)}</span>
      <span class="num dim">${v.graded ? `${Math.round((100 * v.right) / v.graded)} % right` : ""}</span></button></li>`;
  })}</ul>${common.length > 0 && html`<p class="dim common">${number(ok)} visited ${short(common.join(", "), 120)}</p>`}</div>`;
}
