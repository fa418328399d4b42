// Votes: who won, by what, and how safely. A bar per answer with count and weight; what could not be read stands apart.

import { html } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { count, headOf, number, plain, short } from "../words.js";
import { besides, useSome, writers } from "./some.js";

/** @typedef {{answer: any, count: number, weight: number}} Ballot */

/** Whether a value can be an answer: a number, a truth value, or a short text. @param {any} value */
export const isAnswer = (value) => value === null || typeof value === "number" || typeof value === "boolean" || (typeof value === "string" && value.length <= 60 && !value.includes("\n"));

/** @param {any} value */
const isTally = (value) => Array.isArray(value) && value.length > 0 && value.every((/** @type {any} */ v) => v && typeof v === "object" && "answer" in v && (typeof v.weight === "number" || typeof v.count === "number"));

/** Rounds of answers: `[[5, 19], [19, 19]]`. @param {any} value */
export const isRounds = (value) =>
  Array.isArray(value) && value.length > 0 && value.every((round) => Array.isArray(round) && round.length > 0 && round.every(isAnswer)) && value.some((/** @type {any[]} */ round) => round.some((v) => v !== null));

/** The votes for each answer, and what has none: unreadable, refused, cut off, failed. @param {any[]} answers @param {any[]} [statuses] */
export function tally(answers, statuses) {
  /** @type {Map<string, Ballot>} */
  const found = new Map();
  /** @type {Map<string, number>} */
  const none = new Map();
  answers.forEach((answer, n) => {
    const status = statuses && typeof statuses[n] === "string" && statuses[n] !== "ok" ? statuses[n] : answer === null ? "unreadable" : "";
    if (status) {
      none.set(status, (none.get(status) ?? 0) + 1);
      return;
    }
    const key = JSON.stringify(answer);
    const ballot = found.get(key) ?? { answer, count: 0, weight: 0 };
    found.set(key, { answer, count: ballot.count + 1, weight: ballot.weight + 1 });
  });
  return { ballots: [...found.values()].sort((a, b) => b.count - a.count), none: [...none] };
}

/** @param {any[]} value @returns {Ballot[]} */
const ballotsOf = (value) => value.map((v) => ({ answer: v.answer, count: v.count ?? 0, weight: v.weight ?? v.count })).sort((a, b) => b.weight - a.weight);

/** The same votes with their weights, if those are of these votes. @param {Ballot[]} ballots @param {any} weights */
function weighed(ballots, weights) {
  if (!isTally(weights)) return ballots;
  const known = new Map(ballotsOf(weights).map((b) => [JSON.stringify(b.answer), b]));
  const all = ballots.length === known.size && ballots.every((b) => known.get(JSON.stringify(b.answer))?.count === b.count);
  return all ? ballotsOf(weights) : ballots;
}

/** @param {import("./some.js").Shown} props */
function View({ value, state, name, hint, page, n }) {
  const quorum = page?.params?.quorum;
  const tallied = isTally(value);
  const [shown, more] = useSome(tallied ? [] : value.map((_, at) => at).reverse(), 8, "round");
  if (tallied) return html`<${Bars} ballots=${ballotsOf(value)} none=${[]} quorum=${quorum} />`;
  const statuses = name === "answers" ? state.statuses : undefined;
  const last = (/** @type {string} */ key) => writers(page, n, [key]).pop()?.n ?? -1;
  const key = hint?.keys?.weight;
  const weights = key && last(key) >= last(name) ? besides(state, hint, "weight") : null;
  return html`${shown.reverse().map((at) => {
    const { ballots, none } = tally(value[at], Array.isArray(statuses?.[at]) ? statuses[at] : undefined);
    return html`<section key=${at}>${value.length > 1 && html`<h5>round ${at}</h5>`}<${Bars} ballots=${at === value.length - 1 ? weighed(ballots, weights) : ballots} none=${none} quorum=${quorum} /></section>`;
  })}${more}`;
}

const MOST = 30; // answers with a bar of their own

/** @param {{ballots: Ballot[], none: [string, number][], quorum?: number}} props */
export function Bars({ ballots, none, quorum }) {
  const weighted = ballots.some((b) => b.weight !== b.count);
  const all = ballots.reduce((sum, b) => sum + b.weight, 0);
  const lost = none.reduce((sum, [, n]) => sum + n, 0);
  const top = Math.max(...ballots.map((b) => b.weight), weighted ? 0 : Math.max(0, ...none.map(([, n]) => n)), 1e-9);
  const votes = ballots.reduce((sum, b) => sum + b.count, 0);
  return html`<div>
    <p class="says">${verdict(ballots, weighted, all)}</p>
    <table class="bars"><thead><tr><th>answer</th><th><span class="away">share</span></th><th class="num">${weighted ? "weight" : "votes"}</th>${weighted && html`<th class="num">votes</th>`}</tr></thead>
      <tbody>${ballots.slice(0, MOST).map((b, n) => html`<tr key=${n}>
        <td class="name"><${Plain} text=${plain(headOf(b.answer) ?? String(b.answer))} /></td>
        <td><span class=${n === 0 ? "bar first" : "bar"} style=${{ width: `${(100 * b.weight) / top}%` }}></span></td>
        <td class="num">${number(b.weight)}</td>${weighted && html`<td class="num">${number(b.count)}</td>`}</tr>`)}
      ${none.slice(0, MOST).map(([what, n]) => html`<tr class="dim" key=${what}><td>${short(what, 20)}</td><td>${!weighted && html`<span class="bar open" style=${{ width: `${(100 * n) / top}%` }}></span>`}</td>${weighted && html`<td></td>`}<td class="num">${number(n)}</td></tr>`)}
      </tbody></table>
    ${ballots.length > MOST && html`<p class="dim">${MOST} of ${count(ballots.length, "answer")}</p>`}
    <p class="dim">${count(votes, "vote")}${lost ? `, ${lost} without an answer` : ""}${typeof quorum === "number" && quorum > 1 ? html`, <span class=${votes < quorum ? "bad" : ""}>quorum ${quorum} ${votes < quorum ? "not reached" : "reached"}</span>` : ""}</p>
  </div>`;
}

/** Who won, by what. @param {Ballot[]} ballots @param {boolean} weighted @param {number} all */
function verdict(ballots, weighted, all) {
  if (!ballots.length) return "No vote could be read.";
  const [first, second] = ballots;
  const name = plain(headOf(first.answer) ?? String(first.answer));
  if (!second) return html`<b>${name}</b>, all agree`;
  const tied = ballots.filter((b) => b.weight === first.weight).length;
  if (tied > 2) return html`A tie of ${number(tied)} answers; the first met counts`;
  if (tied > 1) return html`A tie between <b>${name}</b> and <b>${plain(String(second.answer))}</b>`;
  const odd = weighted && first.count < Math.max(...ballots.map((b) => b.count));
  return html`<b>${name}</b> leads ${number(first.weight)} to ${number(second.weight)}, ${Math.round((100 * first.weight) / all)} % of ${weighted ? "the weight" : "the votes"}${odd ? ": by weight, not by count" : ""}`;
}

/** @type {import("./index.js").Kind} */
export const votes = { name: "votes", fits: (value, name, state, hint) => isTally(value) || (isRounds(value) && (Boolean(hint) || !/score|weight|orm|status|confiden|verdict|best|label|side|order/.test(name))), View };
