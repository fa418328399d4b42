// The page: an address, the view it names, and the keys that work everywhere.

import { html, render, useEffect, useErrorBoundary, useState } from "./vendor/preact.js";
import { ask, carried, useAsked } from "./api.js";
import { Toys, Trouble, toClipboard } from "./parts.js";
import { lazy } from "./lazy.js";
import { useRoute } from "./route.js";
import { short } from "./words.js";
import { Help } from "./views/help.js";
import { Run } from "./views/run.js";
import { Runs } from "./views/runs.js";

const waits = () => html`<main class="list"></main>`;
const [Batch, Batches, Compare] = ["Batch", "Batches", "Compare"].map((name) => lazy(name, waits));

/** What a key does; views listen for `symposia-key`, from layout effects, so that no key meets what was drawn before. @type {Record<string, string>} */
const KEYS = {
  j: "down", ArrowDown: "down", k: "up", ArrowUp: "up", n: "call-next", p: "call-before", "[": "round-before", "]": "round-after",
  t: "turning", x: "failure", g: "graph", s: "state", f: "fork", c: "compare", e: "export", a: "answer", End: "newest", Enter: "open", Escape: "back",
};

/** @param {EventTarget|null} target */
const isField = (target) => target instanceof HTMLElement && (target.matches("input, textarea, select") || target.isContentEditable || target.closest("dialog[open]") !== null);

function App() {
  const route = useRoute();
  const [help, setHelp] = useState(false);
  const [told, setTold] = useState("");
  const file = carried()?.["/export"];
  const session = useAsked(file ? null : "/session");
  useEffect(() => {
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (isField(event.target)) {
        if (event.key === "Escape") /** @type {HTMLElement} */ (event.target).blur();
        return;
      }
      const onControl = event.target instanceof Element && event.target.closest("a, button, summary, [role=button]") !== null;
      if (event.key === "Enter" && onControl) return;
      if (event.key === "?") setHelp(true);
      else if (event.key === "/") {
        event.preventDefault();
        document.getElementById("find")?.focus();
      } else if (event.key === "y") {
        toClipboard(location.href).then(() => setTold("Link copied."), () => setTold("The browser forbids copying."));
        setTimeout(() => setTold(""), 2500);
      } else if (Object.hasOwn(KEYS, event.key)) {
        if (event.key.startsWith("Arrow") || event.key === "a") event.preventDefault(); // the letter would be typed into the form
        dispatchEvent(new CustomEvent("symposia-key", { detail: KEYS[event.key] }));
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  return html`<${Top} file=${file} onHelp=${() => setHelp(true)} version=${session.data?.version} />
    ${!file && !session.data && !session.fault ? null : session.data?.key === "needed" ? html`<${KeyForm} onOpen=${() => location.reload()} />` : html`<${Shown} key=${`${route.view} ${route.id}`} route=${route} />`}
    <${Help} open=${help} onClose=${() => setHelp(false)} />
    <div class="told" role="status" aria-live="polite">${told}</div>`;
}

/** @param {{route: import("./route.js").Route}} props */
function Shown({ route }) {
  const [failed, again] = useErrorBoundary();
  if (failed) return html`<main class="list"><${Trouble} fault=${{ error: "PageError", message: String(failed.message ?? failed), remedy: "Load the page again; the command line shows the same: symposia show RUN", status: 0 }} again=${again} /></main>`;
  const views = { runs: Runs, run: Run, batches: Batches, batch: Batch, compare: Compare, unknown: Unknown };
  const View = views[route.view];
  return html`<${View} route=${route} />`;
}

/** @param {{onHelp: () => void, version?: string, file?: any}} props */
function Top({ onHelp, version, file }) {
  const help = html`<span class="grow"></span><button class="quiet" onClick=${onHelp}>Keys <kbd>?</kbd></button>`;
  if (file) return html`<nav class="top" aria-label="Main"><a class="brand" href=${file.start}>Symposia</a><span class="dim">a file of ${new Date(1000 * file.made).toLocaleDateString()}, version ${file.version}${file.models?.length ? `, ${short(file.models.join(", "), 60)}` : ""}${file.without?.length ? `, without ${file.without.join(" and ")}` : ""}</span><${Toys} toys=${file.toys} />${help}</nav>`;
  return html`<nav class="top" aria-label="Main"><a class="brand" href="#/runs" title=${version ? `version ${version}` : ""}>Symposia</a><a href="#/runs">Runs</a><a href="#/batches">Batches</a>${help}</nav>`;
}

function Unknown() {
  return html`<main class="list"><h1>No such page</h1><p>This address names none. <a href="#/runs">The list of runs</a></p></main>`;
}

/** @param {{onOpen: () => void}} props */
function KeyForm({ onOpen }) {
  const [key, setKey] = useState("");
  const [fault, setFault] = useState(/** @type {any} */ (null));
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      await ask("/login", { body: { key }, text: true });
      onOpen();
    } catch (said) {
      setFault(said);
    }
  };
  return html`<main class="list"><form class="key-form" onSubmit=${send}><h1>This server asks for its key</h1>
    <label>Key <input type="password" autocomplete="current-password" value=${key} onInput=${(/** @type {any} */ e) => setKey(e.target.value)} /></label>
    <button class="main">Open</button>${fault && html`<${Trouble} fault=${fault} />`}</form></main>`;
}

/** What an exported file carries is packed; a page of the server has none. */
async function unpack() {
  const packed = document.getElementById("data")?.textContent;
  if (!packed) return;
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const data = JSON.parse(text);
  /** @type {any} */ (globalThis).symposiaData = data;
  if (!location.hash) history.replaceState(null, "", data["/export"].start);
}

unpack().then(() => {
  const home = /** @type {HTMLElement} */ (document.getElementById("app"));
  home.replaceChildren();
  render(html`<${App} />`, home);
});
