// What the server is asked: JSON, errors with a remedy, and a small store of answers that never change.

import { useEffect, useState } from "./vendor/preact.js";
import { loaded } from "./lazy.js";

/** @typedef {{error: string, message: string, remedy?: string, status: number}} Fault */
/** @template T @typedef {{data: T|undefined, fault: Fault|undefined, slow: number, again: () => void}} Asked */

const KEPT = 120;
const SLOW = 2; // seconds after which a wait says what it waits for
/** @type {Map<string, any>} */
const kept = new Map();

/** What an exported file carries: answers by their paths. @returns {Record<string, any>|undefined} */
export const carried = () => /** @type {any} */ (globalThis).symposiaData;

/** An answer that is at hand: one that the file carries, or one that was kept. @param {string|null} path */
function held(path) {
  const data = carried();
  if (path === null || !data) return path === null ? undefined : kept.get(path);
  return loaded()?.answerOf(data, path);
}

/** The same while a page is drawn: what cannot be answered is said when it is asked for. @param {string|null} path */
function atHand(path) {
  try {
    return held(path);
  } catch {
    return undefined;
  }
}

/**
 * @param {string} path under `/api`
 * @param {{signal?: AbortSignal, text?: boolean, body?: any, keep?: boolean}} [how] `keep` an answer that never changes; a `body` is posted
 * @returns {Promise<any>}
 */
export async function ask(path, how = {}) {
  const known = how.body === undefined ? held(path) : undefined;
  if (known !== undefined) return known;
  if (carried()) throw fault("NotInThisFile", "this was not exported", "open the run on the server that has it", 404);
  const sent = how.body === undefined
    ? { signal: how.signal }
    : { method: "POST", headers: { "Content-Type": "application/json", "X-Symposia": "1" }, body: JSON.stringify(how.body) };
  let response;
  try {
    response = await fetch(`api${path}`, { credentials: "same-origin", ...sent });
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw fault("ConnectionLost", "the server does not answer", "start it with `symposia serve`, then try again", 0);
  }
  if (!response.ok) throw await refusal(response);
  const answer = how.text ? await response.text() : await response.json();
  if (how.keep) keep(path, answer);
  return answer;
}

/** @param {string} path @param {any} answer */
function keep(path, answer) {
  kept.set(path, answer);
  if (kept.size > KEPT) kept.delete(/** @type {string} */ (kept.keys().next().value));
}

/** What a refused request was refused for. @param {Response} response @returns {Promise<Fault>} */
export async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  const said = body && typeof body.error === "object" && body.error ? body.error : body;
  const name = typeof said.error === "string" ? said.error : said.code || said.type || `HTTP ${response.status}`;
  return fault(String(name), String(said.message ?? response.statusText ?? ""), said.remedy ? String(said.remedy) : "", response.status);
}

/** @param {string} error @param {string} message @param {string} remedy @param {number} status @returns {Fault} */
function fault(error, message, remedy, status) {
  return { error, message, remedy, status };
}

/**
 * An answer for a component, asked again when the path changes; `null` asks for nothing.
 * @param {string|null} path @param {{text?: boolean, every?: number, keep?: boolean}} [how] `every` asks again after so many seconds
 * @returns {Asked<any>}
 */
export function useAsked(path, how = {}) {
  const [got, setGot] = useState(/** @type {any} */ ({ path: null }));
  const [round, setRound] = useState(0);
  const [slow, setSlow] = useState(0);
  useEffect(() => {
    if (path === null) return undefined;
    const stop = new AbortController();
    const started = Date.now();
    setSlow(0);
    const clock = setInterval(() => setSlow(Math.round((Date.now() - started) / 1000)), SLOW * 1000);
    ask(path, { signal: stop.signal, text: how.text, keep: how.keep })
      .then((data) => setGot({ path, data }), (said) => stop.signal.aborted || setGot((/** @type {any} */ last) => ({ path, data: last.path === path ? last.data : undefined, fault: asFault(said) })))
      .finally(() => clearInterval(clock));
    return () => {
      stop.abort();
      clearInterval(clock);
    };
  }, [path, round]);
  useEffect(() => {
    if (!how.every || path === null) return undefined;
    const timer = setInterval(() => document.hidden || setRound((n) => n + 1), how.every * 1000);
    return () => clearInterval(timer);
  }, [path, how.every]);
  const fresh = got.path === path;
  return { data: fresh ? got.data : atHand(path), fault: fresh ? got.fault : undefined, slow, again: () => setRound((n) => n + 1) };
}

/** @param {any} said @returns {Fault} */
function asFault(said) {
  return said && typeof said.status === "number" ? said : fault("PageError", String(said?.message ?? said), "", 0);
}
