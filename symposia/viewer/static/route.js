// Addresses: everything that can be linked to stands in the hash, so a link is the same on a server, behind a prefix and in a file.

import { useLayoutEffect, useState } from "./vendor/preact.js";

/**
 * @typedef {object} Route
 * @property {"runs"|"run"|"batches"|"batch"|"compare"|"unknown"} view
 * @property {string} id run or batch
 * @property {string} place a step (`8`) or the journal's place of a call (`8.refine.b3`); for compare the second run
 * @property {URLSearchParams} query
 */

/** @param {string} hash @returns {Route} */
export function parse(hash) {
  const [path, query = ""] = split(hash.replace(/^#\/?/, ""), "?");
  const [view, id = "", ...rest] = path.split("/");
  const known = ["runs", "batches", "compare"];
  const name = view === "" ? "runs" : known.includes(view) ? view : "unknown";
  const named = id !== "" && name === "runs" ? "run" : id !== "" && name === "batches" ? "batch" : name;
  return { view: /** @type {Route["view"]} */ (named), id: decoded(id), place: decoded(rest.join("/")), query: new URLSearchParams(query) };
}

/** @param {string} text @param {string} mark */
function split(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The hash of a run, or of a step or call in it. @param {string} id @param {string|number} [place] @param {URLSearchParams|string} [query] */
export function runHash(id, place = "", query = "") {
  const asked = String(query);
  const at = String(place).split("/").map(encodeURIComponent).join("/");
  return `#/runs/${encodeURIComponent(id)}${at ? `/${at}` : ""}${asked ? `?${asked}` : ""}`;
}

/** @param {string} hash @param {{replace?: boolean}} [how] `replace` keeps the entry of the history, as for a filter being typed */
export function go(hash, how = {}) {
  if (how.replace) {
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = hash;
  }
}

/** The same address with some of its query changed; an empty value takes a name out. @param {Record<string, string>} changes */
export function withQuery(changes) {
  const [path, query = ""] = split(location.hash || "#/", "?");
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  return next.size ? `${path}?${next}` : path;
}

let listed = "";

/** The list, or the comparison, that was looked at last. */
export const lastList = () => listed;

/** @returns {Route} */
export function useRoute() {
  const [hash, setHash] = useState(location.hash);
  useLayoutEffect(() => { // an address may change before the first picture of the page is painted
    const changed = () => setHash(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  const route = parse(hash);
  if (route.view !== "run" && route.view !== "unknown") listed = hash;
  return route;
}

/** The step of a place: `8` of `8.refine.b3`, and of `8.suite.s0/2.vote`. @param {string} place */
export function stepOf(place) {
  const found = /^(-?\d+)/.exec(place);
  return found ? Number(found[1]) : null;
}
