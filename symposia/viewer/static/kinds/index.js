// Which kind shows a value: what the reader chose, else the method's hint, else the shape, else the tree that shows anything.

import { html, useErrorBoundary } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { plain } from "../words.js";
import { go, withQuery } from "../route.js";
import { arms } from "./arms.js";
import { dialogue } from "./dialogue.js";
import { Json } from "./json.js";
import { people } from "./people.js";
import { code, labels, messages, numbers, single, table, text } from "./plain.js";
import { rewards } from "./rewards.js";
import { review, rounds } from "./rounds.js";
import { tests } from "./tests.js";
import { plan, tree } from "./tree.js";
import { votes } from "./votes.js";

/**
 * @typedef {object} Kind
 * @property {string} name
 * @property {(value: any, name: string, state: any, hint?: any) => boolean} fits `hint` is given where the method's hint names this kind
 * @property {(props: any) => any} View
 * @property {"now"|"later"} [reach] it needs the state after the step too, or that at the end of the run
 * @property {(value: any, name: string, hint?: any) => boolean} [looks] whether it may fit once that state is known
 * @property {boolean} [prose] it shows texts that can be made pretty
 */

/** In this order a shape is tried. @type {Kind[]} */
const KINDS = [votes, arms, rewards, review, people, rounds, dialogue, tests, plan, tree, messages, labels, code, table, text, numbers, single];

/** @type {Kind} */
const fallback = { name: "tree of keys", fits: () => true, View: ({ value, run, name }) => html`<${Json} value=${value} run=${run} path=${name} />` };

const PRETTY = "as.:texts"; // in the address, where no key of a state can stand

/** @param {Kind} kind @param {any} value @param {string} name @param {any} state @param {any} hint */
function fitting(kind, value, name, state, hint) {
  try {
    return kind.fits(value, name, state, hint?.kind === kind.name ? hint : undefined);
  } catch {
    return false;
  }
}

/** @param {any} value @param {string} name @param {any} state @param {any} hint @param {string|null} [wanted] @returns {{kind: Kind, why: "chosen"|"hint"|"guess"|""}} */
export function kindOf(value, name, state, hint, wanted) {
  const fits = (/** @type {Kind} */ k) => fitting(k, value, name, state, hint);
  if (wanted) return { kind: KINDS.find((k) => k.name === wanted && fits(k)) ?? fallback, why: "chosen" };
  const hinted = hint && KINDS.find((k) => k.name === hint.kind);
  if (hinted) return fits(hinted) ? { kind: hinted, why: "hint" } : { kind: single.fits(value, name, state) ? single : fallback, why: "" };
  const guessed = KINDS.find(fits);
  return guessed ? { kind: guessed, why: [single, numbers, text].includes(guessed) ? "" : "guess" } : { kind: fallback, why: "" };
}

/** Which state a value needs beside itself to be shown. @param {any} value @param {string} name @param {any} hint @returns {"now"|"later"|""} */
export function reaches(value, name, hint) {
  const kind = KINDS.find((k) => {
    if (hint && k.name !== hint.kind) return false;
    try {
      return k.looks ? k.looks(value, name, hint) : k.fits(value, name, {}, hint);
    } catch {
      return false;
    }
  });
  return kind?.reach ?? "";
}

/**
 * A key of the state with its value, in the kind that fits, and a menu of the others.
 * @param {{name: string, value: any, state: any, run: string, page: any, n: number, query: URLSearchParams, from?: number, note?: string, hint?: any}} props
 */
export function Value(props) {
  const { name, value, state, hint, note, query } = props;
  const { kind, why } = kindOf(value, name, state, hint, query.get(`as.${name}`));
  const others = [...KINDS.filter((k) => k === kind || fitting(k, value, name, state, hint)), fallback];
  const simple = kind === single || kind === numbers;
  const pretty = query.get(PRETTY) === "pretty";
  const change = (/** @type {string} */ key, /** @type {string} */ to) => go(withQuery({ [key]: to }), { replace: true });
  return html`<section class=${simple ? "value simple" : "value"} aria-label=${plain(name)}>
    <header><h4><${Plain} text=${name} /></h4>${note && html`<span class="dim">${note}</span>`}
      ${!simple && html`<span class="as">${kind.prose && html`<button class="quiet" aria-pressed=${pretty} title="Headings, lists, code and bold of texts" onClick=${() => change(PRETTY, pretty ? "" : "pretty")}>${pretty ? "✓ pretty" : "pretty"}</button>`}
        <label title=${why === "guess" ? "Guessed from the shape of the value" : "How this value is shown"}><span class="dim">as</span>
        <select aria-label=${`Show ${plain(name)} as`} value=${kind.name} onChange=${(/** @type {any} */ e) => change(`as.${name}`, e.target.value)}>
          ${others.map((k) => html`<option key=${k.name} value=${k.name}>${k.name}${k === kind && why === "guess" ? " (a guess)" : ""}</option>`)}
        </select></label></span>`}</header>
    <${Guarded} key=${kind.name} kind=${kind} ...${props} hint=${hint?.kind === kind.name ? hint : undefined} pretty=${pretty} />
  </section>`;
}

/** A kind that fails gives way to the tree. @param {any} props */
function Guarded({ kind, ...rest }) {
  const [failed] = useErrorBoundary();
  const { View } = failed ? fallback : kind;
  return html`${failed && html`<p class="dim">This value could not be shown as ${kind.name}.</p>`}<${View} ...${rest} />`;
}
