// What was said in a call: its messages and its reply, as they are stored or made pretty, with what was found and what was taken marked.

import { html, useEffect, useState } from "../vendor/preact.js";
import { ask, useAsked } from "../api.js";
import { Diff } from "../kinds/diff.js";
import { Json } from "../kinds/json.js";
import { Pretty } from "../kinds/pretty.js";
import { Plain, Text } from "../parts.js";
import { headOf, isThin, plain, short } from "../words.js";

/** How texts are shown. @typedef {{pretty: boolean, wrap: boolean, find: string}} Look */

/** A text, fetched where only its head is at hand. @param {any} value @param {string} id @returns {Promise<string>} */
export async function wholeOf(value, id) {
  if (isThin(value)) return ask(`/runs/${encodeURIComponent(id)}/text/${value.$text}`, { text: true, keep: true });
  return typeof value === "string" ? value : value === null || value === undefined ? "" : JSON.stringify(value);
}

/** The messages of a request as one text. @param {any} request @param {string} id */
export async function promptText(request, id) {
  const parts = (request?.messages ?? []).map(async (/** @type {any} */ m) => `${m.role}\n${await wholeOf(m.content, id)}`);
  return (await Promise.all(parts)).join("\n\n");
}

/** What came back as one text. @param {any} outcome @param {string} id */
export async function replyText(outcome, id) {
  const parts = (outcome?.value?.choices ?? []).map((/** @type {any} */ c) => wholeOf(c.refusal || c.text, id));
  return (await Promise.all(parts)).join("\n");
}

/** The messages, against those of another call where that is asked for. @param {{request: any, id: string, other: string|null, look: Look, keep: boolean}} props */
export function Prompt({ request, id, other, look, keep }) {
  const asked = useAsked(other, { keep });
  const [sides, setSides] = useState(/** @type {string[]|null} */ (null));
  useEffect(() => {
    let gone = false;
    setSides(null);
    if (asked.data) Promise.all([asked.data.request, request].map((r) => promptText(r, id))).then((texts) => gone || setSides(texts), () => {});
    return () => {
      gone = true;
    };
  }, [asked.data, request]);
  const chat = Array.isArray(request.messages) ? request.messages : null;
  const rest = Object.fromEntries(Object.entries(request).filter(([key]) => key !== "messages"));
  if (!chat && !Object.keys(rest).length) return html`<p class="dim">left out of this file</p>`;
  return html`${other && sides ? html`<${Diff} before=${sides[0]} after=${sides[1]} />` : chat ? html`<${Messages} chat=${chat} id=${id} look=${look} />` : html`<${Json} value=${request} run=${id} />`}
    ${chat && Object.keys(rest).length > 0 && html`<details><summary class="dim">options sent</summary><${Json} value=${rest} run=${id} /></details>`}`;
}

/** @param {{chat: any[], id: string, look: Look}} props */
function Messages({ chat, id, look }) {
  return html`<ol class="chat">${chat.map((m, n) => html`<li key=${n} class="said"><span class="role"><${Plain} text=${String(m.role ?? m.type)} /></span>
    ${headOf(m.content) === null ? html`<${Json} value=${m.content} run=${id} />` : html`<${Words} value=${m.content} id=${id} look=${look} head=${1500} />`}</li>`)}</ol>`;
}

/** @param {{value: any, id: string, look: Look, head: number, marks?: import("../parts.js").Mark[]}} props */
function Words({ value, id, look, head, marks = [] }) {
  return html`<${Text} value=${value} run=${id} head=${head} wrap=${look.wrap} find=${look.find} marks=${marks} as=${look.pretty ? Pretty : Plain} />`;
}

/** @param {{call: any, id: string, look: Look}} props */
export function Reply({ call, id, look }) {
  const outcome = call.outcome ?? {};
  const { took } = call;
  if (outcome.error) return html`<div class="notice bad"><b>✗ ${short(outcome.error.name, 80)}</b> <${Text} value=${outcome.error.message ?? ""} run=${id} />${outcome.error.remedy && html`<p class="dim"><${Plain} text=${String(outcome.error.remedy)} /></p>`}</div>`;
  const choices = outcome.value?.choices;
  if (!Array.isArray(choices)) return headOf(outcome.value) !== null ? html`<${Text} value=${outcome.value} run=${id} />` : html`<${Json} value=${outcome.value} run=${id} />`;
  const marks = took && choices.length === 1 && !look.pretty ? took.spans.map((/** @type {number[]} */ [start, end]) => ({ start, end, kind: "took" })) : [];
  return html`${choices.map((/** @type {any} */ c, /** @type {number} */ n) => html`<div class="reply" key=${n}>
    ${choices.length > 1 && html`<h5>choice ${n}</h5>`}
    ${c.reasoning && html`<details><summary class="dim">reasoning</summary><${Text} value=${c.reasoning} run=${id} /></details>`}
    ${c.refusal ? html`<p class="bad">✗ refused</p><${Text} value=${c.refusal} run=${id} />` : html`<${Words} value=${c.text ?? ""} id=${id} look=${look} head=${4000} marks=${marks} />`}
    ${c.finish && c.finish !== "stop" && html`<p class="doubt">! ended by ${short(c.finish, 40)}</p>`}</div>`)}
    ${took && html`<p class="taken"><span class="dim">◄ ${took.by === "parser" ? "the parser took" : "the answer read here"}</span> <b><${Plain} text=${brief(took.value)} /></b></p>`}`;
}

/** @param {any} value */
const brief = (value) => (headOf(value) !== null ? short(headOf(value), 200) : value === null ? "nothing" : plain(JSON.stringify(value)).slice(0, 400));
