// Rounds of texts: what each member of a round said, the answer it came to, and how that answer changed. And reviews of such texts.

import { html } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { count, headOf, short } from "../words.js";
import { Moves, turnsOf } from "./dialogue.js";
import { Diff } from "./diff.js";
import { Prose, besides, judge, said, same, useSome } from "./some.js";
import { isRounds } from "./votes.js";

/** @param {any} value */
const isLines = (value) => Array.isArray(value) && value.length > 0 && value.every((round) => Array.isArray(round) && round.every((t) => t === null || headOf(t) !== null));
/** @param {any} value */
const isTexts = (value) => isLines(value) && value.some((/** @type {any[]} */ round) => round.some((t) => (headOf(t) ?? "").length > 60));

/** @param {any} a @param {any} b */
const aligned = (a, b) => Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((round, n) => Array.isArray(round) && round.length === b[n]?.length);

/** @param {import("./some.js").Shown} props `from` is the first round that is shown */
function View({ value, state, run, page, from = 0, pretty }) {
  const given = Array.isArray(state.answers) ? state.answers.slice(0, value.length) : null;
  const answers = isRounds(given) && aligned(given, value) ? given : null;
  const speakers = value.length > 1 && value.every((/** @type {any[]} */ round) => round.length === value[0].length);
  const [shown, more] = useSome(value.slice(from), 4, "round");
  return html`${answers && speakers && html`<${Moves} turns=${turnsOf(value, { answers }, null) ?? []} page=${page} />`}
    ${shown.map((/** @type {any[]} */ round, /** @type {number} */ at) => html`<section key=${from + at}>
      ${value.length > 1 && html`<h5>round ${from + at}</h5>`}
      <${Round} texts=${round} answers=${answers?.[from + at]} last=${speakers && from + at > 0 ? answers?.[from + at - 1] : null} run=${run} pretty=${pretty} />
    </section>`)}${more}`;
}

/** @param {{texts: any[], answers: any[]|undefined, last: any[]|null|undefined, run: string, pretty?: boolean}} props */
function Round({ texts, answers, last, run, pretty }) {
  const [shown, more] = useSome(texts, 12, "text");
  return html`<ol class="turns">${shown.map((text, n) => html`<li key=${n} class=${`turn lane-${n % 6}`}>
      <div class="who"><span class="dim">${n}</span>${answers && html`<b class="held" title="the answer read from this text"><${Plain} text=${said(answers[n])} /></b>`}
        ${last && !same(last[n], answers?.[n]) && html`<span class="moved">was ${said(last[n])}</span>`}</div>
      ${text === null ? html`<p class="dim">nothing</p>` : html`<${Prose} value=${text} run=${run} head=${360} pretty=${pretty} />`}
    </li>`)}</ol>${more}`;
}

/** @type {import("./index.js").Kind} */
export const rounds = { name: "rounds", prose: true, reach: "later", fits: (value, name) => isTexts(value) && !/status/.test(name), View };

/** Critiques as rounds: a flat list has one in each. @param {any} value */
const rounded = (value) => (Array.isArray(value) && value.every((v) => v === null || headOf(v) !== null) ? value.map((v) => [v]) : value);

/** Texts before and after: those that the hint names, else another list of rounds in the state with the same samples. @param {any} state @param {any[][]} value @param {any} hint */
function reviewed(state, value, hint) {
  const named = besides(state, hint, "of");
  const fit = (/** @type {any} */ other) => other !== value && Array.isArray(other) && other.length >= value.length && aligned(other.slice(0, value.length), value) && isLines(other);
  if (hint) return fit(named) ? { name: hint.keys.of, texts: named } : null;
  const found = Object.entries(state).find(([, other]) => fit(other) && isTexts(other));
  return found ? { name: found[0], texts: found[1] } : null;
}

/** @param {import("./some.js").Shown} props */
function ReviewView({ value, state, run, hint, page, from = 0, pretty }) {
  const critiques = rounded(value);
  const of = /** @type {any} */ (reviewed(state, critiques, hint));
  const answers = besides(state, hint, "answers", "answers");
  const given = critiques.flatMap((/** @type {any[]} */ round, /** @type {number} */ n) => round.map((critique, who) => ({ n, who, critique, before: of.texts[n][who], after: of.texts[n + 1]?.[who], one: answers?.[n]?.[who], two: answers?.[n + 1]?.[who] })))
    .filter((/** @type {any} */ t) => t.n >= from && t.critique !== null && headOf(t.critique) !== "");
  const later = given.filter((/** @type {any} */ t) => t.after !== undefined);
  const kept = later.filter((/** @type {any} */ t) => headOf(t.after) === headOf(t.before)).length;
  const moved = later.filter((/** @type {any} */ t) => t.one !== undefined && !same(t.one, t.two)).length;
  const weight = (/** @type {any} */ t) => (t.after === undefined ? 0 : !same(t.one, t.two) ? 2 : headOf(t.after) !== headOf(t.before) ? 1 : 0);
  const [shown, more] = useSome([...given].sort((a, b) => weight(b) - weight(a)), 3, "critique");
  const right = judge(page);
  const marked = (/** @type {any} */ a) => html`<b class=${right(a) === null ? "" : right(a) ? "good" : "bad"}>${right(a) === null ? "" : right(a) ? "✓ " : "✗ "}${short(said(a), 60)}</b>`;
  return html`<p class="says">${count(given.length, "critique")} of ${of.name}${later.length ? html`: ${later.length - kept} of ${later.length} texts were changed after it, ${kept} left as they were; <b>${moved}</b> came to another answer` : "; no text has followed yet"}</p>
    ${shown.map((/** @type {any} */ t) => html`<section key=${`${t.n}.${t.who}`} class="review"><h5>round ${t.n}, text ${t.who}${t.two === undefined ? "" : same(t.one, t.two) ? html`: answer ${marked(t.one)}, unchanged` : html`: answer ${marked(t.one)} → ${marked(t.two)}`}</h5>
      <div class="three">
        <div><h6>before</h6><${Prose} value=${t.before ?? ""} run=${run} head=${500} pretty=${pretty} /></div>
        <div><h6>critique</h6><${Prose} value=${t.critique} run=${run} head=${500} pretty=${pretty} /></div>
        <div><h6>after</h6>${t.after === undefined ? html`<p class="dim">not written yet</p>` : html`<${Diff} before=${headOf(t.before) ?? ""} after=${headOf(t.after) ?? ""} />`}</div>
      </div></section>`)}${more}`;
}

/** @param {any} value @param {string} name @param {any} [hint] */
const isReview = (value, name, hint) => (hint ? isLines(rounded(value)) : /feedback|critique|review/.test(name) && isTexts(value));

/** @type {import("./index.js").Kind} */
export const review = { name: "review", prose: true, reach: "later", looks: isReview, fits: (value, name, state, hint) => isReview(value, name, hint) && reviewed(state, rounded(value), hint) !== null, View: ReviewView };
