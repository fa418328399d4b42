// The fallback of every value: a tree of keys with type and size, opened level by level, so nothing is out of reach.

import { html, useState } from "../vendor/preact.js";
import { ask } from "../api.js";
import { Copy, Plain, Text } from "../parts.js";
import { count, headOf, isThin, number, plain, short, sizeOf } from "../words.js";

const ITEMS = 50; // shown at once of a list or record
const OPEN = 12; // a value with at most so many parts is open from the start

/** @param {any} value */
const isBranch = (value) => value !== null && typeof value === "object" && !isThin(value);

/** A key as the run has it: the server doubles a leading `$`, so no key passes for a folded text. @param {string} key */
export const nameOf = (key) => (key.startsWith("$") ? key.slice(1) : key);

/** The parts of a value; keys are only ever read, so `__proto__` is a key like any other. @param {any} value @returns {[string|number, any][]} */
const partsOf = (value) => (Array.isArray(value) ? value.map((item, n) => [n, item]) : Object.entries(value).map(([key, item]) => [nameOf(key), item]));

/** A value as the run holds it: long texts whole, keys as they are. @param {any} value @param {string} run @returns {Promise<any>} */
export async function wholly(value, run) {
  if (isThin(value)) return ask(`/runs/${encodeURIComponent(run)}/text/${value.$text}`, { text: true, keep: true });
  if (!isBranch(value)) return value;
  const parts = await Promise.all(partsOf(value).map(async ([key, item]) => [key, await wholly(item, run)]));
  return Array.isArray(value) ? parts.map(([, item]) => item) : Object.fromEntries(parts);
}

/** @param {string} path @param {string|number} key */
const pathOf = (path, key) =>
  typeof key === "number" ? `${path}[${key}]` : /^[A-Za-z_]\w*$/.test(key) ? (path ? `${path}.${key}` : key) : `${path}[${JSON.stringify(key)}]`;

/** @param {{value: any, path?: string, run: string, changed?: Set<string>}} props */
export function Json({ value, path = "", run, changed }) {
  if (!isBranch(value)) return html`<${Leaf} value=${value} run=${run} />`;
  return html`<${Branch} value=${value} path=${path} run=${run} changed=${changed} />`;
}

/** @param {{value: any, path: string, run: string, changed?: Set<string>}} props */
function Branch({ value, path, run, changed }) {
  const [most, setMost] = useState(ITEMS);
  const parts = partsOf(value);
  if (!parts.length) return html`<span class="dim">${Array.isArray(value) ? "an empty list" : "an empty record"}</span>`;
  return html`<ul class="json">
    ${parts.slice(0, most).map(([key, item]) => html`<${Entry} key=${key} name=${key} value=${item} path=${pathOf(path, key)} run=${run} changed=${changed} />`)}
    ${parts.length > most && html`<li><button class="more" onClick=${() => setMost(most + 4 * ITEMS)}>${number(most)} of ${count(parts.length, "item")}, show more</button></li>`}
  </ul>`;
}

/** @param {{name: string|number, value: any, path: string, run: string, changed?: Set<string>}} props */
function Entry({ name, value, path, run, changed }) {
  const branch = isBranch(value);
  const size = branch ? partsOf(value).length : 0;
  const [open, setOpen] = useState(branch && size > 0 && size <= OPEN && path.split(/[.[]/).length < 3);
  const mark = changed?.has(path) ? " changed" : "";
  const key = html`<span class="key"><${Plain} text=${String(name)} /></span>`;
  const tools = html`<span class="tools"><${Copy} text=${path} label="path" title="Copy the path of this value" />
    <${Copy} text=${async () => JSON.stringify(await wholly(value, run), null, 2)} label="value" title="Copy this value as JSON" /></span>`;
  if (branch && !size) return html`<li class=${`leaf${mark}`}>${key} <span class="dim">${Array.isArray(value) ? "empty list" : "empty record"}</span></li>`;
  if (!branch) return html`<li class=${`leaf${mark}`}>${key} <${Leaf} value=${value} run=${run} />${tools}</li>`;
  return html`<li class=${mark}>
    <button class="twist" aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "▾" : "▸"} ${key} <span class="dim">${sizeOf(value)}</span></button>
    ${!open && html`<span class="dim gist">${short(gist(value), 90)}</span>`}${tools}
    ${open && html`<${Branch} value=${value} path=${path} run=${run} changed=${changed} />`}
  </li>`;
}

/** The beginning of what is inside. @param {any} value */
function gist(value) {
  const parts = partsOf(value).slice(0, 6);
  const said = parts.map(([key, item]) => (isBranch(item) ? `${Array.isArray(value) ? "" : `${key} `}(${sizeOf(item)})` : Array.isArray(value) ? brief(item) : `${key} ${brief(item)}`));
  return said.join(", ");
}

/** @param {any} value */
const brief = (value) => short(headOf(value) ?? (typeof value === "number" ? number(value) : String(value)), 30);

/** @param {{value: any, run: string}} props */
function Leaf({ value, run }) {
  const text = headOf(value);
  if (text === null) return html`<span class=${`is-${value === null ? "null" : typeof value}`} title=${String(value)}>${value === null ? "null" : typeof value === "number" ? exact(value) : plain(String(value))}</span>`;
  if (text === "") return html`<span class="dim">empty text</span>`;
  if (!isThin(value) && text.length <= 80 && !text.includes("\n")) return html`<span class="is-string"><${Plain} text=${text} /></span>`;
  return html`<${Text} value=${value} run=${run} head=${600} />`;
}

/** A number with every digit that it has. @param {number} value */
const exact = (value) => String(value);
