// Views that the list of runs does without: their script is loaded when one of them is first shown.

import { html, useEffect, useState } from "./vendor/preact.js";

/** @type {Promise<Record<string, any>>|undefined} */
let loading;

/** What was loaded: views by their names. @returns {Record<string, any>|undefined} */
export const loaded = () => /** @type {any} */ (globalThis).symposiaLater;

function load() {
  loading ??= import(new URL("later.js", document.baseURI).href).then(() => loaded() ?? {});
  loading.catch(() => (loading = undefined));
  return loading;
}

/** Begins to load what a run's page needs while its data is on the way. */
export function preload() {
  if (!loaded()) load().catch(() => {}); // whoever needs it says so
}

/** A view by its name; `waits` stands where it will be. @param {string} name @param {() => any} [waits] */
export function lazy(name, waits = () => null) {
  return (/** @type {any} */ props) => {
    const [View, setView] = useState(() => loaded()?.[name]);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (!View) load().then((views) => setView(() => views[name]), () => setFailed(true));
    }, [failed]);
    if (failed) return html`<p class="trouble" role="alert">A part of the page could not be loaded. <button onClick=${() => setFailed(false)}>Try again</button></p>`;
    return View ? html`<${View} ...${props} />` : waits();
  };
}
