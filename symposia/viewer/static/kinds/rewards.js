// Rewards: where a chain broke, and whether refining lifted it. Numbers from 0 to 1 in five shades, the lowest step of a chain marked, rounds side by side.

import { html, useState } from "../vendor/preact.js";
import { Plain, Wide } from "../parts.js";
import { count, headOf, number } from "../words.js";
import { besides, useSome } from "./some.js";

/** @param {any} value */
const isReward = (value) => value === null || (typeof value === "number" && value >= 0 && value <= 1);
/** @param {any} value */
const isFlat = (value) => Array.isArray(value) && value.every(isReward);
/** @param {any} value */
const isList = (value) => Array.isArray(value) && value.length > 0 && value.every(isFlat);
/** @type {import("./index.js").Kind["fits"]} rounds of samples of steps, or rounds of samples */
const fits = (value, name, state, hint) => (isList(value) || (Array.isArray(value) && value.length > 0 && value.every(isList))) && (hint ? JSON.stringify(value) !== "[[]]" : JSON.stringify(value).includes("."));

const ROUNDS = 6; // rounds side by side

/** @param {import("./some.js").Shown} props */
function View({ value, state, hint }) {
  const flat = value.every(isFlat);
  const [first, setFirst] = useState(Math.max(0, value.length - ROUNDS));
  const rounds = value.slice(first, first + ROUNDS);
  const texts = besides(state, hint, "of", "chains");
  return html`${value.length > ROUNDS && html`<p class="dim">rounds ${first} to ${first + rounds.length - 1} of ${number(value.length)} <button class="more" disabled=${first === 0} onClick=${() => setFirst(Math.max(0, first - ROUNDS))}>earlier</button> <button class="more" disabled=${first + ROUNDS >= value.length} onClick=${() => setFirst(first + ROUNDS)}>later</button></p>`}
    ${flat ? rounds.map((/** @type {any} */ round, /** @type {number} */ n) => html`<section key=${first + n}>${value.length > 1 && html`<h5>round ${first + n}</h5>`}<${Samples} scores=${round} /></section>`)
      : html`<${Chains} rounds=${rounds} first=${first} texts=${Array.isArray(texts) ? texts.slice(first) : []} words=${hint && !hint.keys?.of ? ["list", "number"] : ["chain", "step"]} />`}`;
}

/** One number per sample. @param {{scores: (number|null)[]}} props */
function Samples({ scores }) {
  const known = scores.filter((s) => s !== null);
  const [shown, more] = useSome(scores, 200, "score");
  return html`<p class="says">${count(scores.length, "score")}${known.length ? `, mean ${number(mean(known))}, lowest ${number(lowest(known))}, highest ${number(known.reduce((a, b) => Math.max(a, b), 0))}` : ", none known"}</p>
    <ol class="cells" start="0">${shown.map((score, n) => html`<${Cell} key=${n} score=${score} title=${`sample ${n}`} />`)}</ol>${more}`;
}

/** A row per sample, its steps round by round. @param {{rounds: (number|null)[][][], first: number, texts: any[], words: string[]}} props */
function Chains({ rounds, first, texts, words: [chain, step] }) {
  const [open, setOpen] = useState(-1);
  const all = Math.max(...rounds.map((r) => r.length));
  const [rows, more] = useSome([...Array(all).keys()], 20, chain);
  const lows = rounds.map((round) => round.map((steps) => (steps.length ? lowest(steps) : null)));
  const [one, two] = [lows[0], lows[lows.length - 1]];
  const lifts = rounds.length > 1 ? rows.map((n) => (one[n] === null || two[n] === null || one[n] === undefined || two[n] === undefined ? 0 : Math.sign(two[n] - one[n]))) : [];
  const every = lows.flat().filter((s) => s !== null && s !== undefined);
  return html`<p class="says">${count(all, chain)}, the weakest ${step} of each is marked ◂${every.length ? html`; lowest ${number(lowest(every))}` : ""}${lifts.length ? html`; since round ${first} the weakest ${step} <b>rose in ${lifts.filter((l) => l > 0).length}</b>, fell in ${lifts.filter((l) => l < 0).length}` : ""}</p>
    <${Wide} label="Rewards"><table class="grid"><thead><tr><th>sample</th>${rounds.map((_, n) => html`<th key=${n}>${rounds.length > 1 || first ? `round ${first + n}` : `${step}s`}</th>`)}</tr></thead>
      <tbody>${rows.map((n) => html`<tr key=${n}><th scope="row"><button class="twist" aria-expanded=${open === n} onClick=${() => setOpen(open === n ? -1 : n)}>${open === n ? "▾" : "▸"} ${n}</button></th>
        ${rounds.map((round, r) => html`<td key=${r}>${open === n ? html`<${Steps} steps=${round[n] ?? []} low=${lows[r][n]} text=${headOf(texts[r]?.[n]) ?? ""} />`
          : html`<ol class="cells">${(round[n] ?? []).slice(0, 40).map((score, s) => html`<${Cell} key=${s} score=${score} low=${s === round[n].indexOf(lows[r][n]) && round[n].length > 1} title=${`sample ${n}, step ${s + 1}`} />`)}${!round[n]?.length && html`<li class="dim">no steps</li>`}</ol>`}</td>`)}</tr>`)}</tbody></table><//>${more}`;
}

/** A chain opened: each step's text with its number. @param {{steps: (number|null)[], low: any, text: string}} props */
function Steps({ steps, low, text }) {
  const cut = text.split(/^(?=\s*(?:\*\*)?Step \d+)/m).filter((t) => t.trim());
  const parts = cut.length === steps.length ? cut : [text];
  return html`<ol class="chain">${steps.slice(0, 40).map((score, s) => html`<li key=${s}><span class="cells"><${Cell} tag="span" score=${score} low=${s === steps.indexOf(low) && steps.length > 1} title=${`step ${s + 1}`} /></span>${parts.length === steps.length && html`<span><${Plain} text=${parts[s].trim().slice(0, 600)} /></span>`}</li>`)}</ol>
    ${parts.length !== steps.length && text && html`<p class="text"><${Plain} text=${text.slice(0, 2000)} /></p>`}`;
}

/** @param {{score: number|null, low?: boolean, title: string, tag?: string}} props */
function Cell({ score, low, title, tag = "li" }) {
  const shade = score === null ? "none" : Math.min(4, Math.floor(score * 5));
  return html`<${tag} class=${`cell shade-${shade}`} title=${score === null ? title : `${title}: ${score}`}>${score === null ? "–" : score.toFixed(2)}${low ? " ◂" : ""}<//>`;
}

/** @param {(number|null)[]} values */
const mean = (values) => values.reduce((/** @type {number} */ sum, v) => sum + (v ?? 0), 0) / values.length;
/** @param {any[]} values */
const lowest = (values) => values.reduce((a, b) => Math.min(a, b ?? 1), 1);

/** @type {import("./index.js").Kind} */
export const rewards = { name: "rewards", reach: "now", fits, View };
