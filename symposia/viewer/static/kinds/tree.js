// Trees and plans: why this branch. An indented list with value, visits, the chosen path and the reason why a branch ended.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { Plain } from "../parts.js";
import { count, headOf, isThin, number, plain, short } from "../words.js";
import { besides, judge, said } from "./some.js";
import { kinOf, rowsOf, twigs } from "./twigs.js";

const OPEN = 3; // levels open from the start
const FEW = 24; // nodes of a tree that is open as a whole
const ROWS = 50; // nodes that show at once
const STEPS = 40; // of a node that is open
const LONG = 2000; // characters of one

/** A value of a node, which is no answer. @param {any} value */
const worded = (value) => (typeof value === "number" ? number(value) : said(value));

/** @param {any} text */
const lengthOf = (text) => (isThin(text) ? text.len : String(text).length);

/** @typedef {import("./twigs.js").Twig} Twig */
/** What is told of a node. @typedef {{who?: any, value?: any, label?: string, visits?: any, ended?: any, text?: any, steps?: any[], rest: [string, any][]}} Told */

/** @param {import("./some.js").Shown} props */
function View({ value: given, state, hint, page }) {
  const value = treeOf(given, state, hint);
  const all = useMemo(() => twigs(value, hint?.fields?.parent) ?? [], [value]);
  const { kin, by } = useMemo(() => kinOf(all), [all]);
  const chosen = useMemo(() => pathOf(by, all, state, hint), [all, state]);
  const tell = useMemo(() => teller(state, hint, judge(page)), [state, hint, page]);
  const [turned, setTurned] = useState(/** @type {Map<string, boolean>} */ (new Map()));
  const [most, setMost] = useState(ROWS);
  const [at, setAt] = useState("");
  const [focus, setFocus] = useState(0);
  const box = useRef(/** @type {any} */ (null));
  const isOpen = (/** @type {Twig} */ t, /** @type {number} */ level) => turned.get(t.id) ?? (level < OPEN || all.length <= FEW || chosen.has(t.id));
  const rows = rowsOf(kin, isOpen, most + 1);
  const shown = rows.slice(0, most);
  const here = Math.max(0, shown.findIndex((r) => r.twig.id === at));
  useEffect(() => {
    if (focus) box.current?.querySelector("[tabindex='0']")?.focus();
  }, [focus]);
  const go = (/** @type {number} */ n) => {
    setAt(shown[Math.max(0, Math.min(shown.length - 1, n))].twig.id);
    setFocus((f) => f + 1);
  };
  const end = [...chosen][0];
  const isWide = (/** @type {any} */ row) => turned.get(row.twig.id) ?? row.twig.id === end;
  const turn = (/** @type {any} */ row, open = !(row.below ? isOpen(row.twig, row.level) : isWide(row))) => setTurned(new Map([...turned, [row.twig.id, open]]));
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    const row = shown[here];
    const open = isOpen(row.twig, row.level);
    /** @type {Record<string, () => void>} */
    const moves = {
      ArrowDown: () => go(here + 1), ArrowUp: () => go(here - 1), Home: () => go(0), End: () => go(shown.length - 1), Enter: () => turn(row), " ": () => turn(row),
      ArrowRight: () => (open || !row.below ? go(here + 1) : turn(row, true)),
      ArrowLeft: () => (open && row.below ? turn(row, false) : go(shown.findIndex((r) => r.twig.id === row.twig.parent))),
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    moves[event.key]();
  };
  const deepest = useMemo(() => rowsOf(kin, () => true, Infinity).reduce((deep, r) => Math.max(deep, r.level + 1), 0), [kin]);
  return html`<p class="says">${count(all.length, "node")}, ${count(deepest, "level")}${chosen.size ? html`; the chosen path is marked <b>◆</b>` : ""}</p>
    <ul class="twigs" role="tree" aria-label="Nodes" ref=${box} onKeyDown=${pressed}>${shown.map((row, n) => {
      const open = row.below > 0 && isOpen(row.twig, row.level);
      return html`<li key=${row.twig.id} role="treeitem" tabindex=${n === here ? 0 : -1} aria-level=${row.level + 1} aria-setsize=${row.of} aria-posinset=${row.at} aria-expanded=${row.below ? open : undefined}
        class=${chosen.has(row.twig.id) ? "chosen" : ""} style=${{ marginLeft: `${Math.min(row.level, 12) * 1.1}rem` }} onClick=${() => { setAt(row.twig.id); turn(row); }}>
        <${Line} row=${row} open=${open} chosen=${chosen.has(row.twig.id)} told=${tell(row.twig)} wide=${isWide(row)} /></li>`;
    })}</ul>${rows.length > most && html`<button class="more" onClick=${() => setMost(most + 2 * ROWS)}>${most} nodes shown, show more</button>`}`;
}

/** @param {{row: import("./twigs.js").Row, open: boolean, chosen: boolean, told: Told, wide: boolean}} props */
function Line({ row, open, chosen, told, wide }) {
  const { twig, below } = row;
  const facts = [
    told.who !== undefined && html`<span class="who">${short(said(told.who), 24)}</span>`,
    told.value !== undefined && html`<span>${told.label && html`<span class="dim">${short(told.label, 20)}</span> `}<b>${told.value}</b></span>`,
    told.visits !== undefined && html`<span><span class="dim">visits</span> ${worded(told.visits)}</span>`,
    ...told.rest.map(([key, v]) => html`<span><span class="dim">${short(key, 20)}</span> ${short(worded(v), 60)}</span>`),
    told.ended && html`<span class="ended">⊣ ${short(told.ended, 60)}</span>`,
    !open && below > 0 && html`<span class="dim">${count(below, "branch", "branches")} below</span>`,
  ];
  const text = headOf(told.text);
  return html`<span class="line"><span class="twist-mark" aria-hidden="true">${below ? (open ? "▾" : "▸") : "·"}</span>${chosen && html`<span title="on the chosen path">◆</span>`}<span class="mono">${short(twig.id, 40)}</span>${facts}
      ${told.steps && !wide && html`<span class="dim">${count(told.steps.length, "step")}</span>`}</span>
    ${text && html`<span class="twig-text"><${Plain} text=${wide ? text.slice(0, LONG) : short(text, 150)} />${wide && lengthOf(told.text) > LONG && html` <span class="dim">… ${number(LONG)} of ${count(lengthOf(told.text), "character")}</span>`}</span>`}
    ${told.steps && wide && html`<ol class="intents">${told.steps.slice(0, STEPS).map((s, n) => html`<li key=${n}><${Plain} text=${s.intent} /> ${s.symbols.length > 0 && html`<span class="mono dim">→ ${s.symbols.slice(0, 3).map((/** @type {string} */ w) => short(w, 60)).join(", ")}${s.symbols.length > 3 ? `, ${s.symbols.length - 3} more` : ""}</span>`}</li>`)}${told.steps.length > STEPS && html`<li class="dim">${STEPS} of ${count(told.steps.length, "step")}</li>`}</ol>`}`;
}

/** From what was chosen up to the root. @param {Map<string, Twig>} by @param {Twig[]} all @param {any} state @param {any} hint */
function pathOf(by, all, state, hint) {
  const named = hint?.keys?.chosen ? [state?.[hint.keys.chosen]] : ["best", "best_id", "chosen", "selected", "best_node"].map((k) => state?.[k]);
  const ids = named.map((v) => (Array.isArray(v) ? v[v.length - 1] : v)).filter((v) => (typeof v === "string" || typeof v === "number") && by.has(String(v)));
  /** @type {Set<string>} */
  const found = new Set();
  for (let at = ids.length ? by.get(String(ids[0])) : all.find((t) => t.facts.chosen === true); at && !found.has(at.id); at = by.get(at.parent ?? "")) found.add(at.id);
  return found;
}

/** How nodes are told of, by the names that a hint gives, else by what they hold. @param {any} state @param {any} hint @param {(answer: any) => boolean|null} right @returns {(twig: Twig) => Told} */
function teller(state, hint, right) {
  const f = hint?.fields ?? {};
  const own = (/** @type {any} */ facts, /** @type {string|undefined} */ field) => (field && Object.hasOwn(facts, field) && facts[field] !== null && facts[field] !== "" ? facts[field] : undefined);
  const [values, visited, waiting, ended] = ["values", "visited", "waiting", "ended"].map((part) => besides(state, hint, part));
  const order = new Map((Array.isArray(visited) ? visited : []).map((id, n) => [String(id), n + 1]));
  const left = new Set((Array.isArray(waiting) ? waiting : []).map(String));
  const skipped = ["id", "parent", "children", "level", "seq", ...Object.values(f)];
  return ({ id, facts }) => {
    const valued = values && typeof values === "object" && Object.hasOwn(values, id) ? values[id] : undefined;
    const worth = valued !== null && typeof valued === "object" ? own(valued, f.value ?? "value") : (valued ?? own(facts, f.value ?? (hint ? undefined : "value")));
    const steps = stepsOf(own(facts, f.steps ?? "steps"), f);
    const rest = hint ? [] : Object.entries(facts).filter(([key, v]) => !skipped.includes(key) && v !== null && ["number", "boolean", "string"].includes(typeof v) && v !== "" && (headOf(v) ?? "").length <= 40).slice(0, 5);
    const long = hint ? own(facts, f.text) : Object.entries(facts).map(([, v]) => v).find((v) => (headOf(v) ?? "").length > 40);
    const pruned = own(facts, f.pruned ?? "pruned");
    const turn = order.get(id);
    const plan = hint?.keys?.visited ? (turn ? `expanded as no. ${number(turn)}` : left.has(id) ? (typeof ended === "string" && !/searching|running/i.test(ended) ? `never expanded: ${ended.toLowerCase().replace(/_/g, " ")}` : "waits") : undefined) : undefined;
    return { who: own(facts, f.who), value: worth === undefined ? undefined : f.value === "answers" ? heldOf(worth, right) : worthOf(worth), label: f.value ?? "", visits: own(facts, f.visits ?? "visits"), ended: pruned === undefined || pruned === false ? undefined : pruned === true ? "pruned" : said(pruned), text: long, steps, rest: plan ? [["", plan], ...rest] : rest };
  };
}

/** Answers by who holds them, each with whether it is right. @param {any} held @param {(answer: any) => boolean|null} right */
function heldOf(held, right) {
  if (held === null || typeof held !== "object") return worthOf(held);
  return Object.entries(held).slice(0, 4).map(([who, answer], n) => {
    const verdict = answer === null || answer === undefined ? null : right(answer);
    return html`${n ? ", " : ""}<span class="dim">${plain(who)}</span> <span class=${verdict === null ? "" : verdict ? "good" : "bad"}>${verdict === null ? "" : verdict ? "✓ " : "✗ "}${answer === null || answer === undefined ? "–" : short(said(answer), 24)}</span>`;
  });
}

/** @param {any} worth */
const worthOf = (worth) => (worth !== null && typeof worth === "object" && headOf(worth) === null ? Object.entries(worth).slice(0, 4).map(([k, v]) => `${plain(k)} ${short(v === null ? "–" : worded(v), 24)}`).join(", ") : short(worded(worth), 40));

/** @param {any} steps @param {any} f @returns {{intent: string, symbols: string[]}[]|undefined} */
function stepsOf(steps, f) {
  if (!Array.isArray(steps)) return undefined;
  return steps.map((s) => {
    const symbols = s && Array.isArray(s[f.symbols ?? "symbols"]) ? s[f.symbols ?? "symbols"] : [];
    return { intent: headOf(s) ?? headOf(s?.[f.intent ?? "intent"]) ?? JSON.stringify(s ?? null), symbols: symbols.map((/** @type {any} */ w) => (typeof w === "string" ? w : String(w?.full_path ?? w?.name ?? JSON.stringify(w)))) };
  });
}

/** The tree itself, or where a hint says that it stands. @param {any} value @param {any} state @param {any} hint */
const treeOf = (value, state, hint) => (hint?.keys?.nodes ? besides(state, hint, "nodes") : value);

/** @type {import("./index.js").Kind["fits"]} */
const fits = (value, name, state, hint) => (twigs(treeOf(value, state, hint) ?? null, hint?.fields?.parent)?.length ?? 0) > 0;

/** @type {import("./index.js").Kind} */
export const tree = { name: "tree", reach: "now", fits, View };
/** @type {import("./index.js").Kind} */
export const plan = { name: "plan", reach: "now", looks: (value, name, hint) => Boolean(hint?.keys?.nodes) || plan.fits(value, name, {}, hint), fits: (value, name, state, hint) => fits(value, name, state, hint) && (twigs(treeOf(value, state, hint), hint?.fields?.parent) ?? []).some((t) => Array.isArray(t.facts[hint?.fields?.steps ?? "steps"])), View };
