// A step that goes on: which of its calls are done.

import { html, useEffect, useRef } from "../vendor/preact.js";
import { useAsked } from "../api.js";
import { Plain } from "../parts.js";
import { CallList } from "./calls.js";
import { useCalls } from "./live.js";
import { nameOf } from "./steps.js";

/** @param {{page: any, step: any, news: any}} props */
export function OpenStep({ page, step, news }) {
  const id = page.run.run_id;
  const asked = useAsked(`/runs/${encodeURIComponent(id)}/calls?step=${step.n}`);
  const known = useRef(/** @type {any[]} */ ([]));
  if (asked.data) known.current = asked.data.items;
  useEffect(() => {
    if (asked.data) asked.again();
  }, [page.seq]);
  const calls = useCalls(known.current, news.calls, step.n);
  return html`<header class="detail-head"><h2>Step ${step.n} · <${Plain} text=${nameOf(step)} /></h2><b><${Plain} text=${step.source === "open" ? step.summary || "goes on" : ""} /></b>${step.source !== "open" && html`<span class="dim">has ended; its state is being rebuilt</span>`}</header>
    ${calls.length ? html`<${CallList} calls=${calls} id=${id} n=${step.n} steps=${page.steps} query="" />` : html`<section class="calls"><h3>Calls</h3><p class="dim">${step.source === "open" ? "none has ended yet" : "none in this step"}</p></section>`}`;
}
