// Rewards: where a chain broke, and whether refining lifted it. Numbers from 0 to 1 in five shades, the lowest step of a chain marked.

import { html, useState } from "../vendor/preact.js";
import { count, number } from "../words.js";

/** @param {any} value */
const isReward = (value) => value === null || (typeof value === "number" && value >= 0 && value <= 1);
/** @param {any} value */
const isFlat = (value) => Array.isArray(value) && value.length > 0 && value.every(isReward);
/** @param {any} value */
const isList = (value) => Array.isArray(value) && value.length > 0 && value.every(isFlat);
/** @param {any} value rounds of samples of steps, or rounds of samples */
const fits = (value) => (isList(value) || (Array.isArray(value) && value.length > 0 && value.every(isList))) && JSON.stringify(value).includes(".");

const ROWS = 20; // samples shown at once

/** @param {{value: any}} props */
function View({ value }) {
  return html`${value.map((/** @type {any} */ round, /** @type {number} */ n) => html`<section key=${n}>
    ${value.length > 1 && html`<h5>round ${n}</h5>`}
    ${isFlat(round) ? html`<${Samples} scores=${round} />` : html`<${Chains} chains=${round} />`}
  </section>`)}`;
}

/** One number per sample. @param {{scores: (number|null)[]}} props */
function Samples({ scores }) {
  const known = scores.filter((s) => s !== null);
  const low = Math.min(...known);
  return html`<p class="says">${count(scores.length, "score")}${known.length ? `, mean ${number(mean(known))}, lowest ${number(low)}, highest ${number(Math.max(...known))}` : ", none known"}</p>
    <ol class="cells" start="0">${scores.slice(0, 200).map((score, n) => html`<${Cell} key=${n} score=${score} title=${`sample ${n}`} />`)}</ol>`;
}

/** A row of steps per sample. @param {{chains: (number|null)[][]}} props */
function Chains({ chains }) {
  const [most, setMost] = useState(ROWS);
  const lows = chains.map((steps) => Math.min(...steps.map((s) => s ?? 1)));
  return html`<p class="says">${count(chains.length, "chain")}, the weakest step of each is marked ◂; lowest ${number(Math.min(...lows))}</p>
    <ul class="chains">${chains.slice(0, most).map((steps, n) => html`<li key=${n}><span class="dim">sample ${n}</span>
      <ol class="cells">${steps.map((score, s) => html`<${Cell} key=${s} score=${score} low=${score === lows[n] && steps.length > 1} title=${`sample ${n}, step ${s + 1}`} />`)}</ol></li>`)}</ul>
    ${chains.length > most && html`<button class="more" onClick=${() => setMost(most + 100)}>${most} of ${count(chains.length, "chain")}, show more</button>`}`;
}

/** @param {{score: number|null, low?: boolean, title: string}} props */
function Cell({ score, low, title }) {
  const shade = score === null ? "none" : Math.min(4, Math.floor(score * 5));
  return html`<li class=${`cell shade-${shade}`} title=${score === null ? title : `${title}: ${score}`}>${score === null ? "–" : score.toFixed(2)}${low ? " ◂" : ""}</li>`;
}

/** @param {(number|null)[]} values */
const mean = (values) => values.reduce((/** @type {number} */ sum, v) => sum + (v ?? 0), 0) / values.length;

export const rewards = { name: "rewards", fits, View };
