// Two runs side by side: what they were given, where their paths part, and what each came to.

import { html, useEffect, useState } from "../vendor/preact.js";
import { isSettled, useAsked } from "../api.js";
import { Diff } from "../kinds/diff.js";
import { Plain, Status, Text, Toys, Waiting, Wide } from "../parts.js";
import { runHash } from "../route.js";
import { count, dollars, figure, headOf, isThin, number, plain, short } from "../words.js";
import { TwoBatches } from "./batches_compare.js";
import { Answer, idOf } from "./runs.js";
import { Saves } from "./saves.js";

/** @param {{route: import("../route.js").Route}} props */
export function Compare({ route }) {
  const [going, setGoing] = useState(false);
  const asked = useAsked(`/compare?${new URLSearchParams({ a: route.id, b: route.place })}`, { every: going ? 2 : 0 });
  useEffect(() => setGoing(Boolean(asked.data?.heads?.some((/** @type {any} */ run) => run.status === "started"))), [asked.data]);
  if (!asked.data) return html`<main class="list"><${Waiting} asked=${asked} what="both" /></main>`;
  return asked.data.of === "batches" ? html`<${TwoBatches} found=${asked.data} which=${route.query.get("rows") ?? "changed"} />` : html`<${TwoRuns} found=${asked.data} going=${going} />`;
}

/** @param {{found: any, going: boolean}} props */
function TwoRuns({ found, going }) {
  const [a, b] = found.heads;
  const { first } = found;
  const shown = found.steps.filter((/** @type {any} */ s) => !s.same);
  const given = [...Object.entries(found.input ?? {}), ...Object.entries(found.params ?? {})];
  return html`<main class="list"><div class="bar"><h1>Compare</h1>${found.same && html`<b class="good">✓ the same, call by call</b>`}${going && html`<span class="tag live" role="status">● still running, what follows grows</span>`}<${Toys} toys=${found.toys} /><span class="grow"></span><${Saves} path=${`/compare/export?a=${idOf(a)}&b=${idOf(b)}`} command=${`symposia diff ${idOf(a)} ${idOf(b)} --html compared.html`} /></div>
    <div class="two">${[a, b].map((run, n) => html`<section key=${n} class="side"><h2><a href=${runHash(idOf(run))}>${n ? "B" : "A"} · <${Plain} text=${String(run.method)} /> <span class="mono dim">${idOf(run)}</span></a></h2>
      <p><${Status} run=${run} /> <${Answer} run=${run} /></p><p class="dim">${count((run.calls?.live ?? 0) + (run.calls?.replayed ?? 0), "call")} · ${dollars(run.cost_usd)}${run.parent ? ` · fork of ${String(run.parent.run).slice(0, 6)} at ${run.parent.at}` : ""}</p></section>`)}</div>
    <p class="dim came">${came(a, b, !Object.hasOwn(found.input ?? {}, "question")).join(" · ")}</p>
    ${a.method !== b.method && html`<p class="notice doubt">! The methods differ, so their steps do not correspond.</p>`}
    <${Given} given=${given} methods=${a.method === b.method} />
    <section><h2>Steps</h2>
      <p>${first ? html`First difference: step ${first.a ?? first.b}, <b><${Plain} text=${first.nodes.join(", ")} /></b>.` : "No step differs."}
        <span class="dim"> ${count(found.steps.length - shown.length, "step")} the same; calls: ${Object.entries(found.counts ?? {}).filter(([, n]) => n).map(([how, n]) => `${how.replaceAll("_", " ").replace(/[ab]$/, (side) => side.toUpperCase())} ${number(n)}`).join(", ")}</span></p>
      ${!found.states_known && html`<p class="notice doubt">! A replay differs from its record, so written values are not compared.</p>`}
      <ul class="pairs">${shown.slice(0, 100).map((/** @type {any} */ s) => html`<${Pair} key=${s.n} s=${s} runs=${found.heads} known=${found.steps.length} open=${s === first || s.n === first?.n} />`)}</ul>
      ${shown.length > 100 && html`<p class="dim">100 of ${count(shown.length, "step")} that differ</p>`}</section></main>`;
}

/** What one run was given and the other not; of different methods what only one of them has stands apart. @param {{given: [string, [any, any]][], methods: boolean}} props `methods` are the same */
function Given({ given, methods }) {
  const own = methods ? [] : given.filter(([, sides]) => sides.some((side) => side === null || side === undefined));
  const rows = (/** @type {[string, [any, any]][]} */ some, usual = "as usual") => html`<${Wide} label="What was given"><table class="grid given-grid"><thead><tr><th>what</th><th>A</th><th>B</th></tr></thead><tbody>${some.map(([key, [one, two]]) => html`<tr key=${key}><td><${Plain} text=${key} /></td><td>${cell(one, usual)}</td><td>${cell(two, usual)}</td></tr>`)}</tbody></table><//>`;
  if (!given.length) return null;
  return html`<section><h2>What was given</h2>${rows(given.filter((g) => !own.includes(g)))}
    ${own.length > 0 && html`<details><summary class="dim">${count(own.length, "thing")} that only one of them has</summary>${rows(own, "–")}</details>`}</section>`;
}

/** What B came to against A: its answer, calls and cost. @param {any} a @param {any} b @param {boolean} alike whether both were asked the same @returns {string[]} */
function came(a, b, alike) {
  const [one, two] = [a, b].map((run) => ({ calls: (run.calls?.live ?? 0) + (run.calls?.replayed ?? 0), answer: run.answer === null || run.answer === undefined ? "none" : typeof run.answer === "number" ? figure(run.answer) : short(headOf(run.answer) ?? JSON.stringify(run.answer), 40) }));
  const more = (/** @type {number} */ n, /** @type {(n: number) => string} */ told) => `${n > 0 ? "+" : n < 0 ? "−" : "±"}${told(Math.abs(n))}`;
  const priced = typeof a.cost_usd === "number" && typeof b.cost_usd === "number";
  const answers = one.answer === two.answer ? `the same answer ${one.answer}` : `answer ${one.answer} → ${two.answer}${b.correct === true ? " ✓" : b.correct === false ? " ✗" : ""}`;
  return [...(alike ? [answers] : []), `calls ${more(two.calls - one.calls, number)}`, priced ? `cost ${more(b.cost_usd - a.cost_usd, dollars)}` : "cost not known"];
}

/** @param {any} value @param {string} usual what stands for nothing */
const cell = (value, usual) => (value === null || value === undefined ? html`<span class="dim">${usual}</span>` : short(typeof value === "string" ? value : JSON.stringify(value), 200));

/** @param {{s: any, runs: any[], known: number, open: boolean}} props `known` steps of both */
function Pair({ s, runs, known, open }) {
  const [a, b] = runs.map(idOf);
  const [shown, setShown] = useState(open);
  useEffect(() => setShown(open), [open]);
  const only = s.a === null ? "only in B" : s.b === null ? "only in A" : "differs";
  return html`<li><button class="twist" aria-expanded=${shown} onClick=${() => setShown(!shown)}>${shown ? "▾" : "▸"} step ${s.n} · <b><${Plain} text=${s.nodes.join(", ")} /></b> <span class="dim">${only}</span></button>
    ${s.a !== null && html` <a href=${runHash(a, s.a)}>A</a>`}${s.b !== null && html` <a href=${runHash(b, s.b)}>B</a>`}
    ${shown && html`<${Writes} s=${s} runs=${runs} known=${known} />`}</li>`;
}

/** What both wrote; a step that is still open is asked again as its run grows. @param {{s: any, runs: any[], known: number}} props */
function Writes({ s, runs, known }) {
  const [a, b] = runs.map(idOf);
  const version = (/** @type {any} */ run) => (isSettled(run) ? run.status : `${run.status} ${JSON.stringify(run.calls)} ${known}`);
  const side = (/** @type {number|null} */ n, /** @type {any} */ run) => useAsked(n === null ? null : `/runs/${encodeURIComponent(idOf(run))}/steps/${n}`, { keep: isSettled(run), version: version(run) });
  const [one, two] = [side(s.a, runs[0]), side(s.b, runs[1])];
  const wanting = s.a !== null && !one.data ? one : s.b !== null && !two.data ? two : null;
  if (wanting) return html`<${Waiting} asked=${wanting} what="the step" />`;
  const wrote = (/** @type {any} */ asked) => new Map((asked.data?.wrote ?? []).map((/** @type {any} */ w) => [w.key, w.value]));
  const [left, right] = [wrote(one), wrote(two)];
  const keys = [...new Set([...left.keys(), ...right.keys()])].filter((k) => !["params", "messages", "artefact"].includes(k) && JSON.stringify(left.get(k)) !== JSON.stringify(right.get(k)));
  if (!keys.length) return html`<p class="dim">What they wrote is the same; what they asked a model is not.</p>`;
  return keys.map((key) => html`<section key=${key} class="value"><header><h4><${Plain} text=${key} /></h4></header><${Sides} one=${left.get(key)} two=${right.get(key)} a=${a} b=${b} /></section>`);
}

const MOST = 40; // differing parts shown at once

/** The texts, numbers and empty lists of a value by their paths. @param {any} value @param {string} path @param {Map<string, any>} [found] */
function leaves(value, path, found = new Map()) {
  const inside = value !== null && typeof value === "object" && !isThin(value) ? Object.entries(value) : [];
  if (!inside.length) found.set(path, value);
  for (const [key, item] of inside) leaves(item, Array.isArray(value) ? `${path}[${key}]` : path ? `${path}.${key}` : key, found);
  return found;
}

/** Whether a part fits into a line of a table. @param {any} value */
const isBrief = (value) => value === null || typeof value !== "object" ? String(value).length <= 40 && !String(value).includes("\n") : !Object.keys(value).length;

/** @param {any} value */
const inLine = (value) => (value === undefined ? html`<span class="dim">–</span>` : typeof value === "string" ? html`<${Plain} text=${value || "empty text"} />` : plain(JSON.stringify(value)));

/** What differs inside two values, part by part, words marked. @param {{one: any, two: any, a: string, b: string}} props */
function Sides({ one, two, a, b }) {
  const [most, setMost] = useState(MOST);
  const [left, right] = [leaves(one, ""), leaves(two, "")];
  const paths = [...new Set([...left.keys(), ...right.keys()])];
  const odd = paths.filter((path) => JSON.stringify(left.get(path)) !== JSON.stringify(right.get(path)));
  const shown = odd.slice(0, most);
  const brief = shown.filter((path) => isBrief(left.get(path)) && isBrief(right.get(path)));
  return html`${brief.length > 0 && html`<${Wide} label="Short parts"><table class="grid"><thead><tr><th></th><th>A</th><th>B</th></tr></thead><tbody>${brief.map((path) => html`<tr key=${path}><td class="mono"><${Plain} text=${path} /></td>${[left, right].map((side, n) => html`<td key=${n}>${inLine(side.get(path))}</td>`)}</tr>`)}</tbody></table><//>`}
    ${shown.filter((path) => !brief.includes(path)).map((path) => html`<div class="two part" key=${path}>${path && html`<h5 class="mono"><${Plain} text=${path} /></h5>`}
      <${Side} value=${left.get(path)} name="A" run=${a} /><${Side} value=${right.get(path)} name="B" run=${b} against=${left.get(path)} /></div>`)}
    ${paths.length > odd.length && html`<p class="dim">${count(paths.length - odd.length, "other part")} the same</p>`}
    ${odd.length > most && html`<button class="more" onClick=${() => setMost(most + 200)}>${most} of ${number(odd.length)}, show more</button>`}`;
}

/** @param {{value: any, name: string, run: string, against?: any}} props */
function Side({ value, name, run, against }) {
  if (value === undefined) return html`<p class="dim">not in ${name}</p>`;
  const [text, other] = [headOf(value), headOf(against)];
  if (text !== null && other !== null && name === "B") return html`<${Diff} before=${other} after=${text} />`;
  return html`<${Text} value=${text === null ? JSON.stringify(value) : value} run=${run} head=${1200} />`;
}
