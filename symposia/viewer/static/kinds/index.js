// Which kind shows a value: what the reader chose, else the method's hint, else the shape, else the tree that shows anything.

import { html, useErrorBoundary } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { plain } from "../words.js";
import { Json } from "./json.js";
import { code, labels, messages, single, table, text } from "./plain.js";
import { rewards } from "./rewards.js";
import { review, rounds } from "./rounds.js";
import { tests } from "./tests.js";
import { tree } from "./tree.js";
import { votes } from "./votes.js";

/**
 * @typedef {object} Kind
 * @property {string} name
 * @property {(value: any, name: string, state: any) => boolean} fits
 * @property {(props: any) => any} View
 * @property {"now"|"later"} [reach] it needs the state after the step too, or that at the end of the run
 * @property {(value: any, name: string) => boolean} [looks] whether it may fit once that state is known
 */

/** In this order a shape is tried. @type {Kind[]} */
const KINDS = [votes, rewards, review, rounds, tests, tree, messages, labels, code, table, text, single];

/** @type {Kind} */
const fallback = { name: "tree of keys", fits: () => true, View: ({ value, run, name }) => html`<${Json} value=${value} run=${run} path=${name} />` };

/** @param {Kind} kind @param {any} value @param {string} name @param {any} state */
function fitting(kind, value, name, state) {
  try {
    return kind.fits(value, name, state);
  } catch {
    return false;
  }
}

/** @param {any} value @param {string} name @param {any} state @param {any} hint @param {string|null} [wanted] @returns {{kind: Kind, why: "chosen"|"hint"|"guess"|""}} */
export function kindOf(value, name, state, hint, wanted) {
  if (wanted) return { kind: KINDS.find((k) => k.name === wanted && fitting(k, value, name, state)) ?? fallback, why: "chosen" };
  const hinted = hint && KINDS.find((k) => k.name === (HINTS[hint.kind] ?? hint.kind) && fitting(k, value, name, state));
  if (hinted) return { kind: hinted, why: "hint" };
  const guessed = KINDS.find((kind) => fitting(kind, value, name, state));
  return guessed ? { kind: guessed, why: guessed === single || guessed === text ? "" : "guess" } : { kind: fallback, why: "" };
}

/** Which state a value needs beside itself to be shown. @param {any} value @param {string} name @param {any} hint @returns {"now"|"later"|""} */
export function reaches(value, name, hint) {
  const wanted = hint && (HINTS[hint.kind] ?? hint.kind);
  const kind = KINDS.find((k) => (wanted ? k.name === wanted : true) && (k.looks ? k.looks(value, name) : fitting(k, value, name, {})));
  return kind?.reach ?? "";
}

/** Kinds of a hint that are drawn by another of ours. @type {Record<string, string>} */
const HINTS = { dialogue: "rounds", plan: "tree", number: "value" };

/**
 * A key of the state with its value, in the kind that fits, and a menu of the others.
 * @param {{name: string, value: any, state: any, run: string, from?: number, note?: string, hint?: any, wanted?: string|null, onKind: (kind: string) => void, before?: any, reference?: any}} props
 */
export function Value(props) {
  const { name, value, state, hint, wanted, note, onKind } = props;
  const { kind, why } = kindOf(value, name, state, hint, wanted);
  const others = [...KINDS.filter((k) => k === kind || fitting(k, value, name, state)), fallback];
  const simple = kind === single;
  return html`<section class=${simple ? "value simple" : "value"} aria-label=${plain(name)}>
    <header><h4><${Plain} text=${name} /></h4>${note && html`<span class="dim">${note}</span>`}
      ${!simple && html`<label class="as" title=${why === "guess" ? "Guessed from the shape of the value" : "How this value is shown"}><span class="dim">as</span>
        <select aria-label=${`Show ${plain(name)} as`} value=${kind.name} onChange=${(/** @type {any} */ e) => onKind(e.target.value)}>
          ${others.map((k) => html`<option key=${k.name} value=${k.name}>${k.name}${k === kind && why === "guess" ? " (a guess)" : ""}</option>`)}
        </select></label>`}</header>
    <${Guarded} key=${kind.name} kind=${kind} ...${props} />
  </section>`;
}

/** A kind that fails gives way to the tree. @param {any} props */
function Guarded({ kind, ...rest }) {
  const [failed] = useErrorBoundary();
  const { View } = failed ? fallback : kind;
  return html`${failed && html`<p class="dim">This value could not be shown as ${kind.name}.</p>`}<${View} ...${rest} />`;
}
