// Votes: who won, by what, and how safely. A bar per answer with count and weight; what could not be read stands apart.

import { html } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { count, headOf, number, plain } from "../words.js";

/** @typedef {{answer: any, count: number, weight: number}} Ballot */

/** Whether a value can be an answer: a number, a truth value, or a short text. @param {any} value */
export const isAnswer = (value) => value === null || typeof value === "number" || typeof value === "boolean" || (typeof value === "string" && value.length <= 60 && !value.includes("\n"));

/** @param {any} value */
const isTally = (value) => Array.isArray(value) && value.length > 0 && value.every((/** @type {any} */ v) => v && typeof v === "object" && "answer" in v && (typeof v.weight === "number" || typeof v.count === "number"));

/** Rounds of answers: `[[5, 19], [19, 19]]`. @param {any} value */
export const isRounds = (value) =>
  Array.isArray(value) && value.length > 0 && value.every((round) => Array.isArray(round) && round.length > 0 && round.every(isAnswer)) && value.some((/** @type {any[]} */ round) => round.some((v) => v !== null));

/** @param {any[]} answers @param {any[]} [statuses] */
export function tally(answers, statuses) {
  /** @type {Map<string, Ballot>} */
  const found = new Map();
  let unread = 0;
  answers.forEach((answer, n) => {
    const bad = statuses && typeof statuses[n] === "string" && statuses[n] !== "ok";
    if (answer === null || bad) {
      unread += 1;
      return;
    }
    const key = JSON.stringify(answer);
    const ballot = found.get(key) ?? { answer, count: 0, weight: 0 };
    found.set(key, { answer, count: ballot.count + 1, weight: ballot.weight + 1 });
  });
  return { ballots: [...found.values()].sort((a, b) => b.count - a.count), unread };
}

/** @param {{value: any, state: any, name: string}} props */
function View({ value, state, name }) {
  if (isTally(value)) {
    const ballots = value.map((/** @type {any} */ v) => ({ answer: v.answer, count: v.count ?? 0, weight: v.weight ?? v.count })).sort((/** @type {Ballot} */ a, /** @type {Ballot} */ b) => b.weight - a.weight);
    return html`<${Bars} ballots=${ballots} unread=${0} weighted=${ballots.some((/** @type {Ballot} */ b) => b.weight !== b.count)} />`;
  }
  const statuses = name === "answers" ? state.statuses : undefined;
  return html`${value.map((/** @type {any[]} */ round, /** @type {number} */ n) => {
    const { ballots, unread } = tally(round, Array.isArray(statuses?.[n]) ? statuses[n] : undefined);
    return html`<section key=${n}>${value.length > 1 && html`<h5>round ${n}</h5>`}<${Bars} ballots=${ballots} unread=${unread} weighted=${false} /></section>`;
  })}`;
}

const MOST = 30; // answers with a bar of their own

/** @param {{ballots: Ballot[], unread: number, weighted: boolean}} props */
export function Bars({ ballots, unread, weighted }) {
  const all = ballots.reduce((sum, b) => sum + b.weight, 0);
  const top = Math.max(...ballots.map((b) => b.weight), 1e-9);
  const votes = ballots.reduce((sum, b) => sum + b.count, 0);
  return html`<div>
    <p class="says">${verdict(ballots, weighted, all)}</p>
    <table class="bars"><thead><tr><th>answer</th><th><span class="away">share</span></th><th class="num">${weighted ? "weight" : "votes"}</th>${weighted && html`<th class="num">votes</th>`}</tr></thead>
      <tbody>${ballots.slice(0, MOST).map((b, n) => html`<tr key=${n}>
        <td class="name"><${Plain} text=${plain(headOf(b.answer) ?? String(b.answer))} /></td>
        <td><span class=${n === 0 ? "bar first" : "bar"} style=${{ width: `${(100 * b.weight) / top}%` }}></span></td>
        <td class="num">${number(b.weight)}</td>${weighted && html`<td class="num">${number(b.count)}</td>`}</tr>`)}
      ${unread > 0 && html`<tr class="dim"><td>unreadable</td><td><span class="bar open" style=${{ width: `${(100 * unread) / Math.max(top, unread)}%` }}></span></td><td class="num">${unread}</td></tr>`}
      </tbody></table>
    ${ballots.length > MOST && html`<p class="dim">${MOST} of ${count(ballots.length, "answer")}</p>`}
    <p class="dim">${count(votes, "vote")}${unread ? `, ${unread} could not be read` : ""}</p>
  </div>`;
}

/** Who won, by what. @param {Ballot[]} ballots @param {boolean} weighted @param {number} all */
function verdict(ballots, weighted, all) {
  if (!ballots.length) return "No vote could be read.";
  const [first, second] = ballots;
  const name = plain(headOf(first.answer) ?? String(first.answer));
  if (!second) return html`<b>${name}</b>, all agree`;
  if (first.weight === second.weight) return html`A tie between <b>${name}</b> and <b>${plain(String(second.answer))}</b>`;
  const odd = weighted && first.count < Math.max(...ballots.map((b) => b.count));
  return html`<b>${name}</b> leads ${number(first.weight)} to ${number(second.weight)}, ${Math.round((100 * first.weight) / all)} % of ${weighted ? "the weight" : "the votes"}${odd ? ": by weight, not by count" : ""}`;
}

export const votes = { name: "votes", fits: (/** @type {any} */ value, /** @type {string} */ name) => isTally(value) || (isRounds(value) && !/score|weight|orm|status|confiden|verdict|best|label|side|order/.test(name)), View };
