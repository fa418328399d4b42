// A text with its headings, lists, code and bold, as nodes of this page. Links and pictures stay the text that they are.

import { html } from "../vendor/preact.js";
import { Plain } from "../parts.js";

const MOST = 300; // parts of a text that are made pretty; what follows stands as it is

/** @param {{text: string}} props */
export function Pretty({ text }) {
  const parts = partsOf(text);
  const rest = parts.splice(MOST).map((p) => p.text).join("\n");
  return html`<div class="pretty">${parts.map((p, n) => html`<${Part} key=${n} ...${p} />`)}${rest && html`<p><${Plain} text=${rest} /></p>`}</div>`;
}

/** @typedef {{kind: string, text: string, mark?: string, deep?: number}} Found */

/** @param {string} text @returns {Found[]} */
function partsOf(text) {
  /** @type {Found[]} */
  const found = [];
  let fence = "";
  for (const line of text.split("\n")) {
    const last = found[found.length - 1];
    const ticks = /^ {0,3}(```+|~~~+)/.exec(line)?.[1];
    if (fence ? ticks && line.trim() === fence : ticks) {
      if (!fence) found.push({ kind: "code", text: "" });
      fence = fence ? "" : String(ticks);
      continue;
    }
    if (fence) {
      last.text += last.text ? `\n${line}` : line;
      continue;
    }
    const head = /^ {0,3}#{1,6}\s+(.*)$/.exec(line);
    const item = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/.exec(line);
    if (head) found.push({ kind: "head", text: head[1] });
    else if (item) found.push({ kind: "item", text: item[3], mark: /\d/.test(item[2]) ? item[2] : "•", deep: Math.min(6, Math.floor(item[1].length / 2)) });
    else if (last?.kind === "text" && line.trim()) last.text += last.text ? `\n${line}` : line;
    else found.push({ kind: "text", text: line.trim() ? line : "" });
  }
  return found.filter((p) => p.text || p.kind === "code");
}

/** @param {Found} props */
function Part({ kind, text, mark, deep = 0 }) {
  if (kind === "code") return html`<pre class="mono"><${Plain} text=${text} /></pre>`;
  if (kind === "head") return html`<p class="pretty-head"><${Bold} text=${text} /></p>`;
  if (kind === "item") return html`<p class="pretty-item" style=${{ marginLeft: `${deep}rem` }}><span>${mark}</span><span><${Bold} text=${text} /></span></p>`;
  return html`<p><${Bold} text=${text} /></p>`;
}

/** @param {{text: string}} props */
function Bold({ text }) {
  const parts = text.split(/(\*\*[^*\n]{1,400}\*\*|`[^`\n]{1,400}`)/);
  parts.push(parts.splice(200).join(""));
  return parts.map((part, n) => n % 2 === 0 ? html`<${Plain} key=${n} text=${part} />` : part[0] === "`" ? html`<code key=${n}><${Plain} text=${part.slice(1, -1)} /></code>` : html`<b key=${n}><${Plain} text=${part.slice(2, -2)} /></b>`);
}
