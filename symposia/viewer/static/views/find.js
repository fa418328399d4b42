// Finding: names and heads of a run here, all of its texts on the server, and the texts of all runs. Hits are links.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { useAsked } from "../api.js";
import { Plain, Trouble } from "../parts.js";
import { go, runHash, withQuery } from "../route.js";
import { count, number, plain, short } from "../words.js";

const SHOWN = 40; // hits in the page before somebody asks for more

/** @typedef {{address: string, label: string, sign?: string, head: string, at?: number}} Hit */

/** @param {any} step */
const wordsOf = (step) => [step.nodes.join(" "), step.summary ?? "", ...(step.wrote ?? []).map((/** @type {any} */ w) => `${w.key} ${w.head ?? ""}`)].filter(Boolean).join(" · ");

/** Steps and calls whose names or heads hold a text. @param {string} id @param {any[]} steps @param {any[]} calls @param {string} text @returns {Hit[]} */
function near(id, steps, calls, text) {
  const wanted = text.trim().toLowerCase();
  const found = steps.filter((s) => String(s.n) === wanted || wordsOf(s).toLowerCase().includes(wanted)).map((s) => ({ address: runHash(id, s.n), label: `step ${s.n}`, head: wordsOf(s) }));
  const said = (/** @type {any} */ c) => `${c.place} · ${c.role || c.kind}${c.status === "ok" ? "" : ` · ${c.status}`} · ${c.head ?? ""}`;
  return [...found, ...calls.filter((c) => said(c).toLowerCase().includes(wanted)).map((c) => ({ address: runHash(id, c.place), label: "call", head: said(c) }))];
}

/** The words of a hit around what was looked for. @param {string} head @param {string} text */
function around(head, text) {
  const at = head.toLowerCase().indexOf(text.trim().toLowerCase());
  if (at < 0) return html`<${Plain} text=${short(head, 140)} />`;
  const from = Math.max(0, at - 50);
  const end = at + text.trim().length;
  return html`${from > 0 && "…"}<${Plain} text=${flat(head.slice(from, at))} /><mark class="found"><${Plain} text=${flat(head.slice(at, end))} /></mark><${Plain} text=${flat(head.slice(end, end + 70))} />`;
}

/** @param {string} text */
const flat = (text) => text.replace(/\s+/g, " ");

/** The field of a run's steps; what is typed stands in the address. @param {{id: string, steps: any[], query: URLSearchParams}} props */
export function Find({ id, steps, query }) {
  const [text, setText] = useState(query.get("find") ?? "");
  const [at, setAt] = useState(0);
  const list = useRef(/** @type {any} */ (null));
  const whole = query.get("texts") === "1";
  const wanted = text.trim();
  const base = `/runs/${encodeURIComponent(id)}`;
  const calls = useAsked(wanted ? `${base}/calls` : null);
  const texts = useAsked(wanted && whole ? `${base}/search?${new URLSearchParams({ q: wanted })}` : null);
  const hits = useMemo(() => (wanted ? near(id, steps, calls.data?.items ?? [], wanted) : []), [id, steps, calls.data, wanted]);
  useEffect(() => {
    setAt(0);
    const timer = setTimeout(() => text !== (query.get("find") ?? "") && go(withQuery({ find: text, ...(wanted ? {} : { texts: "" }) }), { replace: true }), 250);
    return () => clearTimeout(timer);
  }, [text]);
  const found = (texts.data?.items ?? []).map((/** @type {any} */ h) => hitOf(id, h));
  const shown = [...hits.slice(0, SHOWN), ...found];
  const pressed = (/** @type {KeyboardEvent} */ e) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (by) setAt(Math.max(0, Math.min(shown.length, at + by)));
    else if (e.key === "Enter" && wanted) {
      if (at < shown.length) go(shown[at].address + kept(query, text));
      else go(withQuery({ find: text, texts: "1" }), { replace: true });
      if (at < shown.length) /** @type {any} */ (e.target).blur();
    } else return;
    e.preventDefault();
    e.stopPropagation();
  };
  useEffect(() => list.current?.querySelector("[data-at]")?.scrollIntoView({ block: "nearest" }), [at]);
  return html`<search class="find"><label class="search"><span class="away">Find in this run</span>
      <input type="search" id="find" placeholder="find a step, a call" value=${text} aria-describedby="find-met" onInput=${(/** @type {any} */ e) => setText(e.target.value)} onKeyDown=${pressed} /></label>
    ${wanted && html`<div class="found-box" ref=${list}><p class="dim" id="find-met" role="status">${calls.data || calls.fault ? count(hits.length, "name or head", "names and heads") : "reading the list of calls …"}${hits.length > SHOWN ? `, ${SHOWN} shown` : ""}${texts.data ? `; ${number(found.length)} of ${count(texts.data.total, "text")}` : ""}</p>
      <ul class="hits" aria-label="Hits">${shown.map((hit, n) => html`<${HitLine} key=${`${hit.address} ${n}`} hit=${hit} text=${wanted} more=${kept(query, text)} on=${n === at} />`)}</ul>
      ${texts.fault ? html`<${Trouble} fault=${texts.fault} />` : !whole ? html`<button class="more" data-at=${at >= shown.length ? "" : undefined} onClick=${() => go(withQuery({ find: text, texts: "1" }), { replace: true })}>look in all texts${at >= shown.length ? " (Enter)" : ""}</button>`
        : texts.data ? (found.length ? null : html`<p class="dim">No prompt, reply or value of this run holds it.</p>`) : html`<p class="dim" role="status">Looking in all texts${texts.slow >= 2 ? `, ${texts.slow} s` : ""} …</p>`}</div>`}
  </search>`;
}

/** What of the query goes along with a hit. @param {URLSearchParams} query @param {string} text */
function kept(query, text) {
  const next = new URLSearchParams({ find: text });
  for (const name of ["scale", "texts"]) if (query.get(name)) next.set(name, String(query.get(name)));
  return `?${next}`;
}

/** @param {string} id @param {any} h @returns {Hit} */
const hitOf = (id, h) => ({ address: runHash(id, h.place ?? h.step), label: h.in === "state" ? `step ${h.step} · ${plain(h.key)}` : `${h.in} · ${plain(h.place)}`, head: h.head });

/** @param {{hit: Hit, text: string, more?: string, on?: boolean}} props */
function HitLine({ hit, text, more = "", on = false }) {
  return html`<li class=${on ? "on" : ""} data-at=${on ? "" : undefined}><a href=${hit.address + more}><span class="dim mono">${hit.label}</span> <span>${around(hit.head, text)}</span></a></li>`;
}

/** The texts of all runs, a stretch at a time, newest runs first. @param {{q: string}} props */
export function TextHits({ q }) {
  const [after, setAfter] = useState("");
  const [older, setOlder] = useState(/** @type {any[]} */ ([]));
  const asked = useAsked(`/search?${new URLSearchParams({ q, ...(after ? { after } : {}) })}`);
  useEffect(() => {
    setAfter("");
    setOlder([]);
  }, [q]);
  const found = asked.data;
  const hits = [...older, ...(found?.items ?? [])];
  const next = () => {
    setOlder(hits);
    setAfter(found.next);
  };
  return html`<section class="found-box" aria-label="Hits in all texts"><h2>In all texts <span class="dim" role="status">${found ? `${count(hits.length, "hit")} shown, ${number(found.looked)} of ${count(found.of, "run")} looked through` : `looking${asked.slow >= 2 ? `, ${asked.slow} s` : ""} …`}</span></h2>
    ${asked.fault && html`<${Trouble} fault=${asked.fault} again=${asked.again} />`}
    ${found && !hits.length && !found.next && html`<p class="dim">No prompt and no reply of any run holds it.</p>`}
    <ul class="hits">${hits.map((h, n) => html`<${HitLine} key=${`${h.run} ${h.place} ${n}`} text=${q} hit=${{ address: runHash(h.run, h.place), label: `${plain(h.method)} ${h.run.slice(0, 6)}${h.run.length > 12 ? `/${h.run.slice(9, 15)}` : ""} · ${h.in} · ${plain(h.place)}`, head: h.head }} />`)}</ul>
    ${found?.next && html`<button class="more" onClick=${next}>look further</button>`}</section>`;
}
