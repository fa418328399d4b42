// Dialogues: who moved whom, and which way. Turns or rounds of texts, a lane per speaker, and in the margin the answer held after each turn.

import { html, useState } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { count, headOf, number, short } from "../words.js";
import { Prose, besides, judge, said, same, useSome } from "./some.js";

/** @typedef {{round: number, who: number, name: string, text: any, answer?: any, was?: any}} Turn */

const SHAPES = ["●", "■", "▲", "◆", "★", "▼"];
const LANES = 3; // speakers beside one another

/** @param {any} v */
const isText = (v) => v === null || headOf(v) !== null;
/** @param {any} v */
const isRecord = (v) => v !== null && typeof v === "object" && !Array.isArray(v) && headOf(v) === null;

/** Who said what, in order, with the answer that each held then and before. @param {any} value @param {any} state @param {any} hint @returns {Turn[]|null} */
export function turnsOf(value, state, hint) {
  if (!Array.isArray(value) || !value.length) return null;
  const { speaker = "speaker", text = "text", answer = "answer", speakers = "" } = hint?.fields ?? {};
  const names = speakers ? speakers.split(", ") : [];
  const answers = besides(state, hint, "answers", "answers");
  if (value.every((v) => isRecord(v) && Object.hasOwn(v, text) && isText(v[text]) && Object.hasOwn(v, speaker))) {
    const known = new Map([...new Set(value.map((v) => JSON.stringify(v[speaker])))].map((v, n) => [v, n]));
    return held(value.map((v, round) => ({ round, who: known.get(JSON.stringify(v[speaker])) ?? 0, name: nameOf(v[speaker]), text: v[text], ...(Object.hasOwn(v, answer) ? { answer: v[answer] } : {}) })));
  }
  const rounds = value.every(Array.isArray) ? value : value.every(isText) && hint ? value.map((v) => [v]) : null;
  if (!rounds || !rounds.every((r) => r.every(isText))) return null;
  const own = Array.isArray(answers) ? answers.map((a) => (Array.isArray(a) ? a : [a])) : [];
  const several = rounds.some((r) => r.length > 1);
  const taken = names.length > 0 && rounds.every((r) => r.length < 2);
  return held(rounds.flatMap((texts, round) => texts.map((/** @type {any} */ t, /** @type {number} */ n) => {
    const who = taken ? round % names.length : n;
    return { round, who, name: names[who] ?? (several ? `agent ${n}` : ""), text: t, ...(own[round]?.length === texts.length ? { answer: own[round][n] } : {}) };
  })));
}

/** @param {any} speaker */
const nameOf = (speaker) => (typeof speaker === "string" ? speaker : speaker === null ? "nobody" : typeof speaker === "number" ? `no. ${speaker}` : JSON.stringify(speaker));

/** @param {Turn[]} turns */
function held(turns) {
  const last = new Map();
  for (const turn of turns) {
    if (last.has(turn.who) && "answer" in turn) turn.was = last.get(turn.who);
    if ("answer" in turn) last.set(turn.who, turn.answer);
  }
  return turns;
}

/** How often answers changed, and which way: right and wrong need a reference. @param {{turns: Turn[], page: any}} props */
export function Moves({ turns, page }) {
  const right = judge(page);
  const known = right(null) !== null;
  const moves = { "wrong to right": 0, "right to wrong": 0, "wrong to wrong": 0, held: 0 };
  const again = turns.filter((t) => "was" in t);
  for (const { was, answer } of again) {
    if (same(was, answer) || (known && right(was) && right(answer))) moves.held += 1;
    else moves[!known || right(was) === right(answer) ? "wrong to wrong" : right(answer) ? "wrong to right" : "right to wrong"] += 1;
  }
  if (!again.length) return null;
  const shown = known ? Object.entries(moves) : [["changed", moves["wrong to wrong"]], ["held", moves.held]];
  return html`<p class="says moves-line">Answers: ${shown.map(([name, n]) => html`<span key=${name} class=${n && name === "wrong to right" ? "good" : n && name === "right to wrong" ? "bad" : ""}><b>${n}</b> ${name}</span>`)}${known ? "" : html`<span class="dim">no reference answer is known</span>`}</p>`;
}

/** @param {import("./some.js").Shown} props */
function View({ value, state, hint, page, run, from = 0, pretty }) {
  const turns = turnsOf(value, state, hint) ?? [];
  const [whole, setWhole] = useState(false);
  const new_ = whole || !from ? turns : turns.filter((t) => t.round >= from);
  const [shown, more] = useSome(new_, 24, "turn");
  const speakers = [...new Map(turns.map((t) => [t.who, t.name]))].sort((a, b) => a[0] - b[0]);
  const lanes = speakers.length > 1 && speakers.length <= LANES ? speakers.length : 1;
  const right = judge(page);
  return html`<${Moves} turns=${turns} page=${page} />
    ${new_.length < turns.length && html`<button class="more" onClick=${() => setWhole(true)}>show the ${count(turns.length - new_.length, "turn")} before</button>`}
    <ol class=${`talk talk-${lanes}`}>${shown.map((t, n) => html`<li key=${n} class=${`turn lane-${t.who % 6}`} style=${lanes > 1 ? { gridColumn: t.who + 1 } : {}}>
      <p class="who"><span>${SHAPES[t.who % 6]} <b>${short(t.name, 30)}</b></span> ${value.every(Array.isArray) && value.length > 1 && html`<span class="dim">round ${number(t.round)}</span>`}
        ${"answer" in t && html`<${Held} turn=${t} turns=${turns} right=${right} />`}</p>
      ${t.text === null ? html`<p class="dim">nothing</p>` : html`<${Prose} value=${t.text} run=${run} head=${lanes > 1 ? 300 : 400} pretty=${pretty} />`}</li>`)}</ol>${more}`;
}

/** The answer after a turn, what it was before, and whose it was then. @param {{turn: Turn, turns: Turn[], right: (answer: any) => boolean|null}} props */
function Held({ turn, turns, right }) {
  const good = right(turn.answer);
  const moved = "was" in turn && !same(turn.was, turn.answer);
  const others = moved && turn.answer !== null ? [...new Set(turns.filter((t) => t.who !== turn.who && t.round === turn.round - 1 && same(t.answer, turn.answer)).map((t) => t.name))] : [];
  return html`<span class="held"><b class=${good === null ? "" : good ? "good" : "bad"}>${good === null ? "" : good ? "✓ " : "✗ "}<${Plain} text=${short(said(turn.answer), 60)} /></b>
    ${moved && html` <span class="moved">was ${short(said(turn.was), 40)}${others.length > 0 && `, now with ${short(others.slice(0, 3).join(" and "), 60)}`}</span>`}</span>`;
}

/** @type {import("./index.js").Kind["fits"]} */
const fits = (value, name, state, hint) => {
  if (!hint && !(Array.isArray(value) && value.length > 1 && (value.every(isRecord) || value.every((v) => Array.isArray(v) && v.some((t) => (headOf(t) ?? "").length > 60))))) return false;
  return turnsOf(value, state, hint) !== null;
};

/** @type {import("./index.js").Kind} */
export const dialogue = { name: "dialogue", prose: true, reach: "later", fits, View };
