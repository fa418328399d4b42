// What is shown, as a file: a page that works from a disk, with or without prompts and references, JSON, the graph as SVG.

import { html, useLayoutEffect, useState } from "../vendor/preact.js";
import { carried } from "../api.js";
import { Copy, Plain } from "../parts.js";

const PARTS = ["prompts", "references"];

/**
 * @param {{path: string, command: string, graph?: boolean, note?: string}} props `path` under `/api` with its query, `command` what makes the same page
 */
export function Saves({ path, command, graph = false, note = "" }) {
  const [gone, setGone] = useState(/** @type {string[]} */ ([]));
  const without = gone.length ? `&without=${gone.join(",")}` : "";
  const to = (/** @type {string} */ form) => `api${path}${path.includes("?") ? "&" : "?"}as=${form}${form === "svg" ? "" : without}`;
  const line = `${command}${gone.length ? ` --without ${gone.join(",")}` : ""}`;
  useLayoutEffect(() => {
    const pressed = (/** @type {any} */ event) => event.detail === "export" && !carried() && location.assign(to("html"));
    addEventListener("symposia-key", pressed);
    return () => removeEventListener("symposia-key", pressed);
  });
  if (carried()) return null;
  const turned = (/** @type {string} */ part) => setGone(PARTS.filter((p) => gone.includes(p) !== (p === part)));
  return html`<details class="saves"><summary title="One HTML file that works from a disk (e)">export</summary><div class="saves-box">
    ${PARTS.map((part) => html`<label key=${part} class="choice"><input type="checkbox" checked=${!gone.includes(part)} onChange=${() => turned(part)} /> with ${part}</label>`)}
    <p class="bar"><a href=${to("html")} download>HTML file</a> <a href=${to("json")} download>JSON</a> ${graph && html`<a href=${to("svg")} download>graph as SVG</a>`}</p>
    ${note && html`<p class="dim">${note}</p>`}
    <p class="dim">the same page: <code><${Plain} text=${line} /></code> <${Copy} text=${line} label="copy" /></p></div></details>`;
}
