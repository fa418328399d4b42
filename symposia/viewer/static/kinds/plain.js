// The plain kinds: code, a chat, a table of like records, one text, one number.

import { html, useState } from "../vendor/preact.js";
import { Plain, Text } from "../parts.js";
import { count, headOf, isThin, number, plain, short } from "../words.js";
import { Diff } from "./diff.js";

/** @param {any} value */
const isCode = (value) => /^(def |class |import |from \w+ import |async def |@\w)/m.test(headOf(value) ?? "") && (headOf(value) ?? "").includes("\n");

/** @param {{value: any, before?: any, run: string}} props */
function CodeView({ value, before, run }) {
  const [diff, setDiff] = useState(true);
  const old = typeof before === "string" && typeof value === "string" && before !== value ? before : null;
  return html`${old !== null && html`<label class="choice"><input type="checkbox" checked=${diff} onChange=${() => setDiff(!diff)} /> mark what changed</label>`}
    ${old !== null && diff ? html`<${Diff} before=${old} after=${value} mono=${true} />` : html`<${Text} value=${value} run=${run} mono=${true} />`}`;
}

export const code = { name: "code", fits: isCode, View: CodeView };

export const text = {
  name: "text",
  fits: (/** @type {any} */ value) => isThin(value) || (typeof value === "string" && (value.length > 80 || value.includes("\n"))),
  View: (/** @type {any} */ { value, run }) => html`<${Text} value=${value} run=${run} head=${1200} />`,
};

export const single = {
  name: "value",
  fits: (/** @type {any} */ value) => value === null || typeof value !== "object",
  View: (/** @type {any} */ { value }) => html`<p class="single" title=${plain(String(value))}>${value === null ? html`<span class="dim">none</span>` : typeof value === "number" ? number(value) : html`<${Plain} text=${String(value) || "empty text"} />`}</p>`,
};

/** A message's content, also in the form in which LangChain writes messages down. @param {any} m */
const contentOf = (m) => m?.content ?? m?.data?.content;

/** @param {any} value */
const isChat = (value) => Array.isArray(value) && value.length > 0 && value.every((m) => m && typeof m === "object" && (headOf(contentOf(m)) !== null || Array.isArray(contentOf(m))) && (typeof m.role === "string" || typeof m.type === "string"));

/** @param {{value: any[], run: string, fold?: number}} props */
export function Chat({ value, run, fold = 1200 }) {
  return html`<ol class="chat">${value.map((m, n) => html`<li key=${n} class="said"><span class="role"><${Plain} text=${String(m.role ?? m.type)} /></span>
    <${Text} value=${Array.isArray(contentOf(m)) ? contentOf(m).map(partOf).join("\n") : contentOf(m)} run=${run} head=${fold} /></li>`)}</ol>`;
}

/** A part of a message: its text, or what it is; an image is never fetched. @param {any} part */
const partOf = (part) => (typeof part === "string" ? part : typeof part?.text === "string" ? part.text : JSON.stringify(part));

export const messages = { name: "messages", fits: isChat, View: Chat };

/** @param {any} value */
const isWord = (value) => typeof value === "string" && value.length <= 30 && !value.includes("\n");

/** @param {any} value words, or rounds of words, of which some come again */
const isLabels = (value) => {
  const rows = Array.isArray(value) && value.every(Array.isArray) ? value : [value];
  return rows.length > 0 && rows.every((row) => Array.isArray(row) && row.length > 0 && row.every(isWord)) && new Set(rows.flat()).size <= 6;
};

/** @param {{value: any}} props */
function LabelsView({ value }) {
  const rows = Array.isArray(value[0]) ? value : [value];
  return rows.map((/** @type {string[]} */ row, /** @type {number} */ n) => {
    const counts = new Map(row.map((word) => [word, row.filter((other) => other === word).length]));
    const alone = counts.size === row.length;
    const mixed = !alone && counts.size > 1 && row.length <= 40;
    return html`<p key=${n}>${rows.length > 1 && html`<span class="dim">round ${n} </span>`}${[...counts].map(([word, times], at) => html`${at ? ", " : ""}<b><${Plain} text=${word || "empty"} /></b>${alone ? "" : ` ×${times}`}`)}
      ${mixed && html`<span class="dim"> in order: ${plain(row.join(", "))}</span>`}</p>`;
  });
}

export const labels = { name: "labels", fits: isLabels, View: LabelsView };

/** @param {any} value */
const isTable = (value) => {
  if (!Array.isArray(value) || value.length === 0 || !value.every((r) => r && typeof r === "object" && !Array.isArray(r) && !isThin(r))) return false;
  const keys = Object.keys(value[0]);
  return keys.length > 0 && keys.length <= 12 && value.every((r) => Object.keys(r).length <= 12 && keys.filter((k) => Object.hasOwn(r, k)).length >= keys.length / 2);
};

const ROWS = 25;

/** @param {{value: any[], run: string}} props */
function TableView({ value, run }) {
  const [most, setMost] = useState(ROWS);
  const columns = [...new Set(value.slice(0, most).flatMap((r) => Object.keys(r)))];
  return html`<div class="wide"><table class="grid"><thead><tr><th class="num">#</th>${columns.map((c) => html`<th key=${c}><${Plain} text=${c} /></th>`)}</tr></thead>
    <tbody>${value.slice(0, most).map((r, n) => html`<tr key=${n}><td class="num dim">${n}</td>${columns.map((c) => html`<${Cell} key=${c} value=${Object.hasOwn(r, c) ? r[c] : undefined} run=${run} />`)}</tr>`)}</tbody></table></div>
    ${value.length > most && html`<button class="more" onClick=${() => setMost(most + 100)}>${most} of ${count(value.length, "row")}, show more</button>`}`;
}

/** @param {{value: any, run: string}} props */
function Cell({ value, run }) {
  if (value === undefined) return html`<td></td>`;
  if (value === null) return html`<td class="dim">–</td>`;
  if (typeof value === "number") return html`<td class="num" title=${value}>${number(value)}</td>`;
  if (typeof value === "boolean") return html`<td>${value ? "yes" : "no"}</td>`;
  const head = headOf(value);
  if (head !== null) return html`<td class="prose"><${Text} value=${value} run=${run} head=${160} /></td>`;
  return html`<td class="dim" title=${short(JSON.stringify(value), 400)}>${short(JSON.stringify(value), 60)}</td>`;
}

export const table = { name: "table", fits: isTable, View: TableView };
