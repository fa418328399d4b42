// A call: what was asked, what came back, and what the parser made of it.

import { html, useEffect } from "../vendor/preact.js";
import { useAsked } from "../api.js";
import { Diff } from "../kinds/diff.js";
import { Json } from "../kinds/json.js";
import { Chat } from "../kinds/plain.js";
import { Copy, Plain, Tag, Text, Waiting } from "../parts.js";
import { go, runHash, stepOf, withQuery } from "../route.js";
import { count, dollars, duration, headOf, number, plain, short } from "../words.js";

/** @type {Record<string, string>} */
const TONES = { ok: "good", failed: "bad", refused: "bad", truncated: "doubt", unreadable: "doubt" };

/** @param {{id: string, place: string, steps: any[], query: URLSearchParams, run: any}} props */
export function CallView({ id, place, query, run }) {
  const address = (/** @type {string} */ p) => `/runs/${encodeURIComponent(id)}/calls/${p.split("/").map(encodeURIComponent).join("/")}`;
  const asked = useAsked(address(place), { keep: run.status !== "started" });
  const call = asked.data;
  const around = call?.around ?? {};
  const part = query.get("part") ?? "both";
  useEffect(() => {
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
      <div class="segments" role="group" aria-label="What is shown of the call">${["both", "prompt", "reply"].map((name) => html`<button key=${name} aria-pressed=${part === name} onClick=${() => go(withQuery({ part: name === "both" ? "" : name }), { replace: true })}>${name}</button>`)}</div></header>
    <p class="call-facts"><${Tag} tone=${TONES[call.status] ?? ""}>${call.status}<//> ${facts(call).map((fact, n) => html`${n ? " · " : ""}<${Plain} text=${fact} />`)}</p>
    <${Attempts} call=${call} />
    <${Moves} id=${id} around=${around} query=${query} />
    ${part !== "reply" && html`<section class="said-part"><h3>Prompt</h3><${Prompt} request=${call.request ?? {}} id=${id} before=${around.round_before ? address(around.round_before) : null} query=${query} /></section>`}
    ${part !== "prompt" && html`<section class="said-part"><h3>Reply</h3><${Reply} outcome=${call.outcome ?? {}} id=${id} />
      ${call.complaint && html`<div class="notice doubt"><b>! What the parser said</b><${Text} value=${call.complaint} run=${id} /></div>`}</section>`}
    <p class="copies"><${Copies} call=${call} /></p>`;
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
  return html`<ol class="attempts">${tried.map((/** @type {any} */ a, /** @type {number} */ n) => html`<li key=${n}><span class="bad">✗ ${short(a.error ?? a.name ?? "failed", 120)}</span>${a.waited ? `, waited ${number(a.waited)} s` : ""}</li>`)}<li class=${call.status === "ok" ? "good" : ""}>${call.status === "ok" ? "✓ then it went through" : `then: ${call.status}`}</li></ol>`;
}

/** @param {{id: string, around: any, query: URLSearchParams}} props */
function Moves({ id, around, query }) {
  const links = [["previous", "← previous call", "p"], ["next", "next call →", "n"], ["round_before", "same place, round before", "["], ["round_after", "same place, next round", "]"]].filter(([name]) => around[name]);
  return html`<nav class="moves" aria-label="Other calls">${links.map(([name, label, key]) => html`<a key=${name} href=${runHash(id, around[name], query)} title=${`key ${key}`}>${label}</a>`)}</nav>`;
}

/** The messages; against those of the round before where that is asked for. @param {{request: any, id: string, before: string|null, query: URLSearchParams}} props */
function Prompt({ request, id, before, query }) {
  const wanted = query.get("diff") === "1";
  const other = useAsked(wanted ? before : null, { keep: true });
  const chat = Array.isArray(request.messages) ? request.messages : null;
  const rest = Object.fromEntries(Object.entries(request).filter(([key]) => key !== "messages"));
  const lines = (/** @type {any} */ r) => (r?.messages ?? []).map((/** @type {any} */ m) => `${m.role}\n${headOf(m.content) ?? JSON.stringify(m.content)}`).join("\n\n");
  return html`${before && html`<label class="choice"><input type="checkbox" checked=${wanted} onChange=${() => go(withQuery({ diff: wanted ? "" : "1" }), { replace: true })} /> mark what differs from the round before</label>`}
    ${wanted && other.data ? html`<${Diff} before=${lines(other.data.request)} after=${lines(request)} />` : chat ? html`<${Chat} value=${chat} run=${id} fold=${1500} />` : html`<${Json} value=${request} run=${id} />`}
    ${chat && Object.keys(rest).length > 0 && html`<details><summary class="dim">options sent</summary><${Json} value=${rest} run=${id} /></details>`}`;
}

/** @param {{outcome: any, id: string}} props */
function Reply({ outcome, id }) {
  if (outcome.error) return html`<div class="notice bad"><b>✗ ${short(outcome.error.name, 80)}</b> <${Text} value=${outcome.error.message ?? ""} run=${id} />${outcome.error.remedy && html`<p class="dim"><${Plain} text=${String(outcome.error.remedy)} /></p>`}</div>`;
  const choices = outcome.value?.choices;
  if (!Array.isArray(choices)) return headOf(outcome.value) !== null ? html`<${Text} value=${outcome.value} run=${id} />` : html`<${Json} value=${outcome.value} run=${id} />`;
  return choices.map((/** @type {any} */ c, /** @type {number} */ n) => html`<div class="reply" key=${n}>
    ${choices.length > 1 && html`<h5>choice ${n}</h5>`}
    ${c.reasoning && html`<details><summary class="dim">reasoning</summary><${Text} value=${c.reasoning} run=${id} /></details>`}
    ${c.refusal ? html`<p class="bad">✗ refused</p><${Text} value=${c.refusal} run=${id} />` : html`<${Text} value=${c.text ?? ""} run=${id} head=${4000} />`}
    ${c.finish && c.finish !== "stop" && html`<p class="doubt">! ended by ${short(c.finish, 40)}</p>`}</div>`);
}

/** @param {{call: any}} props */
function Copies({ call }) {
  const reply = () => (call.outcome?.value?.choices ?? []).map((/** @type {any} */ c) => headOf(c.text) ?? "").join("\n");
  const made = call.copy ?? {};
  return html`<span class="dim">copy</span> <${Copy} text=${() => location.href} label="link" /> <${Copy} text=${reply} label="reply" />
    ${made.curl && html`<${Copy} text=${made.curl} label="curl" title="Exactly this call, with $OPENAI_API_KEY in place of a key" />`}
    ${made.python && html`<${Copy} text=${made.python} label="Python" title="Exactly this call with LiteLLM" />`}`;
}
