// Tests: which passed, and whether a test itself is in doubt. A row opens what was got against what was expected.

import { html, useState } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { count, headOf, short } from "../words.js";

/** @type {Record<string, [string, string]>} */
const MARKS = { pass: ["✓", "good"], ok: ["✓", "good"], fail: ["✗", "bad"], error: ["✗", "bad"], timeout: ["⏱", "doubt"], killed: ["⏱", "doubt"] };

/** @param {any} value */
const isResults = (value) => Array.isArray(value) && value.length > 0 && value.every((r) => r && typeof r === "object" && typeof r.status === "string" && ("got" in r || Object.keys(r).length <= 4));

/** The cases that the results are of: a list of as many records with what is expected. @param {any} state @param {any[]} results */
const casesOf = (state, results) => Object.values(state ?? {}).find((v) => Array.isArray(v) && v.length === results.length && v.every((c) => c && typeof c === "object" && "expected" in c));

/** @param {{value: any[], state: any}} props */
function View({ value, state }) {
  const cases = casesOf(state, value);
  const passed = value.filter((r) => MARKS[r.status]?.[1] === "good").length;
  return html`<p class="says">${passed} of ${count(value.length, "test")} passed${cases ? "" : "; the cases are not in what is shown"}</p>
    <ol class="tests">${value.slice(0, 100).map((r, n) => html`<${Case} key=${n} n=${n} result=${r} of=${cases?.[n]} />`)}</ol>
    ${value.length > 100 && html`<p class="dim">100 of ${count(value.length, "test")}; the tree shows all</p>`}`;
}

/** @param {{n: number, result: any, of: any}} props */
function Case({ n, result, of }) {
  const [mark, tone] = MARKS[result.status] ?? ["–", ""];
  const [open, setOpen] = useState(tone === "bad");
  const doubtful = of && typeof of.votes === "number" && typeof of.parsed === "number" && of.votes < 0.7 * of.parsed;
  return html`<li><button class="twist" aria-expanded=${open} onClick=${() => setOpen(!open)}><span class=${tone}>${mark} ${result.status}</span>
      <span class="mono">${of?.arguments ? short(`(${of.arguments.map((/** @type {any} */ a) => headOf(a) ?? JSON.stringify(a)).join(", ")})`, 70) : `test ${n}`}</span></button>
      ${of && typeof of.votes === "number" && html`<span class=${doubtful ? "doubt" : "dim"}> ${doubtful ? "! " : ""}${of.votes} of ${of.parsed} votes for what is expected</span>`}
    ${open && html`<dl class="pair">${of && html`<dt>expected</dt><dd class="mono"><${Plain} text=${textOf(of.expected)} /></dd>`}
      <dt>got</dt><dd class="mono"><${Plain} text=${textOf(result.got ?? result.error ?? result.message)} /></dd></dl>`}
  </li>`;
}

/** @param {any} value */
const textOf = (value) => (value === undefined || value === null ? "nothing" : (headOf(value) ?? JSON.stringify(value)));

/** @type {import("./index.js").Kind} */
export const tests = { name: "tests", reach: "now", fits: isResults, View };
