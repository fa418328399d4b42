// A step: why the run went on as it did, what was written, which calls were made.

import { html, useLayoutEffect } from "../vendor/preact.js";
import { isSettled, useAsked } from "../api.js";
import { Json, wholly } from "../kinds/json.js";
import { Value, reaches } from "../kinds/index.js";
import { Copy, Plain, Waiting } from "../parts.js";
import { go, withQuery } from "../route.js";
import { count, duration, plain, sizeOf } from "../words.js";
import { CallList } from "./calls.js";
import { nameOf, readsOf } from "./steps.js";

const STORIES = ["dialogue", "tree", "plan", "tests", "arms", "people"]; // kinds that tell a whole run: shown again where it ended
const QUIET = ["params", "messages", "artefact"]; // keys of every method that decide nothing: shown last

/** @param {{page: any, step: any, query: URLSearchParams, show: any, done: boolean}} props */
export function StepView({ page, step, query, show, done }) {
  const id = page.run.run_id;
  const how = query.get("show") ?? "writes";
  const kept = (/** @type {any} */ s) => ({ keep: isSettled(page.run), version: String(s.digest ?? page.seq ?? "") }); // a step has its digest once it has ended
  const asked = useAsked(`/runs/${encodeURIComponent(id)}/steps/${step.n}`, kept(step));
  const wrote = sorted(asked.data?.wrote ?? [], show);
  const written = Object.fromEntries(wrote.map((w) => [w.key, w.value]));
  const known = page.states === "known";
  const readable = known || Boolean(page.saved); // LangGraph's own checkpoints outlive a change of the code
  const needs = wrote.map((w) => reachOf(w, hintOf(show, w.key), query));
  const stateAt = (/** @type {number} */ n) => `/runs/${encodeURIComponent(id)}/state/${n}`;
  const last = page.steps[page.steps.length - 1];
  const story = how === "writes" && known && done && step.n === last.n && asked.data ? storyOf(show, written) : undefined;
  const whole = useAsked((how !== "writes" ? readable : known) && (how !== "writes" || story || needs.includes("now")) ? stateAt(step.n) : null, kept(step));
  const later = useAsked(known && how === "writes" && needs.includes("later") ? stateAt(last.n) : null, kept(last));
  useLayoutEffect(() => {
    const pressed = (/** @type {any} */ e) => e.detail === "state" && go(withQuery({ show: how === "writes" ? "whole" : "" }), { replace: true });
    addEventListener("symposia-key", pressed);
    return () => removeEventListener("symposia-key", pressed);
  });
  return html`<header class="detail-head"><h2>Step ${step.n} · <${Plain} text=${nameOf(step)} /></h2>
      <span class="dim">${[step.calls ? count(step.calls, "call") : "", step.ms ? duration(step.ms) : "", step.copied ? `${step.copied} reused` : ""].filter(Boolean).join(" · ")}</span>
      <${Choice} how=${how} known=${readable} /></header>
    ${step.turning && html`<p class=${`turning ${step.turning}`}>◆ ${said(step)}</p>`}
    <${Why} step=${step} />
    ${how !== "writes" && readable ? html`<${Whole} asked=${whole} how=${how} id=${id} step=${step} query=${query} show=${show} page=${page} changed=${new Set(wrote.map((w) => w.key))} />`
      : html`${!asked.data && html`<${Waiting} asked=${asked} what=${`step ${step.n}`} />`}
        ${step.source === "open" && done && html`<p class="doubt">! This step did not end.</p>`}
        ${asked.data && !wrote.length && step.source !== "open" && html`<p class="dim">${page.states === "known" ? "This step wrote nothing new." : "What this step wrote is not known: states are rebuilt only from a replay that equals the record."}</p>`}
        ${!known && step.digest && html`<p class="dim">digest of the state, as it was recorded: <code>${step.digest}</code></p>`}
        ${story && Object.hasOwn(whole.data?.state ?? {}, story) && html`<${Value} name=${story} value=${whole.data.state[story]} state=${whole.data.state} run=${id} hint=${show.kinds[story]} note="at the end" page=${page} n=${step.n} query=${query} />`}
        ${wrote.map((w) => html`<${Written} key=${w.key} w=${w} written=${written} now=${whole.data?.state} later=${later.data?.state} id=${id} query=${query} hint=${hintOf(show, w.key)} page=${page} step=${step} />`)}`}
    ${asked.data && html`<${CallList} calls=${asked.data.calls ?? []} id=${id} n=${step.n} steps=${page.steps} query=${query} />`}
    ${(asked.data?.frames ?? []).map((/** @type {any} */ f) => html`<${Frame} key=${f.frame} frame=${f} id=${id} />`)}`;
}

/** The key that tells a whole run best, where the last step has not written it. @param {any} show @param {any} written */
function storyOf(show, written) {
  const keys = Object.keys(show?.kinds ?? {}).filter((key) => STORIES.includes(show.kinds[key].kind));
  if (keys.some((key) => Object.hasOwn(written, key))) return undefined;
  return keys.find((key) => show.kinds[key].keys?.results) ?? keys[0];
}

/** @param {any} step */
const said = (step) => (step.turning === "changed" ? "The leading answer changed here; whether it was right is not known without a reference." : `Turning point: from here the leading answer stays ${step.turning}.`);

/** What decides first, what every method carries last. @param {any[]} wrote @param {any} show */
const sorted = (wrote, show) => [...wrote].sort((a, b) => rank(a.key, show) - rank(b.key, show));

/** @param {string} key @param {any} show */
const rank = (key, show) => (QUIET.includes(key) ? 2 : ["table", "text", "messages", undefined].includes(hintOf(show, key)?.kind) ? 1 : 0);

/** @param {any} show @param {string} key */
const hintOf = (show, key) => (show?.kinds && Object.hasOwn(show.kinds, key) ? show.kinds[key] : undefined);

/** @param {{how: string, known: boolean}} props */
function Choice({ how, known }) {
  const choices = [["writes", "written here"], ["whole", "whole state"], ["json", "JSON"]];
  return html`<div class="segments" role="group" aria-label="What is shown of the state">${choices.map(([name, label]) => html`<button key=${name} aria-pressed=${how === name} disabled=${!known && name !== "writes"}
    onClick=${() => go(withQuery({ show: name === "writes" ? "" : name }), { replace: true })}>${label}</button>`)}</div>`;
}

/** What each router behind the step had read, and where it went. @param {{step: any}} props */
function Why({ step }) {
  const routers = step.why ?? [];
  if (!routers.length) return step.next?.length ? html`<p class="why"><span class="dim">then</span> <b><${Plain} text=${[...new Set(step.next)].join(", ")} /></b></p>` : null;
  return routers.map((/** @type {any} */ w, /** @type {number} */ n) => html`<div class="why" key=${n}><span class="dim">why next</span> <b>→ <${Plain} text=${times(w.goto)} /></b>
    ${w.error ? html`<span class="doubt">! the router wants more than the state: <${Plain} text=${w.error} /></span>`
      : html`<span class="reads">${readsOf(w).map(([path, value]) => html`<span key=${path} class="read"><span class="dim"><${Plain} text=${path} /></span> ${brief(value)}</span>`)}</span>`}</div>`);
}

/** `refine ×3`. @param {string[]} names */
const times = (names) => [...new Set(names ?? [])].map((n) => (names.filter((m) => m === n).length > 1 ? `${n} ×${names.filter((m) => m === n).length}` : n === "__end__" ? "the end" : n)).join(", ") || "?";

/** @param {any} value */
const brief = (value) => plain(typeof value === "string" ? value : value === null ? "none" : typeof value === "boolean" ? (value ? "yes" : "no") : typeof value === "number" ? String(Number(value.toPrecision(4))) : JSON.stringify(value));

/** A key that was written: kinds that look beyond the step get the state around it. @param {any} props */
function Written({ w, written, now, later, id, query, hint, page, step }) {
  const reach = reachOf(w, hint, query);
  const around = reach === "later" ? later : reach === "now" ? now : undefined;
  const grown = around && w.op === "append" && Array.isArray(around[w.key]) ? around[w.key].slice(0, w.at + w.value.length) : w.value;
  const note = w.op === "append" ? `+ ${sizeOf(w.value)}${w.at ? `, ${w.at} before` : ""}` : sizeOf(w.value);
  return html`<${Value} name=${w.key} value=${grown} from=${grown === w.value ? 0 : w.at} state=${around ?? written} run=${id} hint=${hint} note=${note} page=${page} n=${step.n} query=${query} />`;
}

/** Which state the kind needs that a key is shown as. @param {any} w @param {any} hint @param {URLSearchParams} query @returns {"now"|"later"|""} */
const reachOf = (w, hint, query) => {
  const wanted = query.get(`as.${w.key}`);
  return reaches(w.value, w.key, wanted === null ? hint : hint?.kind === wanted ? hint : { kind: wanted });
};

/** @param {any} props */
function Whole({ asked, how, id, step, query, show, page, changed }) {
  if (!asked.data) return html`<${Waiting} asked=${asked} what=${`the state after step ${step.n}`} />`;
  const state = asked.data.state;
  const kept = asked.data.from === "checkpoint" && html`<p class="notice doubt">! This state is LangGraph's checkpoint, kept when the run was made; it was not rebuilt.</p>`;
  if (how === "json") return html`${kept}<p class="tools-line"><${Copy} text=${async () => JSON.stringify(await wholly(state, id), null, 2)} label="copy the whole state" /></p><${Json} value=${state} run=${id} changed=${changed} />`;
  const keys = Object.keys(state).sort((a, b) => rank(a, show) - rank(b, show));
  const own = (/** @type {string} */ key) => (hintOf(show, key)?.keys?.nodes ? undefined : hintOf(show, key)); // a tree stands once
  return html`${kept}${keys.map((key) => html`<${Value} key=${key} name=${key} value=${state[key]} state=${state} run=${id} hint=${own(key)} note=${changed.has(key) ? "written here" : ""} page=${page} n=${step.n} query=${query} />`)}`;
}

/** The steps inside a subgraph that the step called. @param {{frame: any, id: string}} props */
function Frame({ frame, id }) {
  return html`<details class="frame"><summary>inside <${Plain} text=${frame.frame} /> <span class="dim">${count(frame.steps.length, "step")}</span></summary>
    ${frame.steps.map((/** @type {any} */ s) => html`<section key=${s.n}><h4>${s.n} · <${Plain} text=${nameOf(s)} /></h4>
      <${Json} value=${Object.fromEntries((s.wrote ?? []).map((/** @type {any} */ w) => [w.key, w.value]))} run=${id} /></section>`)}</details>`;
}
