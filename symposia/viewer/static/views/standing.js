// A batch that goes on: how many of its rows are done, what it has cost of its budget; rows are read again with rests between.

import { html, useEffect, useState } from "../vendor/preact.js";
import { useFollowed } from "../follow.js";
import { count, dollars, number } from "../words.js";
import { Lost, STILL, useAgain } from "./live.js";

const TICK = 1000; // milliseconds between two looks at the clock

/** How a batch stands, followed as long as it goes on. @param {string} id as it stands in an address @param {import("../api.js").Asked<any>} page @param {import("../api.js").Asked<any>} rows */
export function useStanding(id, page, rows) {
  const [now, setNow] = useState(/** @type {any} */ (null));
  const [heard, setHeard] = useState(0);
  const again = [useAgain(page), useAgain(rows)];
  const link = useFollowed(page.data && !page.data.ended ? `/batches/${id}/events` : null, 0, (told) => {
    const last = told[told.length - 1];
    const first = now === null;
    if (last.kind !== "done" && JSON.stringify(last.data) === JSON.stringify(now)) return; // whoever asks again is told the same again
    setNow(last.data);
    setHeard(Date.now());
    if (!first || last.kind === "done") again.forEach((one) => one(last.kind === "done"));
  });
  return { now, link, heard };
}

/** @param {{b: any, live: any}} props */
export function Standing({ b, live }) {
  const { now, link, heard } = live;
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = b.ended ? 0 : setInterval(() => document.hidden || tick((n) => n + 1), TICK);
    return () => clearInterval(timer);
  }, [b.ended]);
  if (!now || b.ended) return null;
  const quiet = link.lost ? 0 : Math.floor((Date.now() - heard) / 1000);
  const counts = now.counts;
  const failed = (counts.failed ?? 0) + (counts.stopped ?? 0);
  const running = (counts.started ?? 0) + (counts.pending ?? 0);
  const done = Object.values(counts).reduce((/** @type {number} */ a, /** @type {any} */ n) => a + n, 0) - failed - running;
  const left = now.budget === null || now.budget === undefined || now.cost === null ? "" : `${dollars(Math.max(0, now.budget - now.cost))} of ${dollars(now.budget)} left`;
  const tokens = now.tokens_budget ? `${number(Math.max(0, now.tokens_budget - now.tokens))} of ${count(now.tokens_budget, "token")} left` : "";
  const facts = [`${number(done)} done`, `${number(failed)} failed`, `${number(running)} running`, now.rows ? `${number(Math.max(0, now.rows - done - failed - running))} to come` : "", count(now.calls, "call"), now.cost === null ? "price not known" : `${dollars(now.cost)} so far`, left, tokens];
  return html`<section class="going" aria-label="Live"><div class="bar"><span class="tag live">● running</span>
      ${now.rows ? html`<progress max=${now.rows} value=${done + failed} aria-label="rows done"></progress>` : ""}
      <span class="facts">${facts.filter(Boolean).map((fact) => html`<span key=${fact}>${fact}</span>`)}</span></div>
    ${quiet >= STILL && html`<p class="dim">Nothing has come for ${number(quiet)} s; if no process is at it any more, the command that began it goes on with it.</p>`}
    <${Lost} link=${link} /></section>`;
}
