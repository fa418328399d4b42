// A run that goes on: its steps as they come, what is open, what it waits for and costs, and how to stop it.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { ask, carried } from "../api.js";
import { useFollowed } from "../follow.js";
import { Plain } from "../parts.js";
import { count, dollars, number, plain, short } from "../words.js";
import { Answer, waitsAt } from "./answer.js";

const MOMENT = 1000; // milliseconds between two readings of the whole run, at least
const REST = 20; // and so many times as long as a reading took: states are rebuilt by a replay, which must not slow the run down
const SPOKEN = 5000; // milliseconds between two sentences of the live region
export const STILL = 60; // seconds without news after which what goes on elsewhere may have no process any more
const NOTHING = { calls: [], steps: [], now: null, at: 0 };

/** Whether a run goes on, or waits to; in a file nothing does. @param {any} run */
export const isLive = (run) => !carried() && ["started", "pending", "paused"].includes(run.status);

/** Asks again, but not while an answer is awaited, and with rests between. @param {import("../api.js").Asked<any>} asked @returns {(soon?: boolean) => void} */
export function useAgain(asked) {
  const s = useRef({ since: Date.now(), took: 0, owed: false, soon: false, timer: /** @type {any} */ (0) }).current;
  const start = () => {
    Object.assign(s, { since: Date.now(), owed: false, soon: false, timer: 0 });
    asked.again();
  };
  const plan = (/** @type {boolean} */ soon) => {
    Object.assign(s, { owed: true, soon: s.soon || soon }); // an end that comes while an answer is awaited waits for no rest after it
    if (s.since || (s.timer && !soon)) return;
    clearTimeout(s.timer);
    s.timer = setTimeout(start, s.soon ? 0 : Math.max(MOMENT, REST * s.took));
  };
  useEffect(() => {
    if (!asked.data && !asked.fault) return;
    if (s.since) Object.assign(s, { took: Date.now() - s.since, since: 0 });
    if (s.owed) plan(false);
  }, [asked.data, asked.fault]);
  useEffect(() => () => clearTimeout(s.timer), []);
  return (soon = false) => plan(soon);
}

/** What has come in since a run was read, and how the connection is. @param {string} id @param {any} page @param {(soon?: boolean) => void} again */
export function useLive(id, page, again) {
  const [news, setNews] = useState(/** @type {any} */ (NOTHING));
  const live = page !== undefined && isLive(page.run);
  const hear = (/** @type {import("../follow.js").Told[]} */ told) => {
    const items = (/** @type {string} */ kind) => told.filter((t) => t.kind === kind).flatMap((t) => t.data.items);
    const now = told.findLast((t) => t.kind === "now")?.data;
    const fresh = { calls: items("call"), steps: items("step") };
    setNews((/** @type {any} */ old) => ({ calls: [...old.calls, ...fresh.calls], steps: [...old.steps, ...fresh.steps], now: now ?? old.now, at: now ? Date.now() : old.at, heard: fresh.calls.length || fresh.steps.length ? Date.now() : old.heard ?? Date.now() }));
    const asks = told.findLast((t) => t.kind === "interrupt")?.data;
    const other = asks && (page?.run.status !== "paused" || waitsAt(asks) !== waitsAt(page.run.waiting));
    if (told.some((t) => t.kind === "done") || (now && now.status !== page?.run.status) || other) again(true);
    else if (fresh.steps.length) again();
  };
  const link = useFollowed(live ? `/runs/${encodeURIComponent(id)}/events` : null, page?.seq ?? 0, hear);
  useEffect(() => {
    if (page) setNews((/** @type {any} */ old) => ({ ...old, calls: old.calls.filter((/** @type {any} */ c) => c.seq > page.seq), steps: old.steps.filter((/** @type {any} */ s) => !has(page, s.n)) }));
  }, [page]);
  return { live, news, link };
}

/** Whether a step has ended for all that a page knows. @param {any} page @param {number} n */
const has = (page, n) => page.steps.some((/** @type {any} */ s) => s.n === n && s.source !== "open");

/** The steps of a run with what has come in since it was read. @param {any} page @param {any} news @returns {any[]} */
export function grown(page, news) {
  if (!isLive(page.run)) return page.steps;
  const lines = new Map(page.steps.map((/** @type {any} */ s) => [s.n, s]));
  const blank = (/** @type {number} */ n, /** @type {string[]} */ ran) => ({
    n, source: "open", nodes: [...new Set(ran)], tasks: [...new Set(ran)].map((node) => ({ node, n: ran.filter((r) => r === node).length })), next: [], wrote: [], why: [],
    calls: 0, failed: 0, copied: 0, ms: 0, round: page.steps[page.steps.length - 1]?.round ?? 0,
  });
  for (const s of news.steps) if (!has(page, s.n)) lines.set(s.n, { ...(lines.get(s.n) ?? blank(s.n, s.nodes)), source: "journal", nodes: s.nodes, next: s.next });
  for (const c of news.calls) {
    if (c.seq <= page.seq) continue;
    const line = lines.get(c.step) ?? blank(c.step, [c.node]);
    lines.set(c.step, { ...line, calls: line.calls + (c.calls ?? 0), failed: line.failed + Number(c.status === "failed"), ms: Math.max(line.ms, c.ms) });
  }
  const ended = [...lines.values()].filter((s) => s.source !== "open").sort((a, b) => a.n - b.n);
  const last = ended[ended.length - 1];
  if (page.run.status !== "paused" && last?.next?.length && !lines.has(last.n + 1)) lines.set(last.n + 1, blank(last.n + 1, last.next));
  const now = news.now;
  if (now && lines.get(now.step)?.source === "open") lines.set(now.step, { ...lines.get(now.step), summary: doing(now.nodes, lines.get(now.step).nodes) });
  return [...lines.values()].sort((a, b) => a.n - b.n);
}

/** `review 3 of 5`. @param {{node: string, done: number, of: number|null}} n */
const progress = (n) => (n.of ? `${n.node} ${number(n.done)} of ${number(n.of)}` : `${n.node}${n.done ? ` ${number(n.done)} so far` : ""}`);

/** How far a step is; a name that stands beside it is not said again. @param {any[]} nodes @param {string[]} named */
const doing = (nodes, named) => (nodes.length === 1 && named.length === 1 ? progress({ ...nodes[0], node: "" }).trim() || "goes on" : nodes.map(progress).join(", "));

/** How long it goes, what is open, what it costs so far. @param {{page: any, live: any, again: (soon?: boolean) => void, following: boolean, onFollow: () => void}} props */
export function Live({ page, live, again, following, onFollow }) {
  const { run } = page;
  const { news, link } = live;
  const [, tick] = useState(0);
  const [stop, setStop] = useState(/** @type {any} */ (null));
  useEffect(() => {
    const timer = setInterval(() => document.hidden || tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const now = news.now;
  const paused = run.status === "paused";
  const since = (/** @type {number} */ at) => Math.max(0, (Date.now() - at) / 1000);
  const cancel = async () => {
    setStop({});
    try {
      await ask(`/runs/${encodeURIComponent(run.run_id)}/cancel`, { body: {} });
      setStop({ done: true });
    } catch (fault) {
      setStop({ fault });
    }
  };
  const quiet = now && !now.here && !paused ? Math.floor(since(news.heard)) : 0;
  return html`<section class="going" aria-label="Live">
    <div class="bar">${now ? html`<span class="facts">${facts(now, since(news.at), paused).map((fact, n) => html`<span key=${n}>${fact}</span>`)}</span>` : html`<span class="dim">asking how it stands …</span>`}<span class="grow"></span>
      ${!following && html`<button onClick=${onFollow}>follow the newest step <kbd>End</kbd></button>`}
      ${!paused && (stop?.done || now?.stopping ? html`<span class="doubt">! no new work is begun, what is in flight still ends</span>` : html`<button onClick=${cancel} disabled=${Boolean(stop) && !stop.fault}>Stop new work</button>`)}</div>
    ${stop?.fault && html`<p class="bad" role="alert">${plain(stop.fault.message)}</p>`}
    ${now && !paused && now.nodes.length > 0 && html`<ul class="doing">${now.nodes.map((/** @type {any} */ n) => html`<li key=${n.node}><span class="dim">${now.step}</span> <b><${Plain} text=${n.node} /></b>
      ${n.of ? html` <progress max=${n.of} value=${n.done} aria-label=${`${plain(n.node)}: done`}></progress>` : ""} ${progress({ ...n, node: "" }).trim()}</li>`)}
      ${following && html`<li class="dim">follows the newest step until you move</li>`}</ul>`}
    ${now && !now.here && !paused && html`<p class="dim">This server does not execute the run, so calls show when they end.${quiet >= STILL ? html` Nothing has come for ${number(quiet)} s; if no process is at it any more: <code>symposia resume ${run.run_id}</code>` : ""}</p>`}
    ${paused && run.waiting && html`<${Answer} key=${JSON.stringify(run.waiting)} run=${run} onSent=${() => again(true)} />`}
    <${Lost} link=${link} step=${page.last} />
  </section>`;
}

/** What stands in the line. @param {any} now @param {number} since @param {boolean} paused @returns {any[]} */
function facts(now, since, paused) {
  const seconds = now.here ? `${Math.floor(now.seconds + since)} s` : paused ? "" : `begun ${Math.max(0, Math.floor(Date.now() / 1000 - now.started))} s ago`;
  const pauses = now.pauses.map((/** @type {any} */ p) => html`<b class="doubt">! ${number(p.n)} waiting</b> (${WHY[p.why] ?? `again after ${short(p.why, 40)}`}${p.seconds === null ? "" : `, ${Math.ceil(Math.max(0, p.seconds - since))} s`})`);
  return [
    seconds, now.here && !paused ? html`<b>${number(now.in_flight)}</b> in flight` : "", now.queued ? `${number(now.queued)} waiting for a slot` : "", ...pauses,
    html`<b>${number(now.calls)}</b>${now.most && now.most >= now.calls ? ` of at most ${number(now.most)}` : ""} calls`,
    now.requests > now.calls ? `${count(now.requests, "request")}` : "", count(now.tokens, "token"), now.cost === null ? "price not known" : `${dollars(now.cost)} so far`,
  ].filter((fact) => fact !== "");
}

/** @type {Record<string, string>} */
const WHY = { RateLimited: "rate limit", Rate: "the rate that is set for the model" };

/** Says that the connection is gone, and what is done about it. @param {{link: import("../follow.js").Link, step?: number}} props */
export function Lost({ link, step }) {
  if (link.fault) return html`<p class="notice bad" role="alert"><b>✗ ${short(link.fault.error, 60)}</b> ${plain(link.fault.message)}; what is shown stays. ${link.fault.status === 401 && html`<a href="" onClick=${() => location.reload()}>type the key again</a>`}</p>`;
  return link.lost > 0 ? html`<p class="notice doubt" role="status">! Connection lost${step === undefined ? "" : ` at step ${step}`}, trying again; what is shown stays.</p>` : null;
}

/** What a screen reader hears of a run: at most a sentence every five seconds. @param {{live: any, run: any}} props */
export function Spoken({ live, run }) {
  const now = live.news.now;
  const text = !live.live ? (now ? `The run has ended: ${run.status}.` : "") : live.link.lost ? "Connection lost, trying again." : run.status === "paused" ? "The run waits for a person." : now?.step ? `Step ${now.step}: ${now.nodes.map(progress).join(", ")}. ${count(now.calls, "call")}.` : "";
  const [said, setSaid] = useState("");
  const at = useRef(0);
  useEffect(() => {
    const timer = setTimeout(() => {
      at.current = Date.now();
      setSaid(text);
    }, Math.max(0, at.current + SPOKEN - Date.now()));
    return () => clearTimeout(timer);
  }, [text]);
  return html`<p class="away" role="status" aria-live="polite">${plain(said)}</p>`;
}

/** The lines of the calls of a step that goes on, in the order of their places, whichever ended first. @param {any[]} known @param {any[]} fresh @param {number} step @returns {any[]} */
export function useCalls(known, fresh, step) {
  return useMemo(() => {
    const seen = new Set(known.map((c) => c.seq));
    const all = [...known, ...fresh.filter((c) => c.step === step && !seen.has(c.seq))];
    return all.sort((a, b) => String(a.place).localeCompare(String(b.place), "en", { numeric: true }));
  }, [known, fresh, step]);
}
