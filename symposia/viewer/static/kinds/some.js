// What the kinds share: lists of any length, answers in words and whether they are right, and what other steps wrote.

import { html, useEffect, useState } from "../vendor/preact.js";
import { ask, isSettled } from "../api.js";
import { Plain, Text } from "../parts.js";
import { count, figure, headOf, number, plain } from "../words.js";
import { Pretty } from "./pretty.js";

/** What a kind is given. @typedef {{value: any, state: any, name: string, run: string, hint?: any, page?: any, n?: number, from?: number, part?: boolean, pretty?: boolean}} Shown */

/** The first of many, and a button for more. @template T @param {T[]} items @param {number} most @param {string} one @param {string} [many] @returns {[T[], any]} */
export function useSome(items, most, one, many) {
  const [n, setN] = useState(most);
  return [items.slice(0, n), items.length > n && html`<button class="more" onClick=${() => setN(n + 2 * most)}>${number(n)} of ${count(items.length, one, many)}, show more</button>`];
}

/** A text of a model, as it is stored or made pretty. @param {{value: any, run: string, head?: number, pretty?: boolean}} props */
export const Prose = ({ value, run, head, pretty }) => html`<${Text} value=${value} run=${run} head=${head} as=${pretty ? Pretty : Plain} />`;

/** An answer in a word. @param {any} answer */
export const said = (answer) => (answer === null || answer === undefined ? "no answer" : typeof answer === "number" ? figure(answer) : plain(headOf(answer) ?? (typeof answer === "object" ? JSON.stringify(answer) : String(answer))));

/** @param {any} a @param {any} b */
export const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/** The part of a value that a hint names: of the state, by the name of its key. @param {any} state @param {any} hint @param {string} part @param {string} [usual] */
export function besides(state, hint, part, usual) {
  const key = hint?.keys?.[part] ?? usual;
  return key && state && Object.hasOwn(state, key) ? state[key] : undefined;
}

/** @param {any} value */
const asText = (value) => String(value).trim().toLowerCase().replace(/(\d),(?=\d{3})/g, "$1");

/** @param {string} a @param {string} b */
const alike = (a, b) => a === b || (a !== "" && Number(a) === Number(b));

/** Whether an answer is right, as the server says where it was asked; null where no reference is known. @param {any} page @returns {(answer: any) => boolean|null} */
export function judge(page) {
  const { reference, answer: last, correct } = page?.run ?? {};
  const right = Array.isArray(reference) ? reference : [reference];
  if (!right.length || right.some((one) => one === null || one === undefined || typeof one === "object")) return () => null;
  const judged = new Map((page.judged ?? []).map((/** @type {[any, boolean]} */ [answer, verdict]) => [JSON.stringify(answer), verdict]));
  return (answer) => {
    if (answer === null || answer === undefined) return false;
    if (typeof correct === "boolean" && same(answer, last)) return correct;
    const known = judged.get(JSON.stringify(answer));
    return known ?? right.some((one) => alike(asText(answer), asText(one)));
  };
}

/** The steps up to one in which something was written, by the names of what was. @param {any} page @param {number|undefined} n @param {string[]} keys */
export const writers = (page, n, keys) => (page?.steps ?? []).filter((/** @type {any} */ s) => n !== undefined && s.n <= n && (s.wrote ?? []).some((/** @type {any} */ w) => keys.includes(w.key)));

/** What some steps wrote; null until it is known. @param {string} run @param {number[]} steps @param {any} page @returns {any[]|null} */
export function useSteps(run, steps, page) {
  const keep = isSettled(page?.run);
  const wanted = steps.join();
  const [got, setGot] = useState(/** @type {any} */ ({}));
  useEffect(() => {
    let gone = false;
    const all = wanted ? wanted.split(",") : [];
    Promise.all(all.map((n) => ask(`/runs/${encodeURIComponent(run)}/steps/${n}`, { keep }))).then((data) => gone || setGot({ wanted, data }), () => gone || setGot({ wanted, data: [] }));
    return () => {
      gone = true;
    };
  }, [run, wanted, keep]);
  return got.wanted === wanted ? got.data : null;
}
