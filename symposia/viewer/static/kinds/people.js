// Recruited experts: did the choice of them matter. A card for each: why recruited, what was said, whether it agrees with the end.

import { html } from "../vendor/preact.js";
import { count, headOf, number, short } from "../words.js";
import { Prose, besides, judge, said, same, useSome } from "./some.js";

/** @typedef {{name: string, model?: string, skills?: any, score?: any, text?: any, answer?: any, instead?: string}} Person */

/** The part of rounds or of one list that is of the experts. @param {any} value @param {number} n @returns {any[]} */
const first = (value, n) => (!Array.isArray(value) ? [] : Array.isArray(value[0]) ? (value[0].length === n ? value[0] : []) : value.length === n ? value : []);

/** @param {any} value @param {any} state @param {any} hint @returns {Person[]|null} */
function peopleOf(value, state, hint) {
  if (!Array.isArray(value) || !value.length) return null;
  const f = { name: "name", skills: "skills", model: "model", score: "score", text: "text", answer: "answer", ...hint?.fields };
  const [answers, texts, drawn] = ["answers", "texts", "drawn"].map((part) => first(besides(state, hint, part), value.length));
  const scores = besides(state, hint, "scores");
  const own = (/** @type {any} */ v, /** @type {string} */ field) => (Object.hasOwn(v, field) ? v[field] : undefined);
  if (value.every((v) => typeof v === "string")) {
    return value.map((name, n) => ({ name, score: scores && typeof scores === "object" && Object.hasOwn(scores, name) ? scores[name] : undefined, text: texts[n], ...(answers.length ? { answer: answers[n] } : {}), instead: drawn.length && drawn[n] !== name ? String(drawn[n]) : undefined }));
  }
  if (!value.every((v) => v !== null && typeof v === "object" && !Array.isArray(v) && (Object.hasOwn(v, f.name) || Object.hasOwn(v, f.model)))) return null;
  return value.map((v, n) => ({ name: said(own(v, f.name) ?? own(v, f.model)), model: own(v, f.model), skills: own(v, f.skills), score: own(v, f.score) ?? own(v, "scores"), text: own(v, f.text) ?? texts[n], ...(own(v, f.answer) !== undefined ? { answer: own(v, f.answer) } : answers.length ? { answer: answers[n] } : {}) }));
}

/** @param {import("./some.js").Shown} props */
function View({ value, state, hint, page, run, pretty }) {
  const all = peopleOf(value, state, hint) ?? [];
  const skills = besides(state, hint, "skills");
  const end = page?.run?.answer;
  const right = judge(page);
  const heard = all.filter((p) => "answer" in p);
  const agreed = heard.filter((p) => p.answer !== null && same(p.answer, end)).length;
  const models = new Set(all.map((p) => p.name)).size;
  const answers = new Set(heard.filter((p) => p.answer !== null).map((p) => JSON.stringify(p.answer))).size;
  const [shown, more] = useSome(all, 12, "expert");
  const matters = heard.length < 2 || end === null || end === undefined ? "" : answers < 2 ? "; all say the same, so the choice of experts made no difference here" : `; they differ (${count(answers, "answer")}), so who was recruited decides what is heard`;
  return html`<p class="says">${count(all.length, "expert")}, ${count(models, "different one")}${heard.length ? html`: <b>${number(agreed)} of ${number(heard.length)}</b> agree with the end${matters}` : ""}</p>
    ${Array.isArray(skills) && html`<p class="dim">looked for: ${skills.length ? short(skills.slice(0, 30).map(said).join(", "), 300) : "no skill that the experts were tried in"}</p>`}
    <ol class="people">${shown.map((p, n) => html`<li key=${n} class="side"><p class="who"><b class="mono">${short(p.name, 60)}</b></p>
      <dl class="pair">${p.model !== undefined && p.model !== p.name && html`<dt>model</dt><dd class="mono">${short(said(p.model), 60)}</dd>`}
        <dt>why</dt><dd>${whyOf(p)}</dd>
        ${"answer" in p && html`<dt>answer</dt><dd><b>${short(said(p.answer), 120)}</b> ${right(p.answer) === null ? "" : right(p.answer) ? html`<span class="good">✓ right</span>` : html`<span class="bad">✗ wrong</span>`} ${end === undefined || end === null || p.answer === null ? "" : html`<span class="dim">${same(p.answer, end) ? "= agrees with the end" : "≠ differs from the end"}</span>`}</dd>`}</dl>
      ${p.text !== undefined && p.text !== null && headOf(p.text) !== null && html`<${Prose} value=${p.text} run=${run} head=${220} pretty=${pretty} />`}</li>`)}</ol>${more}`;
}

/** Why somebody was recruited, in words. @param {Person} p */
function whyOf(p) {
  const scored = typeof p.score === "number" ? `recruited with score ${number(p.score)}` : p.score && typeof p.score === "object" ? Object.entries(p.score).slice(0, 4).map(([k, v]) => `${short(k, 24)} ${typeof v === "number" ? number(v) : short(said(v), 20)}`).join(", ") : "";
  const skilled = Array.isArray(p.skills) ? short(p.skills.slice(0, 12).map(said).join(", "), 160) : p.skills ? short(said(p.skills), 160) : "";
  return [skilled, scored, p.instead ? `in place of ${short(p.instead, 60)}` : ""].filter(Boolean).join("; ") || html`<span class="dim">not told</span>`;
}

/** @type {import("./index.js").Kind} */
export const people = { name: "people", prose: true, reach: "later", looks: (value, name, hint) => Boolean(hint) && peopleOf(value, {}, hint) !== null, fits: (value, name, state, hint) => (Boolean(hint) || /expert|recruit|people/.test(name)) && peopleOf(value, state, hint) !== null, View };
