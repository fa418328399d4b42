// The plain kinds: code, a chat, a table of like records, one text, one number.

import { html, useState } from "../vendor/preact.js";
import { Plain, Text, Wide } from "../parts.js";
import { count, headOf, isThin, number, plain, short } from "../words.js";
import { Spark } from "./arms.js";
import { Diff } from "./diff.js";
import { Prose, besides, useSome, useSteps, writers } from "./some.js";

/** @param {any} value */
const isCode = (value) => /^(def |class |import |from \w+ import |async def |@\w)/m.test(headOf(value) ?? "") && (headOf(value) ?? "").includes("\n");

/** @param {import("./some.js").Shown} props */
function CodeView({ value, state, name, hint, page, n, run }) {
  const [diff, setDiff] = useState(true);
  const last = writers(page, n, [name]).slice(-2, -1);
  const earlier = useSteps(run, hint?.keys?.against ? [] : last.map((/** @type {any} */ s) => s.n), page);
  const before = hint?.keys?.against ? besides(state, hint, "against") : earlier?.[0]?.wrote?.find((/** @type {any} */ w) => w.key === name)?.value;
  const old = typeof before === "string" && typeof value === "string" && before !== "" && before !== value ? before : null;
  return html`${old !== null && html`<label class="choice"><input type="checkbox" checked=${diff} onChange=${() => setDiff(!diff)} /> mark what changed ${hint?.keys?.against ? `against ${plain(hint.keys.against)}` : "since the last version"}</label>`}
    ${old !== null && diff ? html`<${Diff} before=${old} after=${value} mono=${true} />` : value === "" ? html`<p class="dim">no code</p>` : html`<${Text} value=${value} run=${run} mono=${true} />`}`;
}

/** @type {import("./index.js").Kind} */
export const code = { name: "code", reach: "now", looks: (value, name, hint) => Boolean(hint?.keys?.against), fits: (value, name, state, hint) => (hint ? headOf(value) !== null : isCode(value)), View: CodeView };

/** @param {any} value versions of a text */
const isVersions = (value) => Array.isArray(value) && value.length > 0 && value.every((v) => headOf(v) !== null);

/** @param {import("./some.js").Shown} props */
function TextView({ value, run, pretty, from = 0 }) {
  const all = Array.isArray(value) ? value : [value];
  const [shown, more] = useSome([...all.keys()].slice(from), 8, "version");
  if (!Array.isArray(value)) return html`<${Prose} value=${value} run=${run} head=${1200} pretty=${pretty} />`;
  return html`${shown.map((n) => html`<section key=${n}><h5>version ${n}</h5>${n ? html`<${Diff} before=${headOf(all[n - 1]) ?? ""} after=${headOf(all[n]) ?? ""} />` : html`<${Prose} value=${all[n]} run=${run} head=${1200} pretty=${pretty} />`}</section>`)}${more}`;
}

/** @type {import("./index.js").Kind} */
export const text = { name: "text", prose: true, reach: "now", looks: (value, name, hint) => Boolean(hint) && isVersions(value), fits: (value, name, state, hint) => isThin(value) || (typeof value === "string" && (Boolean(hint) || value.length > 80 || value.includes("\n"))) || (Boolean(hint) && isVersions(value)), View: TextView };

/** @type {import("./index.js").Kind} */
export const single = {
  name: "value",
  fits: (value) => value === null || typeof value !== "object",
  View: ({ value }) => html`<p class="single" title=${plain(String(value))}>${value === null ? html`<span class="dim">none</span>` : typeof value === "boolean" ? (value ? "yes" : "no") : html`<${Plain} text=${String(value) || "empty text"} />`}</p>`,
};

/** A number, and its way here where it was written more than once. @param {import("./some.js").Shown} props */
function NumberView({ value, name, page, n }) {
  const steps = writers(page, n, [name]);
  const known = steps.map((s) => s.wrote.find((/** @type {any} */ w) => w.key === name)).filter((w) => w.size?.type === "number").map((w) => Number(String(w.head).replace(/,/g, "")));
  const way = known.filter((v) => Number.isFinite(v));
  return html`<p class="single" title=${plain(String(value))}>${number(value)}${way.length > 1 && html` <${Spark} values=${way} label=${`over ${way.length} steps, from ${number(way[0])} to ${number(way[way.length - 1])}`} /><span class="dim">${way.slice(-6).map(number).join(" → ")}</span>`}</p>`;
}

/** @type {import("./index.js").Kind} */
export const numbers = { name: "number", fits: (value) => typeof value === "number", View: NumberView };

/** A message's content, also in the form in which LangChain writes messages down. @param {any} m */
const contentOf = (m) => m?.content ?? m?.data?.content;

/** @param {any} value */
const isChat = (value) => Array.isArray(value) && value.length > 0 && value.every((m) => m && typeof m === "object" && (headOf(contentOf(m)) !== null || Array.isArray(contentOf(m))) && (typeof m.role === "string" || typeof m.type === "string"));

/** @param {{value: any[], run: string, fold?: number, pretty?: boolean}} props */
export function Chat({ value, run, fold = 1200, pretty }) {
  const [shown, more] = useSome(value, 40, "message");
  return html`<ol class="chat">${shown.map((m, n) => html`<li key=${n} class="said"><span class="role"><${Plain} text=${String(m.role ?? m.type)} /></span>
    <${Prose} value=${Array.isArray(contentOf(m)) ? contentOf(m).map(partOf).join("\n") : contentOf(m)} run=${run} head=${fold} pretty=${pretty} /></li>`)}</ol>${more}`;
}

/** A part of a message: its text, or what it is; an image is never fetched. @param {any} part */
const partOf = (part) => (typeof part === "string" ? part : typeof part?.text === "string" ? part.text : JSON.stringify(part));

/** @type {import("./index.js").Kind} */
export const messages = { name: "messages", prose: true, fits: isChat, View: Chat };

/** @param {any} value */
const isWord = (value) => typeof value === "string" && value.length <= 30 && !value.includes("\n");

/** @param {any} value words, or rounds of words, of which some come again */
const isLabels = (value) => {
  const rows = Array.isArray(value) && value.every(Array.isArray) ? value : [value];
  return rows.length > 0 && rows.every((row) => Array.isArray(row) && row.length > 0 && row.every(isWord)) && new Set(rows.flat()).size <= 6;
};

/** @param {{value: any}} props */
function LabelsView({ value }) {
  const [rows, more] = useSome(Array.isArray(value[0]) ? value : [value], 20, "round");
  return html`${rows.map((/** @type {string[]} */ row, /** @type {number} */ n) => {
    const counts = new Map(row.map((word) => [word, row.filter((other) => other === word).length]));
    const alone = counts.size === row.length;
    const mixed = !alone && counts.size > 1 && row.length <= 40;
    return html`<p key=${n}>${rows.length > 1 && html`<span class="dim">round ${n} </span>`}${[...counts].map(([word, times], at) => html`${at ? ", " : ""}<b><${Plain} text=${word || "empty"} /></b>${alone ? "" : ` ×${times}`}`)}
      ${mixed && html`<span class="dim"> in order: ${plain(row.join(", "))}</span>`}</p>`;
  })}${more}`;
}

/** @type {import("./index.js").Kind} */
export const labels = { name: "labels", fits: isLabels, View: LabelsView };

/** @param {any} r */
const isRow = (r) => r !== null && typeof r === "object" && !Array.isArray(r) && !isThin(r);

/** Like records, in a list or by name. @param {any} value @returns {[string, any][]|null} */
const rowsOf = (value) => {
  const rows = Array.isArray(value) ? value.map((r, n) => /** @type {[string, any]} */ ([String(n), r])) : isRow(value) && Object.keys(value).length > 2 ? Object.entries(value) : [];
  if (!rows.length || !rows.every(([, r]) => isRow(r))) return null;
  const keys = Object.keys(rows[0][1]);
  return keys.length > 0 && keys.length <= 12 && rows.every(([, r]) => Object.keys(r).length <= 12 && keys.filter((k) => Object.hasOwn(r, k)).length >= keys.length / 2) ? rows : null;
};

const ROWS = 25;
const COLUMNS = 16;

/** @param {{value: any, run: string}} props */
function TableView({ value, run }) {
  const [shown, more] = useSome(rowsOf(value) ?? [], ROWS, "row");
  const columns = [...new Set(shown.flatMap(([, r]) => Object.keys(r)))].slice(0, COLUMNS);
  return html`<${Wide} label="Table"><table class="grid"><thead><tr><th class="num">${Array.isArray(value) ? "#" : ""}</th>${columns.map((c) => html`<th key=${c}><${Plain} text=${c} /></th>`)}</tr></thead>
    <tbody>${shown.map(([name, r]) => html`<tr key=${name}><td class="num dim"><${Plain} text=${name} /></td>${columns.map((c) => html`<${Cell} key=${c} value=${Object.hasOwn(r, c) ? r[c] : undefined} run=${run} />`)}</tr>`)}</tbody></table><//>${more}`;
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

/** @type {import("./index.js").Kind} */
export const table = { name: "table", fits: (value) => rowsOf(value) !== null, View: TableView };
