// Rounds of texts: what each member of a round said, the answer it came to, and how that answer changed. And reviews of such texts.

import { html, useState } from "../vendor/preact.js";
import { Plain, Text } from "../parts.js";
import { count, headOf, number, plain } from "../words.js";
import { Diff } from "./diff.js";
import { isRounds } from "./votes.js";

/** @param {any} value */
const isTexts = (value) => Array.isArray(value) && value.length > 0 && value.every((round) => Array.isArray(round) && round.every((t) => t === null || headOf(t) !== null)) && value.some((round) => round.some((/** @type {any} */ t) => (headOf(t) ?? "").length > 60));

/** @param {any} a @param {any} b */
const aligned = (a, b) => Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((round, n) => Array.isArray(round) && round.length === b[n]?.length);

const ROWS = 12; // texts of a round shown at once

/** @param {{value: any, state: any, run: string, from?: number, reference?: any}} props `from` is the first round that is shown */
function View({ value, state, run, from = 0, reference }) {
  const given = Array.isArray(state.answers) ? state.answers.slice(0, value.length) : null;
  const answers = isRounds(given) && aligned(given, value) ? given : null;
  const speakers = value.length > 1 && value.every((/** @type {any[]} */ round) => round.length === value[0].length);
  return html`${answers && speakers && html`<${Changes} answers=${answers} reference=${reference} />`}
    ${value.map((/** @type {any[]} */ round, /** @type {number} */ n) => n >= from && html`<section key=${n}>
      ${value.length > 1 && html`<h5>round ${n}</h5>`}
      <${Round} texts=${round} answers=${answers?.[n]} last=${speakers && n > 0 ? answers?.[n - 1] : null} run=${run} />
    </section>`)}`;
}

/** @param {{texts: any[], answers: any[]|undefined, last: any[]|null|undefined, run: string}} props */
function Round({ texts, answers, last, run }) {
  const [most, setMost] = useState(ROWS);
  return html`<ol class="turns">${texts.slice(0, most).map((text, n) => html`<li key=${n} class=${`turn lane-${n % 6}`}>
      <div class="who"><span class="dim">${n}</span>${answers && html`<b class="held" title="the answer read from this text"><${Plain} text=${said(answers[n])} /></b>`}
        ${last && JSON.stringify(last[n]) !== JSON.stringify(answers?.[n]) && html`<span class="moved">was ${said(last[n])}</span>`}</div>
      ${text === null ? html`<p class="dim">nothing</p>` : html`<${Text} value=${text} run=${run} head=${360} />`}
    </li>`)}</ol>
    ${texts.length > most && html`<button class="more" onClick=${() => setMost(most + 50)}>${most} of ${count(texts.length, "text")}, show more</button>`}`;
}

/** @param {any} answer */
const said = (answer) => (answer === null || answer === undefined ? "no answer" : typeof answer === "number" ? number(answer) : plain(headOf(answer) ?? String(answer)));

/** Who moved, and which way: right and wrong need a reference. @param {{answers: any[][], reference?: any}} props */
function Changes({ answers, reference }) {
  const moves = { "wrong to right": 0, "right to wrong": 0, "wrong to wrong": 0, held: 0 };
  const known = reference !== null && reference !== undefined && typeof reference !== "object";
  const right = (/** @type {any} */ a) => a !== null && (String(a) === String(reference) || (reference !== "" && Number(a) === Number(reference)));
  answers.slice(1).forEach((round, n) => round.forEach((answer, who) => {
    const before = answers[n][who];
    if (JSON.stringify(before) === JSON.stringify(answer)) moves.held += 1;
    else if (!known || (!right(before) && !right(answer))) moves["wrong to wrong"] += 1;
    else if (right(answer)) moves["wrong to right"] += 1;
    else moves["right to wrong"] += 1;
  }));
  const shown = known ? Object.entries(moves) : [["changed", moves["wrong to wrong"]], ["held", moves.held]];
  return html`<p class="says">Answers from round to round: ${shown.map(([name, n], at) => html`${at ? ", " : ""}<b>${n}</b> ${name}`)}${known ? "" : " (no reference answer is known)"}</p>`;
}

/** @type {import("./index.js").Kind} */
export const rounds = { name: "rounds", reach: "later", fits: (/** @type {any} */ value, /** @type {string} */ name) => isTexts(value) && !/status/.test(name), View };

/** Texts before and after: another list of rounds in the state with the same samples. @param {any} state @param {any} value */
function reviewed(state, value) {
  const found = Object.entries(state).find(([, other]) => other !== value && isTexts(other) && other.length >= value.length && aligned(other.slice(0, value.length), value));
  return found ? { name: found[0], texts: found[1] } : null;
}

/** @param {{value: any, state: any, run: string, from?: number}} props */
function ReviewView({ value, state, run, from = 0 }) {
  const of = reviewed(state, value);
  const [all, setAll] = useState(false);
  if (!of) return html`<${View} value=${value} state=${state} run=${run} from=${from} />`;
  const triples = value.flatMap((/** @type {any[]} */ round, /** @type {number} */ n) => round.map((critique, who) => ({ n, who, critique, before: of.texts[n][who], after: of.texts[n + 1]?.[who] })));
  const given = triples.filter((/** @type {any} */ t) => t.n >= from && t.critique !== null && headOf(t.critique) !== "");
  return html`<p class="says">${count(given.length, "critique")} of ${of.name}; ${given.filter((/** @type {any} */ t) => t.after !== undefined && headOf(t.after) !== headOf(t.before)).length} were followed by another text</p>
    ${(all ? given : given.slice(0, 3)).map((/** @type {any} */ t) => html`<section key=${`${t.n}.${t.who}`} class="review"><h5>round ${t.n}, text ${t.who}${moved(state, t)}</h5>
      <div class="three">
        <div><h6>before</h6><${Text} value=${t.before ?? ""} run=${run} head=${500} /></div>
        <div><h6>critique</h6><${Text} value=${t.critique} run=${run} head=${500} /></div>
        <div><h6>after</h6>${t.after === undefined ? html`<p class="dim">not written yet</p>` : html`<${Diff} before=${headOf(t.before) ?? ""} after=${headOf(t.after) ?? ""} />`}</div>
      </div></section>`)}
    ${given.length > 3 && !all && html`<button class="more" onClick=${() => setAll(true)}>3 of ${given.length}, show all</button>`}`;
}

/** `: answer 18, then 20`. @param {any} state @param {any} t */
function moved(state, t) {
  const [one, two] = [state.answers?.[t.n]?.[t.who], state.answers?.[t.n + 1]?.[t.who]];
  return one === undefined || two === undefined ? "" : JSON.stringify(one) === JSON.stringify(two) ? `: answer ${said(one)}, unchanged` : `: answer ${said(one)}, then ${said(two)}`;
}

/** @param {any} value @param {string} name */
const isReview = (value, name) => /feedback|critique|review/.test(name) && isTexts(value);

/** @type {import("./index.js").Kind} */
export const review = { name: "review", reach: "later", looks: isReview, fits: (/** @type {any} */ value, /** @type {string} */ name, /** @type {any} */ state) => isReview(value, name) && reviewed(state, value) !== null, View: ReviewView };
