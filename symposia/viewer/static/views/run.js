// A run: what it came to, its path, and the step or call that is being looked at.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { carried, useAsked } from "../api.js";
import { Copy, Plain, Status, Text, Toys, Waiting, verdictOf } from "../parts.js";
import { lazy, preload } from "../lazy.js";
import { go, lastList, runHash, stepOf } from "../route.js";
import { count, dollars, duration, expected, figure, headOf, number, plain, short } from "../words.js";
import { Live, Spoken, grown, useAgain, useLive } from "./live.js";
import { OpenStep } from "./open.js";
import { Saves } from "./saves.js";
import { Steps, useStepKeys } from "./steps.js";

const [AgainstRun, Fork] = ["AgainstRun", "Fork"].map((name) => lazy(name));
const [CallView, StepView] = ["CallView", "StepView"].map((name) => lazy(name, () => html`<p class="dim waiting" role="status">Reading …</p>`));
const Graph = lazy("Graph", () => html`<section class="pane graph-pane"></section>`);

/** @param {{route: import("../route.js").Route}} props */
export function Run({ route }) {
  useEffect(preload, []);
  const path = `/runs/${encodeURIComponent(route.id)}`;
  // The journal's own steps stand there before any state is rebuilt.
  const quick = useAsked(carried() ? null : `${path}?quick=1`);
  const asked = useAsked(carried() || quick.data || quick.fault ? path : null);
  const page = asked.data ?? (asked.fault ? undefined : quick.data);
  const again = useAgain(asked);
  const live = useLive(route.id, page, again);
  if (!page) return html`<main class="list"><${Waiting} asked=${asked} what="the run" /></main>`;
  return html`<${Page} page=${page} route=${route} live=${live} again=${again} />`;
}

/** Whether a run failed in a step that had made no call. @param {any} page */
const isLost = (page) => page.steps.some((/** @type {any} */ s) => s.n === stepOf(String(page.run.error?.place ?? "")) && !s.effects);

/** Where a run opens: at the call that failed, else at its turning point, else at its end. @param {any} page */
export function opening(page) {
  if (page.run.error?.place) return String(isLost(page) ? stepOf(page.run.error.place) : page.run.error.place);
  const turn = page.steps.find((/** @type {any} */ s) => s.turning === "wrong") ?? page.steps.find((/** @type {any} */ s) => s.failed);
  return String((turn ?? page.steps[page.steps.length - 1])?.n ?? "");
}

/** @param {{page: any, route: import("../route.js").Route, live: any, again: (soon?: boolean) => void}} props */
function Page({ page, route, live, again }) {
  const { run } = page;
  const steps = useMemo(() => grown(page, live.news), [page, live.news]);
  const newest = steps[steps.length - 1]?.n;
  const was = useRef(false); // once live, the view stays where the run ended
  was.current ||= live.live;
  const following = live.live && !route.place;
  const method = useAsked(page.known_method === false ? null : `/methods/${encodeURIComponent(run.method)}`, { keep: true });
  const place = route.place || (was.current ? String(newest ?? "") : page.states === "pending" ? "" : opening(page));
  const selected = stepOf(place);
  const isCall = /\./.test(place) && !(place === run.error?.place && isLost(page));
  useEffect(() => {
    if (!route.place && place && !following) go(runHash(route.id, place, route.query), { replace: true });
  }, [route.place, place, following]);
  useEffect(() => {
    document.title = `${run.method} ${short(run.row ?? run.run_id, 30)} · ${isCall ? place : `step ${selected}`} · Symposia`;
  });
  const detail = useRef(/** @type {any} */ (null));
  useLayoutEffect(() => {
    if (detail.current) detail.current.scrollTop = 0;
  }, [place]);
  const pick = (/** @type {string|number} */ to) => go(runHash(route.id, to, kept(route.query)), { replace: !isCall });
  useStepKeys(steps, selected, pick, isCall, page.states === "pending");
  const follow = () => live.live && go(runHash(route.id, "", kept(route.query)), { replace: true });
  const ended = (/** @type {KeyboardEvent} */ e) => {
    if (e.key !== "End" || !live.live) return;
    e.preventDefault();
    e.stopPropagation();
    follow();
  };
  const step = steps.find((/** @type {any} */ s) => s.n === selected);
  const [forking, setForking] = useState(false);
  // A step that did not end has no state to begin with, so a fork of it begins after the one before.
  const from = step?.source === "open" ? steps.filter((/** @type {any} */ s) => s.n < step.n && s.source !== "open").pop()?.n ?? null : selected;
  const canFork = !carried() && page.states === "known" && from !== null;
  useLayoutEffect(() => {
    const pressed = (/** @type {any} */ e) => {
      if (e.detail === "newest") follow();
      if (e.detail === "fork" && selected !== null) setForking(true); // while states are being rebuilt it opens as soon as they are there
      if (e.detail === "compare" && run.parent && !carried()) go(compareHash(run));
      if (e.detail === "back" && !isCall && (lastList() || !carried())) go(lastList() || (run.batch ? `#/batches/${encodeURIComponent(run.batch.id)}` : "#/runs"));
    };
    addEventListener("symposia-key", pressed);
    return () => removeEventListener("symposia-key", pressed);
  });
  return html`<main class="run">
    <${Head} page=${page} live=${live} onFork=${canFork ? () => setForking(true) : null}>${live.live && html`<${Live} page=${{ ...page, last: newest }} live=${live} again=${again} following=${following} onFollow=${follow} />`}<//>
    <${Spoken} live=${live} run=${run} />
    <div class="panes">
      <${Graph} method=${method.data} steps=${steps} selected=${selected} onPick=${pick} />
      <section class="pane steps-pane" aria-label="Steps" onKeyDownCapture=${ended}><h2>Steps <span class="dim">${number(steps.length)}</span></h2>
        <${Steps} steps=${steps} selected=${selected} onPick=${pick} /></section>
      <section class="pane detail" ref=${detail} aria-label=${isCall ? "Call" : "Step"}>
        ${isCall ? html`<${CallView} id=${run.run_id} place=${place} steps=${steps} query=${route.query} run=${run} />`
          : step && live.live && !page.steps.some((/** @type {any} */ s) => s.n === step.n && s.source !== "open") ? html`<${OpenStep} key=${step.n} page=${page} step=${step} news=${live.news} />`
          : step ? html`<${StepView} key=${step.n} page=${page} step=${step} query=${route.query} show=${method.data?.show ?? method.data?.SHOW} done=${!live.live} />`
          : html`<p class="dim">${page.states === "pending" ? "The states are being rebuilt from the journal …" : steps.length ? `This run has no step ${plain(place)}.` : "No step has ended yet."}</p>`}
      </section>
    </div>
    ${canFork && html`<${Fork} page=${page} method=${method.data} at=${from} open=${forking} onClose=${() => setForking(false)} />`}
  </main>`;
}

/** @param {any} run */
const compareHash = (run) => `#/compare/${encodeURIComponent(run.parent.run)}/${encodeURIComponent(run.run_id)}`;

/** What of the query goes along to another step. @param {URLSearchParams} query */
function kept(query) {
  const next = new URLSearchParams();
  for (const [name, value] of query) if (["show", "scale", "find", "texts"].includes(name) || name.startsWith("as.")) next.set(name, value);
  return next;
}

/** @param {{page: any, live: any, onFork: (() => void)|null, children?: any}} props */
function Head({ page, live, onFork, children }) {
  const { run } = page;
  const question = headOf(run.question) ?? "";
  const spent = run.calls ?? {};
  const calls = typeof spent === "object" ? (spent.live ?? 0) + (spent.replayed ?? 0) : spent;
  const usage = run.usage ?? {};
  const changed = useMemo(() => Object.entries(page.changed ?? {}).filter(([key]) => key !== "model"), [page.changed]);
  return html`<header class="run-head">
    <div class="bar"><h1><${Plain} text=${String(run.method)} /></h1><span class="mono dim">${run.run_id}</span>${run.row !== null && run.row !== undefined && html`<span class="dim">${short(run.row, 40)}</span>`}
      <${Toys} toys=${page.toys ?? run.toy} />
      ${run.batch && !carried() && html`<a href=${`#/batches/${encodeURIComponent(run.batch.id)}`}>batch</a>`}
      ${run.parent && !carried() && html`<a href=${runHash(String(run.parent.run), String(run.parent.at))}>fork of ${String(run.parent.run).slice(0, 6)} at ${run.parent.at}</a>`}
      <span class="grow"></span>
      ${onFork && html`<button onClick=${onFork} title="Start a changed run after the step that is shown (f)">Fork</button>`}
      ${run.parent && !carried() && html`<a href=${compareHash(run)} title="key c">compare with parent</a>`}
      ${!carried() && html`<${AgainstRun} run=${run} />`}
      <${Saves} path=${`/runs/${encodeURIComponent(run.run_id)}/export`} command=${`symposia show ${run.run_id} --html ${run.run_id}.html`} graph=${page.known_method} />
      <${Copy} text=${() => location.href} label="copy link" title="Copy the link to what is shown (y)" /></div>
    <div class="outcome"><${Outcome} run=${run} />
      ${!live.live && html`<span class="facts">${count(calls, "call")}${spent.replayed ? `, ${number(spent.replayed)} reused` : ""} · ${number((usage.prompt_tokens ?? 0) + (usage.completion_tokens ?? 0))} tokens · ${typeof run.cost_usd === "number" ? dollars(run.cost_usd) : "price not known"} · ${duration(1000 * (run.seconds ?? 0))}${page.changed?.model ? ` · ${short(page.changed.model, 40)}` : ""}</span>`}</div>
    ${question && html`<div class="question"><${Text} value=${question} run=${run.run_id} head=${260} /></div>`}
    ${changed.length > 0 && html`<p class="dim params">${changed.map(([key, value]) => `${plain(key)} ${short(headOf(value) ?? JSON.stringify(value), 40)}`).join(" · ")}</p>`}
    ${children}
    <${Notices} page=${page} />
  </header>`;
}

/** The first line of a text of several: a program on one line says nothing. @param {string} text */
const headLine = (text) => text.trim().replace(/\s*\n[^]*$/, " …");

/** @param {{run: any}} props */
function Outcome({ run }) {
  const answer = headOf(run.answer) ?? (run.answer === null || run.answer === undefined ? null : typeof run.answer === "number" ? figure(run.answer) : JSON.stringify(run.answer));
  const isLong = answer !== null && (answer.length > 60 || answer.includes("\n"));
  const verdict = verdictOf(run);
  return html`<span class="answer"><${Status} run=${run} />
    ${answer === null && ["ok", "no_answer"].includes(run.status) && verdict !== null && html`<b>no answer</b>`}
    ${answer !== null && html`<b class=${isLong ? "long" : ""}>${short(isLong ? headLine(answer) : answer, 160)}</b>`}
    ${verdict === false && expected(run.reference) && html`<span>expected <b>${short(expected(run.reference), 60)}</b></span>`}
    ${run.stop_reason && html`<span class="dim">stopped: ${short(run.stop_reason, 40)}</span>`}</span>`;
}

/** What a reader must know before they trust what is below. @param {{page: any}} props */
function Notices({ page }) {
  const { run } = page;
  const first = page.first_divergence;
  return html`
    ${run.error && html`<div class="notice bad" role="alert"><b>✗ ${short(run.error.name, 60)}</b> <${Plain} text=${String(run.error.message).slice(0, 600)} />
      ${run.error.place && html` <a href=${runHash(run.run_id, isLost(page) ? stepOf(run.error.place) ?? "" : run.error.place)}>at ${run.error.place}</a>`}${run.error.remedy && html`<div class="dim"><${Plain} text=${String(run.error.remedy)} /></div>`}</div>`}
    ${page.states === "differs" && html`<div class="notice doubt" role="alert"><b>! The replay differs from the record at step ${first?.step}</b>${first?.node ? `, node ${plain(first.node)}` : ""}: the code has changed since version ${short(run.version, 20)}.
      What the journal holds is below; rebuilt states are left out.</div>`}
    ${page.states === "gone" && html`<div class="notice doubt" role="alert"><b>! This run cannot be replayed:</b> ${short(page.cannot_replay?.message ?? "", 300)}. What the journal holds is below.</div>`}
    ${run.waiting && carried() && html`<div class="notice doubt"><b>! Waits</b> after step ${run.waiting.step}: ${short(JSON.stringify(run.waiting.ask ?? run.waiting.next ?? ""), 300)} <code>symposia resume ${run.run_id}</code></div>`}
    ${(page.marks ?? []).filter((/** @type {any} */ m) => m.keys?.length).map((/** @type {any} */ m) => html`<p class="notice dim" key=${m.at}>Edited by hand after step ${m.at}: ${m.keys.map(plain).join(", ")}</p>`)}`;
}
