// Tests: which edit fixed or broke what, and whether a test itself is in doubt. A matrix of cases by edits; a cell opens what was got against what was expected.

import { html, useMemo, useState } from "../vendor/preact.js";
import { Plain, Wide } from "../parts.js";
import { runHash } from "../route.js";
import { count, headOf, number, short } from "../words.js";
import { Diff } from "./diff.js";
import { Pretty } from "./pretty.js";
import { besides, useSome, useSteps, writers } from "./some.js";

/** @type {Record<string, [string, string, string]>} */
const MARKS = { pass: ["✓", "good", "passed"], ok: ["✓", "good", "passed"], fail: ["✗", "bad", "failed"], error: ["✗", "bad", "failed with an error"], timeout: ["⏱", "doubt", "gave no value in time"], killed: ["⏱", "doubt", "was ended"] };
const COLUMNS = 12; // edits beside one another
const LATEST = 60; // steps that a matrix is made of

/** @typedef {{status: string, got?: any, place?: string}} Cell */
/** Code as it was run. @typedef {{label: string, fate: string, code: any, base: any}} Column */
/** @typedef {{suite: number, n: number, of: any, cells: Map<number, Cell>}} Row */

/** @param {any} value */
const isResults = (value) => Array.isArray(value) && value.length > 0 && value.every((r) => r && typeof r === "object" && typeof r.status === "string" && ("got" in r || Object.keys(r).length <= 4));

/** The cases that results are of: what the hint names, else a list of as many records with what is expected. @param {any} state @param {any[]} results @param {any} hint */
const casesOf = (state, results, hint) => besides(state, hint, "cases") ?? Object.values(state ?? {}).find((v) => Array.isArray(v) && v.length === results.length && v.every((c) => c && typeof c === "object" && "expected" in c));

/** The matrix as the steps of a run tell it. @param {any[]} steps @param {any} hint @param {string} results @returns {{columns: Column[], rows: Row[]}} */
function matrixOf(steps, hint, results) {
  const { cases: casesKey, code: codeKey, edits: editsKey } = hint.keys;
  const wrote = (/** @type {any} */ step, /** @type {string} */ key) => (step.wrote ?? []).find((/** @type {any} */ w) => w.key === key);
  /** @type {Column[]} */
  const columns = [{ label: "as given", fate: "", code: null, base: null }];
  /** @type {Row[]} */
  const rows = [];
  let [current, suite, suites] = [0, /** @type {Row[]} */ ([]), 0];
  for (const step of steps) {
    const code = codeKey && wrote(step, codeKey);
    if (code && columns[current].code === null) columns[current].code = code.value;
    const cases = casesKey && wrote(step, casesKey)?.value;
    if (Array.isArray(cases) && cases.length) {
      suite = cases.map((of, n) => ({ suite: suites, n, of, cells: new Map() }));
      suites += 1;
      rows.push(...suite);
    }
    const found = wrote(step, results)?.value;
    if (isResults(found)) {
      if (!suite.length) rows.push(...(suite = found.map((/** @type {any} */ _, /** @type {number} */ n) => ({ suite: 0, n, of: null, cells: new Map() }))));
      found.forEach((/** @type {any} */ r, /** @type {number} */ n) => suite[n]?.cells.set(current, r));
    }
    const ran = found ? [] : Object.values(step.cases ?? {}).flat();
    if (ran.length && (columns.length === current + 1 || columns[columns.length - 1].fate)) columns.push({ label: `edit ${columns.length}`, fate: "", code: null, base: columns[current].code });
    for (const r of ran) suite[r.at]?.cells.set(columns.length - 1, r);
    for (const edit of editsKey ? (wrote(step, editsKey)?.value ?? []) : []) {
      if (columns.length === current + 1 || columns[columns.length - 1].fate) columns.push({ label: "", fate: "", code: null, base: columns[current].code });
      const last = columns[columns.length - 1];
      Object.assign(last, { label: `edit ${edit?.round ?? columns.length - 1}`, code: edit?.code ?? null, fate: edit?.accepted ? "kept" : "rolled back" });
      if (edit?.accepted) current = columns.length - 1;
    }
  }
  return { columns, rows };
}

/** @param {import("./some.js").Shown} props */
function View({ value, state, name, hint, page, n, run }) {
  const results = hint?.keys?.results ?? name;
  const keys = [results, ...["cases", "code", "edits"].map((k) => hint?.keys?.[k]).filter(Boolean)];
  const ran = (page?.steps ?? []).filter((/** @type {any} */ s) => n !== undefined && s.n <= n && s.effects > 0 && !s.calls);
  const wanted = hint?.keys?.edits ? [...new Set([...writers(page, n, keys), ...ran])].map((s) => s.n).sort((a, b) => a - b).slice(-LATEST) : [];
  const steps = useSteps(run, wanted, page);
  const known = useMemo(() => (steps?.length && hint ? matrixOf(steps, hint, results) : null), [steps]);
  const given = useMemo(() => (isResults(value) ? value.map((r, at) => ({ suite: 0, n: at, of: casesOf(state, value, hint)?.[at], cells: new Map([[0, r]]) })) : []), [value, state]);
  if (wanted.length && !steps) return html`<p class="dim">Reading the tests of ${count(wanted.length, "step")} …</p>`;
  if (!known?.rows.length) return html`<${Matrix} columns=${[{ label: "result", fate: "", code: null, base: null }]} rows=${given} run=${run} />`;
  const newest = known.rows[known.rows.length - 1].suite;
  return html`<${Matrix} ...${known} rows=${results === name ? known.rows.filter((r) => r.suite === newest) : known.rows} run=${run} />`;
}

/** @param {{columns: Column[], rows: Row[], run: string}} props */
function Matrix({ columns: all, rows, run }) {
  const numbers = [...all.keys()].filter((c) => all.length < 2 || all[c].fate || rows.some((r) => r.cells.has(c)));
  const columns = numbers.slice(-COLUMNS);
  const [open, setOpen] = useState(/** @type {string|null} */ (null));
  const [shown, more] = useSome(rows, 25, "case");
  const last = columns[columns.length - 1];
  const failing = shown.find((r) => MARKS[r.cells.get(last)?.status ?? ""]?.[1] === "bad") ?? shown.find((r) => [...r.cells.values()].some((c) => MARKS[c.status]?.[1] === "bad"));
  const at = open ?? (failing ? `${rows.indexOf(failing)}.${[...failing.cells].filter(([, c]) => MARKS[c.status]?.[1] === "bad").map(([c]) => c).pop()}` : "");
  const suites = new Set(rows.map((r) => r.suite)).size;
  const [row, column] = at.split(".").map(Number);
  return html`<p class="says">${columns.filter((c) => rows.some((r) => r.cells.has(c))).map((c, n) => html`${n ? " · " : ""}<span key=${c}>${all[c].label}: <b>${rows.filter((r) => MARKS[r.cells.get(c)?.status ?? ""]?.[1] === "good").length}</b> of ${number(rows.filter((r) => r.cells.has(c)).length)} passed</span>`)}</p>
    ${numbers.length > COLUMNS && html`<p class="dim">the last ${COLUMNS} of ${count(numbers.length, "edit")}</p>`}
    <${Wide} label="Tests"><table class="grid matrix"><thead><tr><th>case</th>${columns.map((c) => html`<th key=${c} class=${all[c].fate === "rolled back" ? "undone" : ""}>${all[c].base !== null && all[c].code !== null
        ? html`<button class="quiet" aria-pressed=${at === `code.${c}`} onClick=${() => setOpen(`code.${c}`)} title="what the edit changed">${all[c].label}</button>` : all[c].label}${all[c].fate && html`<span class=${all[c].fate === "kept" ? "good" : "doubt"}>${all[c].fate === "kept" ? "✓ kept" : "↶ rolled back"}</span>`}</th>`)}<th title="samples that gave the value that the test expects">votes</th></tr></thead>
      <tbody>${shown.map((r, n) => html`<tr key=${n} class=${n && r.suite !== rows[n - 1].suite ? "next-suite" : ""}><th scope="row" class="mono">${suites > 1 && html`<span class="dim">${r.suite + 1}.${r.n + 1} </span>`}${callOf(r)}</th>
        ${columns.map((c) => html`<td key=${c}><${Mark} cell=${r.cells.get(c)} on=${at === `${n}.${c}`} label=${`${callOf(r)}, ${all[c].label}`} onOpen=${() => setOpen(`${n}.${c}`)} /></td>`)}<td><${Votes} of=${r.of} /></td></tr>`)}</tbody></table><//>${more}
    ${at.startsWith("code.") ? html`<section class="side"><h5>${all[column]?.label}${all[column]?.fate && `, ${all[column].fate}`}</h5>${headOf(all[column]?.code) === "" ? html`<p class="dim">The reply held no code.</p>` : html`<${Diff} before=${headOf(all[column]?.base) ?? ""} after=${headOf(all[column]?.code) ?? ""} mono=${true} />`}</section>`
      : at && rows[row]?.cells.get(column) && html`<${Case} row=${rows[row]} cell=${/** @type {Cell} */ (rows[row].cells.get(column))} label=${all[column].label} run=${run} />`}`;
}

/** @param {{cell: Cell|undefined, on: boolean, label: string, onOpen: () => void}} props */
function Mark({ cell, on, label, onOpen }) {
  if (!cell) return html`<span class="dim" title="not run">–</span>`;
  const [sign, tone, word] = MARKS[cell.status] ?? ["–", "", short(cell.status, 20)];
  return html`<button class=${`quiet ${tone}`} aria-pressed=${on} aria-label=${`${label}: ${word}`} onClick=${onOpen}>${sign}</button>`;
}

/** @param {{row: Row, cell: Cell, label: string, run: string}} props */
function Case({ row, cell, label, run }) {
  return html`<section class="side"><h5>${callOf(row)} · ${label} ${MARKS[cell.status]?.[2] ?? short(cell.status, 20)}</h5>
    <dl class="pair"><dt>expected</dt><dd class="mono"><${Plain} text=${textOf(row.of?.expected)} /></dd><dt>got</dt><dd class="mono"><${Plain} text=${textOf(cell.got ?? /** @type {any} */ (cell).error ?? /** @type {any} */ (cell).message)} /></dd>
      ${row.of && typeof row.of.votes === "number" && html`<dt>vote</dt><dd><${Votes} of=${row.of} /></dd>`}${headOf(row.of?.reasoning) && html`<dt>why this test</dt><dd><${Pretty} text=${String(headOf(row.of.reasoning)).slice(0, 600)} /></dd>`}</dl>
    ${cell.place && html`<a href=${runHash(run, cell.place)}>the call that ran it</a>`}</section>`;
}

/** Whether a test itself is in doubt: few of the samples had the value that it expects. @param {{of: any}} props */
function Votes({ of }) {
  if (!of || typeof of.votes !== "number") return null;
  const all = typeof of.parsed === "number" ? of.parsed : null;
  const doubtful = all !== null && of.votes < 0.7 * all;
  return html`<span class=${doubtful ? "doubt" : "dim"} title=${doubtful ? "the value that the test expects is itself in doubt" : ""}>${doubtful ? "! " : ""}${number(of.votes)}${all === null ? "" : ` of ${number(all)}`}</span>`;
}

/** @param {Row} row */
const callOf = (row) => (Array.isArray(row.of?.arguments) ? short(`(${row.of.arguments.slice(0, 20).map((/** @type {any} */ a) => headOf(a) ?? JSON.stringify(a)).join(", ")})`, 60) : `test ${row.n + 1}`);
/** @param {any} value */
const textOf = (value) => (value === undefined || value === null ? "nothing" : (headOf(value) ?? JSON.stringify(value)).slice(0, 2000));

/** @type {import("./index.js").Kind["fits"]} */
const fits = (value, name, state, hint) => isResults(value) || (Boolean(hint?.keys?.edits && hint.keys.results) && Array.isArray(value) && value.length > 0 && value.every((v) => v && typeof v === "object" && "accepted" in v));

/** @type {import("./index.js").Kind} */
export const tests = { name: "tests", reach: "now", fits, View };
