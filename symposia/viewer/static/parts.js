// Small parts that every view uses: texts, folds, faults, waits, copying.

import { html, useEffect, useState } from "./vendor/preact.js";
import { ask } from "./api.js";
import { count, isThin, number, visible } from "./words.js";

const HEAD = 2000; // characters of a text that show unfolded
const MORE = 100_000; // characters that one click adds

/** A text in which nothing acts. @param {{text: string}} props */
export function Plain({ text }) {
  return visible(text).map((part) => (typeof part === "string" ? part : html`<span class="sign" title=${part.code}>${part.sign}</span>`));
}

/**
 * A text of any length: its head, and more on demand; one that stands elsewhere is fetched when it is asked for.
 * @param {{value: any, run?: string, head?: number, mono?: boolean}} props
 */
export function Text({ value, run, head = HEAD, mono = false }) {
  const [shown, setShown] = useState(head);
  const [whole, setWhole] = useState(/** @type {string|null} */ (null));
  const [said, setSaid] = useState("");
  const thin = isThin(value);
  const length = thin ? value.len : String(value).length;
  const text = whole ?? (thin ? value.head : String(value));
  useEffect(() => {
    setShown(head);
    setWhole(null);
    setSaid("");
  }, [thin ? value.$text : value]);
  const more = async () => {
    try {
      if (thin && whole === null) setWhole(await ask(`/runs/${encodeURIComponent(String(run))}/text/${value.$text}`, { text: true, keep: true }));
      setShown((n) => n + MORE);
    } catch (fault) {
      setSaid(/** @type {any} */ (fault).message);
    }
  };
  const rest = length - Math.min(shown, text.length);
  return html`<div class=${mono ? "text mono" : "text"}>
    <${Plain} text=${text.slice(0, shown)} />${rest > 0 && html`<span class="dim">…</span>`}
    ${rest > 0 && html`<button class="more" onClick=${more}>${number(Math.min(shown, text.length))} of ${count(length, "character")}, show more</button>`}
    ${said && html`<span class="bad" role="alert">${said}</span>`}
  </div>`;
}

/** An error: what, why, and what helps. @param {{fault: import("./api.js").Fault, again?: () => void}} props */
export function Trouble({ fault, again }) {
  return html`<div class="trouble" role="alert">
    <strong><${Plain} text=${fault.error} /></strong> <${Plain} text=${fault.message} />
    ${fault.remedy && html`<div><${Plain} text=${fault.remedy} /></div>`}
    ${again && html`<button onClick=${again}>Try again</button>`}
  </div>`;
}

/** What stands where an answer will be: nothing at first, then what it waits for. @param {{asked: {fault?: any, slow: number, again: () => void}, what: string}} props */
export function Waiting({ asked, what }) {
  if (asked.fault) return html`<${Trouble} fault=${asked.fault} again=${asked.again} />`;
  const why = asked.slow >= 10 ? "; the server is still at work on it, a long run is replayed once" : "";
  return html`<p class="dim waiting" role="status">Reading ${what}${asked.slow >= 2 ? `, ${asked.slow} s${why}` : ""} …</p>`;
}

/** Copies a text and says so. @param {{text: string|(() => string|Promise<string>), label: string, title?: string}} props */
export function Copy({ text, label, title }) {
  const [done, setDone] = useState("");
  const copy = async () => {
    try {
      await toClipboard(typeof text === "function" ? await text() : text);
      setDone("copied");
    } catch {
      setDone("not copied: the browser forbids it");
    }
    setTimeout(() => setDone(""), 2000);
  };
  return html`<button class="quiet" title=${title} onClick=${copy}>${done || label}</button>`;
}

/** @param {string} text */
export async function toClipboard(text) {
  await navigator.clipboard.writeText(text);
}

/** A short fact with a tone: good, bad, doubt, or none; a sign stands beside the colour. @param {{tone?: string, children?: any, title?: string}} props */
export function Tag({ tone = "", children, title }) {
  const mark = { good: "✓ ", bad: "✗ ", doubt: "! ", live: "● " }[tone] ?? "";
  return html`<span class=${`tag ${tone}`} title=${title}>${mark}${children}</span>`;
}

/** @type {Record<string, [string, string]>} */
const STATUS = {
  ok: ["", "done"], no_answer: ["doubt", "no answer"], failed: ["bad", "failed"], stopped: ["bad", "stopped"],
  paused: ["doubt", "waits"], started: ["live", "running"], pending: ["live", "pending"], refused: ["bad", "refused"],
};

/** How a run stands: its verdict when a reference is known, else its status. @param {{run: any}} props */
export function Status({ run }) {
  const verdict = verdictOf(run);
  if (verdict !== null) return html`<${Tag} tone=${verdict ? "good" : "bad"}>${verdict ? "right" : "wrong"}<//>`;
  const [tone, word] = STATUS[run.status] ?? ["", String(run.status)];
  return html`<${Tag} tone=${tone}>${word}<//>`;
}

/** @param {any} run @returns {boolean|null} */
export function verdictOf(run) {
  const said = run.status === "ok" || run.status === "no_answer" ? run.correct : null;
  return typeof said === "boolean" ? said : null;
}

/** What ran was a toy, not a language model. @param {{toys: any, word?: string}} props */
export function Toys({ toys, word = "toy models" }) {
  const known = Array.isArray(toys) ? toys.length > 0 : Boolean(toys);
  return known ? html`<span class="tag toy" title="rule-based players: they show the machinery and say nothing about language models">${word}</span>` : null;
}
