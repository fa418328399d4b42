// Arms of a bandit: has it settled, and on what evidence. A small line per arm over the rounds, the chosen arm marked.

import { html } from "../vendor/preact.js";
import { Plain, Wide } from "../parts.js";
import { count, number, plain, short } from "../words.js";
import { besides, useSome } from "./some.js";

/** @param {any} v */
const isNumber = (v) => v === null || typeof v === "number";
/** @param {any} value */
const isRow = (value) => Array.isArray(value) && value.length > 1 && value.every(isNumber) && value.some((v) => v !== null);
/** Weights of the arms, round by round; of one round, a list. @param {any} value @returns {(number|null)[][]|null} */
const rounds = (value) => (isRow(value) ? [value] : Array.isArray(value) && value.length > 0 && value.every(isRow) && value.every((r) => r.length === value[0].length) ? value : null);

const SETTLED = 0.9; // share from which a choice is as good as made
const ENOUGH = 10; // pulls below which nothing can have settled
const POINTS = 120; // rounds of a line

/** A line over rounds, drawn between 0 and the highest. @param {{values: (number|null)[], label: string}} props */
export function Spark({ values, label }) {
  const known = values.slice(-POINTS).map((v) => v ?? 0);
  const [low, top] = [Math.min(0, ...known), Math.max(...known, 1e-9)];
  const x = (/** @type {number} */ n) => (known.length > 1 ? (n * 96) / (known.length - 1) + 2 : 50);
  const y = (/** @type {number} */ v) => 21 - (19 * (v - low)) / (top - low);
  return html`<svg class="spark" viewBox="0 0 100 23" role="img" aria-label=${label}><polyline points=${known.map((v, n) => `${x(n).toFixed(1)},${y(v).toFixed(1)}`).join(" ")} /><circle cx=${x(known.length - 1)} cy=${y(known[known.length - 1])} r="2.2" /></svg>`;
}

/** Has it settled, and on what evidence: by the newest pulls where the bandit's log is known, else by the weights. @param {any} bandit @param {number} share @param {any} pulls @param {(n: number) => string} nameOf */
function settled(bandit, share, pulls, nameOf) {
  if (!bandit) return Array.isArray(pulls) ? `${share < SETTLED ? "not settled" : "as good as settled"}, on ${count(pulls.reduce((a, b) => a + (b ?? 0), 0), "pull")}` : share < SETTLED ? "not settled" : share < 1 ? "as good as settled" : "outright, which does not tell how near the others were";
  if (!bandit.seen) return "on no evidence: the bandit had seen no reward yet";
  const all = bandit.recent.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b, 0);
  const most = bandit.recent.indexOf(Math.max(...bandit.recent));
  const firm = bandit.seen >= ENOUGH && bandit.recent[most] >= SETTLED * all;
  return `on ${count(bandit.seen, "reward")}${bandit.partly ? " or more" : ""}; ${firm ? "settled" : bandit.seen < ENOUGH ? "too few to have settled" : "not settled"}: ${bandit.recent[most]} of the last ${all} pulls were of ${short(nameOf(most), 60)}`;
}

/** @param {import("./some.js").Shown} props */
function View({ value, state, hint, page, name }) {
  const all = rounds(value) ?? [];
  const now = all[all.length - 1];
  const [given, rewards, chosen] = ["pulls", "rewards", "chosen"].map((part) => besides(state, hint, part));
  const bandit = hint?.keys?.seen && page?.bandit?.arms?.length === now.length ? page.bandit : null;
  const pulls = bandit ? bandit.arms.map((/** @type {any} */ a) => a.pulls) : given;
  const picked = Array.isArray(chosen) ? chosen[chosen.length - 1] : chosen;
  const nameOf = (/** @type {number} */ n) => plain(page?.labels?.[name]?.[n] ?? `arm ${n}`);
  const sizes = now.map((v) => Math.abs(v ?? 0));
  const [sum, highest] = [sizes.reduce((a, b) => a + b, 0), sizes.reduce((a, b) => Math.max(a, b), 1e-9)];
  const top = typeof picked === "number" && now[picked] !== undefined ? picked : sizes.indexOf(highest);
  const share = sum > 0 ? (sizes[top] ?? 0) / sum : 0;
  const per = (/** @type {any} */ of, /** @type {number} */ n) => (Array.isArray(of) ? of[n] : n === picked ? of : undefined);
  const order = [...now.keys()];
  const [shown, more] = useSome(now.length > 30 ? order.sort((a, b) => Number(b === picked) - Number(a === picked) || sizes[b] - sizes[a]) : order, 30, "arm");
  return html`<p class="says"><b>${short(nameOf(top), 60)}</b> ${top === picked ? "was chosen" : "leads"} with ${Math.round(100 * share)} %, ${settled(bandit, share, pulls, nameOf)}</p>
    <${Wide} label="Arms"><table class="grid bars arms"><thead><tr><th>arm</th><th>${all.length > 1 ? `over ${number(all.length)} rounds` : "chance"}</th><th class="num">${all.length > 1 ? "weight" : ""}</th>${pulls !== undefined && html`<th class="num">pulls</th>`}${bandit && html`<th>mean reward, pull by pull</th>`}${hint?.keys?.rewards && html`<th class="num">reward here</th>`}</tr></thead>
      <tbody>${shown.map((n) => html`<tr key=${n} class=${n === picked ? "chosen" : ""}><th scope="row">${n === picked ? "◆ " : ""}<${Plain} text=${nameOf(n)} />${n === picked && html`<span class="away"> (chosen)</span>`}</th>
        <td>${all.length > 1 ? html`<${Spark} values=${all.map((r) => r[n])} label=${`weight of ${nameOf(n)}`} />` : html`<span class=${n === picked ? "bar first" : "bar"} style=${{ width: `${(100 * sizes[n]) / highest}%` }}></span>`}</td>
        <td class="num">${number(now[n])}</td>${pulls !== undefined && html`<td class="num">${number(per(pulls, n))}</td>`}
        ${bandit && html`<td>${bandit.arms[n].pulls ? html`${bandit.arms[n].way.length > 1 && html`<${Spark} values=${bandit.arms[n].way} label=${`mean reward of ${nameOf(n)}, pull by pull`} />`}${number(bandit.arms[n].mean)}` : html`<span class="dim">none yet</span>`}</td>`}
        ${hint?.keys?.rewards && html`<td class="num">${number(per(rewards, n))}</td>`}</tr>`)}</tbody></table><//>${more}`;
}

/** @type {import("./index.js").Kind} */
export const arms = { name: "arms", reach: "later", looks: (value, name, hint) => (hint ? rounds(value) !== null : false), fits: (value, name, state, hint) => rounds(value) !== null && (Boolean(hint) || /(^|_)arms?(_|$)/.test(name)), View };
