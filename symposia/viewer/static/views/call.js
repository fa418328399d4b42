// A call: what was asked, what came back, and what the parser made of it.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { isSettled, useAsked } from "../api.js";
import { Copy, Plain, Tag, Text, Waiting } from "../parts.js";
import { go, runHash, stepOf, withQuery } from "../route.js";
import { count, dollars, duration, number, plain, short } from "../words.js";
import { Prompt, Reply, promptText, replyText } from "./said.js";

/** @type {Record<string, string>} */
const TONES = { ok: "good", failed: "bad", refused: "bad", truncated: "doubt", unreadable: "doubt" };
/** With what a prompt is compared: the name in the address, the field of `around`, and the words. */
const AGAINST = [["role", "role_before", "previous call of this role"], ["1", "round_before", "same place, round before"]];

/** @param {{id: string, place: string, steps: any[], query: URLSearchParams, run: any}} props */
export function CallView({ id, place, query, run }) {
  const address = (/** @type {string} */ p) => `/runs/${encodeURIComponent(id)}/calls/${p.split("/").map(encodeURIComponent).join("/")}`;
  const keep = isSettled(run);
  const asked = useAsked(address(place), { keep });
  const call = asked.data;
  const around = call?.around ?? {};
  const part = query.get("part") ?? "both";
  const look = { pretty: query.get("how") === "pretty", wrap: query.get("wrap") !== "0", find: query.get("in") ?? "" };
  const against = AGAINST.find(([name, field]) => name === query.get("diff") && around[field]);
  useLayoutEffect(() => {
    const pressed = (/** @type {any} */ e) => {
      /** @type {Record<string, string|undefined>} */
      const to = { "call-next": around.next, "call-before": around.previous, "round-before": around.round_before, "round-after": around.round_after };
      if (to[e.detail]) go(runHash(id, /** @type {string} */ (to[e.detail]), query), { replace: true });
      if (e.detail === "back") go(runHash(id, stepOf(place) ?? ""));
    };
    addEventListener("symposia-key", pressed);
    return () => removeEventListener("symposia-key", pressed);
  });
  const back = html`<a class="back" href=${runHash(id, stepOf(place) ?? "")}>← step ${stepOf(place)}</a>`;
  if (!call) return html`${back}<${Waiting} asked=${asked} what=${`the call ${plain(place)}`} />`;
  return html`<header class="detail-head">${back}<h2 class="mono"><${Plain} text=${place} /></h2>
      <${Choice} label="What is shown of the call" names=${["both", "prompt", "reply"]} at=${part} onPick=${(/** @type {string} */ name) => turn({ part: name === "both" ? "" : name })} /></header>
    <p class="call-facts"><${Tag} tone=${TONES[call.status] ?? ""}>${call.status}<//> ${facts(call).map((fact, n) => html`${n ? " · " : ""}<${Plain} text=${fact} />`)}</p>
    <${Attempts} call=${call} />
    <${Moves} id=${id} around=${around} query=${query} />
    <div class="call-tools"><${Choice} label="How texts are shown" names=${["raw", "pretty"]} at=${look.pretty ? "pretty" : "raw"} onPick=${(/** @type {string} */ name) => turn({ how: name === "pretty" ? name : "" })} />
      <label class="choice"><input type="checkbox" checked=${look.wrap} onChange=${() => turn({ wrap: look.wrap ? "0" : "" })} /> wrap</label>
      ${call.request && html`<label class="choice">diff <select aria-label="Compare the prompt with" value=${against?.[0] ?? ""} onChange=${(/** @type {any} */ e) => turn({ diff: e.target.value })}>
        <option value="">none</option>${AGAINST.filter(([, field]) => around[field]).map(([name, , label]) => html`<option key=${name} value=${name}>${label}</option>`)}</select></label>`}
      <${InCall} key=${place} find=${look.find} /></div>
    ${part !== "reply" && html`<section class="said-part"><h3>Prompt ${against && html`<a class="dim" href=${runHash(id, around[against[1]])}>against <${Plain} text=${around[against[1]]} /></a>`}</h3>
      <${Prompt} request=${call.request ?? {}} id=${id} other=${against ? address(around[against[1]]) : null} look=${look} keep=${keep} /></section>`}
    ${part !== "prompt" && html`<section class="said-part"><h3>Reply</h3><${Reply} call=${call} id=${id} look=${look} />
      ${call.complaint && html`<div class="notice doubt"><b>! What the parser said</b><${Text} value=${call.complaint} run=${id} /></div>`}</section>`}
    <p class="copies"><${Copies} call=${call} id=${id} /></p>`;
}

/** @param {Record<string, string>} changes */
const turn = (changes) => go(withQuery(changes), { replace: true });

/** @param {{label: string, names: string[], at: string, onPick: (name: string) => void}} props */
function Choice({ label, names, at, onPick }) {
  return html`<div class="segments" role="group" aria-label=${label}>${names.map((name) => html`<button key=${name} aria-pressed=${at === name} onClick=${() => onPick(name)}>${name}</button>`)}</div>`;
}

/** Finds in the texts of this call, marks every place and goes from one to the next. @param {{find: string}} props */
function InCall({ find }) {
  const [text, setText] = useState(find);
  const [met, setMet] = useState(0);
  const at = useRef(-1);
  useEffect(() => {
    const timer = setTimeout(() => text !== find && turn({ in: text }), 150);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => {
    at.current = -1;
    const timer = setInterval(() => setMet(document.querySelectorAll("mark.found").length), 200); // long texts come later
    return () => clearInterval(timer);
  }, [find]);
  const next = (/** @type {number} */ by) => {
    const marks = [...document.querySelectorAll("mark.found")];
    if (!marks.length) return;
    marks[at.current]?.removeAttribute("data-here");
    at.current = at.current < 0 && by < 0 ? marks.length - 1 : (at.current + by + marks.length) % marks.length;
    marks[at.current].setAttribute("data-here", "");
    marks[at.current].scrollIntoView({ block: "center" });
  };
  const pressed = (/** @type {KeyboardEvent} */ e) => {
    if (e.key !== "Enter") return;
    e.preventDefault();
    next(e.shiftKey ? -1 : 1);
  };
  return html`<label class="search"><span class="away">Find in this call</span><input type="search" placeholder="find in this call" value=${text} onInput=${(/** @type {any} */ e) => setText(e.target.value)} onKeyDown=${pressed} /></label>
    ${find && html`<span class="dim" role="status">${met ? count(met, "place") : "not in the texts shown"}</span>`}`;
}

/** @param {any} call */
function facts(call) {
  const [asked, said] = call.tokens ?? [0, 0];
  const options = call.request ?? {};
  return [
    call.role || call.kind, call.model, asked + said ? `${number(asked)} in + ${number(said)} out` : "", typeof call.cost === "number" ? dollars(call.cost) : "",
    duration(call.ms), typeof options.temperature === "number" ? `temperature ${options.temperature}` : "", call.seed !== null && call.seed !== undefined ? `seed ${call.seed}` : "",
    call.from === "replayed" ? "reused from the parent" : "live", call.requests > 1 ? count(call.requests, "request") : "",
  ].filter(Boolean).map(String);
}

/** @param {{call: any}} props */
function Attempts({ call }) {
  const tried = call.attempts ?? [];
  if (!tried.length) return null;
  const waited = tried.reduce((/** @type {number} */ sum, /** @type {any} */ a) => sum + (a.waited ?? 0), 0);
  return html`<ol class="attempts" aria-label="Attempts">${tried.map((/** @type {any} */ a, /** @type {number} */ n) => html`<li key=${n}>${n + 1} <span class="bad">✗ ${short(a.error ?? a.name ?? "failed", 60)}</span> <${Plain} text=${short(a.message ?? "", 200)} />${a.waited ? `, waited ${number(a.waited)} s` : ""}</li>`)}
    <li class=${call.status === "failed" ? "bad" : "good"}>${tried.length + 1} ${call.status === "failed" ? "✗ failed for good" : "✓ went through"}${waited ? `, after ${number(Math.round(100 * waited) / 100)} s of waiting` : ""}</li></ol>`;
}

/** @param {{id: string, around: any, query: URLSearchParams}} props */
function Moves({ id, around, query }) {
  const links = [["previous", "← previous call", "p"], ["next", "next call →", "n"], ["round_before", "same place, round before", "["], ["round_after", "same place, next round", "]"]].filter(([name]) => around[name]);
  return html`<nav class="moves" aria-label="Other calls">${links.map(([name, label, key]) => html`<a key=${name} href=${runHash(id, around[name], query)} title=${`key ${key}`}>${label}</a>`)}</nav>`;
}

/** @param {{call: any, id: string}} props */
function Copies({ call, id }) {
  const made = call.copy ?? {};
  return html`<span class="dim">copy</span> <${Copy} text=${() => location.href} label="link" /> ${call.request?.messages && html`<${Copy} text=${() => promptText(call.request, id)} label="prompt" />`} <${Copy} text=${() => replyText(call.outcome, id)} label="reply" />
    ${made.curl && html`<${Copy} text=${made.curl} label="curl" title="Exactly this call, with $OPENAI_API_KEY in place of a key" />`}
    ${made.python && html`<${Copy} text=${made.python} label="Python" title="Exactly this call with LiteLLM" />`}`;
}
