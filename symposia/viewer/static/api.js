// What the server is asked: JSON, errors with a remedy, and a small store of answers that never change.

import { useEffect, useRef, useState } from "./vendor/preact.js";
import { loaded } from "./lazy.js";

/** @typedef {{error: string, message: string, remedy?: string, status: number}} Fault */
/** @template T @typedef {{data: T|undefined, fault: Fault|undefined, slow: number, again: () => void}} Asked */

const KEPT = 120;
const SLOW = 2; // seconds after which a wait says what it waits for
/** @type {Map<string, any>} */
const kept = new Map();

/** What an exported file carries: answers by their paths. @returns {Record<string, any>|undefined} */
export const carried = () => /** @type {any} */ (globalThis).symposiaData;

/** Whether what a run's endpoints answer is final: one that failed, was stopped or waits can be gone on with. @param {any} run */
export const isSettled = (run) => ["ok", "no_answer"].includes(run?.status);

/** An answer that is at hand: one that the file carries, or one that was kept. @param {string|null} path @param {string} [version] */
function held(path, version = "") {
  const data = carried();
  if (path === null || !data) return path === null ? undefined : kept.get(`${path} ${version}`);
  return loaded()?.answerOf(data, path);
}

/** The same while a page is drawn: what cannot be answered is said when it is asked for. @param {string|null} path @param {string} [version] */
function atHand(path, version) {
  try {
    return held(path, version);
  } catch {
    return undefined;
  }
}

/**
 * @param {string} path under `/api`
 * @param {{signal?: AbortSignal, text?: boolean, body?: any, keep?: boolean, version?: string}} [how] `keep` an answer that never changes, or not of this `version` of what is asked about; a `body` is posted
 * @returns {Promise<any>}
 */
export async function ask(path, how = {}) {
  const known = how.body === undefined ? held(path, how.version) : undefined;
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
  if (how.keep) keep(`${path} ${how.version ?? ""}`, answer);
  return answer;
}

/** @param {string} key @param {any} answer */
function keep(key, answer) {
  kept.set(key, answer);
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
 * An answer for a component, asked again when the path or the version changes; `null` asks for nothing.
 * @param {string|null} path
 * @param {{text?: boolean, every?: number, keep?: boolean, version?: string}} [how] `every` asks again after so many seconds; neither that nor a new `version` drops a request that is out
 * @returns {Asked<any>}
 */
export function useAsked(path, how = {}) {
  const [got, setGot] = useState(/** @type {any} */ ({ path: null }));
  const [round, setRound] = useState(0);
  const [slow, setSlow] = useState(0);
  const last = useRef({ out: false, version: how.version }).current;
  useEffect(() => {
    if (path === null) return undefined;
    const stop = new AbortController();
    const started = Date.now();
    Object.assign(last, { out: true, version: how.version });
    setSlow(0);
    const clock = setInterval(() => setSlow(Math.round((Date.now() - started) / 1000)), SLOW * 1000);
    ask(path, { signal: stop.signal, text: how.text, keep: how.keep, version: how.version })
      .then((data) => () => ({ path, data }), (said) => (/** @type {any} */ old) => ({ path, data: old.path === path ? old.data : undefined, fault: asFault(said) }))
      .then((next) => {
        clearInterval(clock);
        if (stop.signal.aborted) return;
        last.out = false;
        setGot(next);
      });
    return () => {
      last.out = false;
      stop.abort();
      clearInterval(clock);
    };
  }, [path, round]);
  useEffect(() => {
    if (path !== null && !last.out && last.version !== how.version) setRound((n) => n + 1);
  }, [path, how.version, got]);
  useEffect(() => {
    if (!how.every || path === null) return undefined;
    const timer = setInterval(() => document.hidden || last.out || setRound((n) => n + 1), how.every * 1000);
    return () => clearInterval(timer);
  }, [path, how.every]);
  const fresh = got.path === path;
  return { data: fresh ? got.data : atHand(path, how.version), fault: fresh ? got.fault : undefined, slow, again: () => setRound((n) => n + 1) };
}

/** @param {any} said @returns {Fault} */
function asFault(said) {
  return said && typeof said.status === "number" ? said : fault("PageError", String(said?.message ?? said), "", 0);
}
