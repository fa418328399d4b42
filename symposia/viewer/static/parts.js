// Small parts that every view uses: texts, folds, faults, waits, copying.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { ask } from "./api.js";
import { count, isThin, number, visible } from "./words.js";

const HEAD = 2000; // characters of a text that show unfolded
const NEARLY = 1.2; // times the head that a text shows whole: a fold of one line hides nothing worth a click
const MORE = 100_000; // characters that one click adds

/** A text in which nothing acts. @param {{text: string}} props */
export function Plain({ text }) {
  return visible(text).map((part) => (typeof part === "string" ? part : html`<span class="sign" title=${part.code}>${part.sign}</span>`));
}

/** @typedef {{start: number, end: number, kind: "took"|"found"}} Mark */

/** A stretch of a text with some of it marked. @param {{text: string, marks: Mark[]}} props */
export function Marked({ text, marks }) {
  const edges = [...new Set([0, text.length, ...marks.flatMap((m) => [m.start, m.end]).filter((at) => at > 0 && at < text.length)])].sort((a, b) => a - b);
  return edges.slice(0, -1).map((start, n) => {
    const part = text.slice(start, edges[n + 1]);
    const kinds = [...new Set(marks.filter((m) => m.start <= start && m.end >= edges[n + 1]).map((m) => m.kind))];
    return kinds.length ? html`<mark key=${start} class=${kinds.join(" ")} title=${kinds.includes("took") ? "what the parser took" : undefined}><${Plain} text=${part} /></mark>` : html`<${Plain} key=${start} text=${part} />`;
  });
}

const PLACES = 500; // of one text that are marked

/** Where a text stands in another, whatever its case. @param {string} text @param {string} wanted @returns {Mark[]} */
function placesOf(text, wanted) {
  const [all, one] = [text.toLowerCase(), wanted.toLowerCase()];
  /** @type {Mark[]} */
  const found = [];
  for (let at = all.indexOf(one); at >= 0 && found.length < PLACES; at = all.indexOf(one, at + one.length)) found.push({ start: at, end: at + one.length, kind: "found" });
  return found;
}

/**
 * A text of any length: its head, and more on demand; one that stands elsewhere is fetched when it is asked for.
 * @param {{value: any, run?: string, head?: number, mono?: boolean, wrap?: boolean, marks?: Mark[], find?: string, as?: any}} props `as` draws a text in which nothing is marked
 */
export function Text({ value, run, head: most = HEAD, mono = false, wrap = true, marks = [], find = "", as = Plain }) {
  const [whole, setWhole] = useState(/** @type {string|null} */ (null));
  const [said, setSaid] = useState("");
  const thin = isThin(value);
  const length = thin ? value.len : String(value).length;
  const head = !thin && length <= NEARLY * most ? length : most;
  const [shown, setShown] = useState(head);
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
  useEffect(() => {
    if (find && shown < length && shown < MORE) more();
  }, [find, value]);
  const rest = length - Math.min(shown, text.length);
  const all = find ? [...marks, ...placesOf(text.slice(0, shown), find)] : marks;
  return html`<div class=${`text ${mono ? "mono" : ""} ${wrap ? "" : "unwrapped"}`}>
    ${all.length ? html`<${Marked} text=${text.slice(0, shown)} marks=${all} />` : html`<${as} text=${text.slice(0, shown)} />`}${rest > 0 && html`<span class="dim">…</span>`}
    ${rest > 0 && html`<button class="more" onClick=${more}>${number(Math.min(shown, text.length))} of ${count(length, "character")}, show more</button>`}
    ${said && html`<span class="bad" role="alert">${said}</span>`}
  </div>`;
}

/** What may be wider than its place: it scrolls by itself, and where it must, by keyboard too. @param {{label: string, children?: any}} props */
export function Wide({ label, children }) {
  const box = useRef(/** @type {any} */ (null));
  const [scrolls, setScrolls] = useState(false);
  useEffect(() => {
    const home = box.current;
    const seer = new ResizeObserver(() => setScrolls(home.scrollWidth > home.clientWidth));
    for (const part of [home, ...home.children]) seer.observe(part);
    return () => seer.disconnect();
  }, []);
  return html`<div class="wide" ref=${box} ...${scrolls ? { tabIndex: 0, role: "group", "aria-label": `${label}, scrolls sideways` } : {}}>${children}</div>`;
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
