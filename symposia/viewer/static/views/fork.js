// A fork: what to change after a step, and what that would buy, said before the click.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { ask, isSettled, useAsked } from "../api.js";
import { Diff } from "../kinds/diff.js";
import { nameOf, wholly } from "../kinds/json.js";
import { Copy, Plain, Tag, Trouble, Waiting } from "../parts.js";
import { go } from "../route.js";
import { count, dollars, isThin, number, plain, short } from "../words.js";

const HIDDEN = ["model", "roles", "prompts", "sampling", "artefact"]; // parameters with a place of their own, or with none in a form
const EDITED = 200_000; // characters of a value that a form takes
const PAUSE = 400; // milliseconds after the last key until the bill is asked for

/** @typedef {{roles: Record<string, string>, params: Record<string, string>, prompts: Record<string, string>, set: Record<string, string>}} Draft */

/** @type {() => Draft} */
const nothing = () => ({ roles: {}, params: {}, prompts: {}, set: {} });

/** A text of the form as a value: JSON where it is some, else the text. @param {string} text */
function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** @param {Draft} draft @param {number} at */
function bodyOf(draft, at) {
  const values = (/** @type {Record<string, string>} */ part, /** @type {(t: string) => any} */ as) => Object.fromEntries(Object.entries(part).filter(([, text]) => text.trim() !== "").map(([key, text]) => [key, as(text)]));
  const whole = { at, roles: values(draft.roles, (t) => (t.includes(",") ? t.split(",").map((m) => m.trim()) : t.trim())), params: values(draft.params, valueOf), prompts: values(draft.prompts, (t) => t), set: values(draft.set, valueOf) };
  return Object.fromEntries(Object.entries(whole).filter(([, part]) => typeof part === "number" || Object.keys(part).length));
}

/** @param {{page: any, method: any, at: number, open: boolean, onClose: () => void}} props */
export function Fork({ page, method, at, open, onClose }) {
  const box = useRef(/** @type {any} */ (null));
  useEffect(() => {
    if (open && box.current && !box.current.open) box.current.showModal();
    if (!open && box.current?.open) box.current.close();
  }, [open]);
  return html`<dialog class="fork" ref=${box} aria-label="Fork" onClose=${onClose}>${open && html`<${Form} page=${page} method=${method} at=${at} onClose=${onClose} />`}</dialog>`;
}

/** @param {{page: any, method: any, at: number, onClose: () => void}} props */
function Form({ page, method, at, onClose }) {
  const id = page.run.run_id;
  const [draft, setDraft] = useState(nothing);
  const [bill, setBill] = useState(/** @type {any} */ ({}));
  const [busy, setBusy] = useState(false);
  const body = useMemo(() => bodyOf(draft, at), [draft, at]);
  const path = `/runs/${encodeURIComponent(id)}/fork`;
  useEffect(() => {
    let dropped = false;
    const timer = setTimeout(() => {
      ask(`${path}?dry=1`, { body }).then((said) => dropped || setBill({ said }), (fault) => dropped || setBill({ fault }));
    }, PAUSE);
    return () => {
      dropped = true;
      clearTimeout(timer);
    };
  }, [body]);
  const set = (/** @type {keyof Draft} */ part) => (/** @type {string} */ key) => (/** @type {any} */ event) => {
    const value = event.target.value;
    setBill({});
    setDraft((/** @type {Draft} */ old) => ({ ...old, [part]: { ...old[part], [key]: value } }));
  };
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const made = await ask(path, { body });
      onClose();
      go(`#/compare/${encodeURIComponent(id)}/${encodeURIComponent(made.run_id)}`);
    } catch (fault) {
      setBill({ fault });
      setBusy(false);
    }
  };
  return html`<form onSubmit=${send}><h2>Fork <span class="mono dim">${id}</span> after step ${at}</h2>
    <div class="fork-parts"><${Roles} page=${page} method=${method} draft=${draft} set=${set("roles")} /><${Params} page=${page} method=${method} draft=${draft} set=${set("params")} /></div>
    <${Prompts} page=${page} method=${method} draft=${draft} set=${set("prompts")} /><${State} run=${page.run} at=${at} draft=${draft} set=${set("set")} />
    <${Bill} bill=${bill} />
    <div class="bar"><button class="main" disabled=${busy || !bill.said}>${busy ? "starting …" : "Fork"}</button><button type="button" onClick=${onClose}>Cancel</button></div></form>`;
}

/** @param {any} props */
function Roles({ page, method, draft, set }) {
  const params = page.params ?? {};
  return html`<fieldset><legend>Model of a role</legend>${(method?.roles ?? []).map((/** @type {string} */ role, /** @type {number} */ n) => html`<label key=${role}><span>${plain(role)}</span>
    <input value=${draft.roles[role] ?? ""} autofocus=${n === 0} placeholder=${String([params.roles?.[role] ?? params.model ?? ""].flat().join(", "))} onInput=${set(role)} spellcheck="false" autocomplete="off" /></label>`)}</fieldset>`;
}

/** @param {any} props */
function Params({ page, method, draft, set }) {
  const known = Object.entries(method?.schemas?.params?.properties ?? {}).filter(([key]) => !HIDDEN.includes(key));
  return html`<fieldset><legend>Parameters</legend>${known.map(([key, schema]) => {
    const usual = /** @type {any} */ (schema).default ?? null; // of what a record leaves out where it is the default
    const [now, choices] = [JSON.stringify(key in (page.params ?? {}) ? page.params[key] : usual), choicesOf(schema)];
    return html`<label key=${key} title=${plain(/** @type {any} */ (schema).description ?? "")}><span>${plain(key)}</span>
      ${choices ? html`<select class="menu" value=${draft.params[key] ?? ""} onChange=${set(key)}><option value="">${plain(now)}</option>${choices.filter((c) => JSON.stringify(c) !== now).map((c) => html`<option key=${c} value=${JSON.stringify(c)}>${plain(JSON.stringify(c))}</option>`)}</select>`
        : html`<input value=${draft.params[key] ?? ""} placeholder=${now} onInput=${set(key)} spellcheck="false" autocomplete="off" />`}</label>`;
  })}</fieldset>`;
}

/** The values that a parameter may have, where they are few. @param {any} schema @returns {any[]|null} */
const choicesOf = (schema) => (schema.type === "boolean" ? [true, false] : Array.isArray(schema.enum) ? schema.enum : null);

/** @param {any} props */
function Prompts({ page, method, draft, set }) {
  const prompts = Object.entries(method?.prompts ?? {});
  if (!prompts.length) return null;
  return html`<details><summary>Prompts <span class="dim">${prompts.length}; the edited ones live in the fork's record only</span></summary>${prompts.map(([role, usual]) => html`<${Template} key=${role} role=${role} usual=${usual} own=${page.params?.prompts?.[role]} id=${page.run.run_id} typed=${draft.prompts[role]} onInput=${set(role)} />`)}</details>`;
}

/** A template, and what it has that the method's own has not. @param {{role: string, usual: string, own: any, id: string, typed?: string, onInput: (event: any) => void}} props */
function Template({ role, usual, own, id, typed, onInput }) {
  const long = useAsked(isThin(own) ? `/runs/${encodeURIComponent(id)}/text/${own.$text}` : null, { text: true, keep: true });
  const now = typed ?? (isThin(own) ? long.data : own ?? usual);
  if (now === undefined) return html`<${Waiting} asked=${long} what=${`the prompt of ${plain(role)}`} />`;
  return html`<label class="tall"><span>${plain(role)}</span><textarea rows="5" spellcheck="false" value=${now} onInput=${onInput}></textarea></label>
    ${now !== usual && html`<details open><summary class="dim">against the method's</summary><${Diff} before=${usual} after=${now} mono=${true} /></details>`}`;
}

/** @param {any} props */
function State({ run, at, draft, set }) {
  const id = run.run_id;
  const [shown, setShown] = useState(false);
  const asked = useAsked(shown ? `/runs/${encodeURIComponent(id)}/state/${at}` : null, { keep: isSettled(run) });
  const keys = Object.entries(asked.data?.state ?? {}).filter(([key]) => !["params", "messages"].includes(key));
  return html`<details onToggle=${(/** @type {any} */ e) => setShown(e.target.open)}><summary>State after step ${at}</summary>
    ${shown && !asked.data && html`<${Waiting} asked=${asked} what="the state" />`}
    ${keys.map(([key, value]) => html`<${Part} key=${key} name=${nameOf(key)} value=${value} id=${id} at=${at} typed=${draft.set[nameOf(key)]} onText=${(/** @type {string} */ text) => set(nameOf(key))({ target: { value: text } })} />`)}</details>`;
}

/** A key of the state: as it is, or as JSON to edit. @param {{name: string, value: any, id: string, at: number, typed?: string, onText: (text: string) => void}} props */
function Part({ name, value, id, at, typed, onText }) {
  const [said, setSaid] = useState("");
  const edit = async () => {
    try {
      const text = JSON.stringify(await wholly(value, id), null, 2);
      if (text.length > EDITED) setSaid(`${count(text.length, "character")}, too many for a form: symposia fork ${id} --at ${at} --set ${name}=@FILE`);
      else onText(text);
    } catch (fault) {
      setSaid(/** @type {any} */ (fault).message);
    }
  };
  if (typed === undefined) return html`<div class="tall part"><span><${Plain} text=${name} /></span><span class="cut dim">${short(JSON.stringify(value), 200)}</span><button type="button" aria-label=${`edit ${plain(name)}`} onClick=${edit}>edit</button>${said && html`<span class="doubt">${plain(said)}</span>`}</div>`;
  return html`<label class="tall"><span>${plain(name)}</span><textarea rows=${Math.min(12, typed.split("\n").length + 1)} class="mono" spellcheck="false" value=${typed} onInput=${(/** @type {any} */ e) => onText(e.target.value)}></textarea></label>`;
}

/** What the fork reuses and buys. @param {{bill: any}} props */
function Bill({ bill }) {
  if (bill.fault) return html`<${Trouble} fault=${bill.fault} />`;
  if (!bill.said) return html`<p class="bill dim" role="status">Reckoning what this would buy …</p>`;
  const b = bill.said;
  const most = b.at_most === null ? "no bound is known" : `at most ${number(b.at_most)}`;
  const cost = b.cost?.certain === null || b.cost?.certain === undefined ? "price not known" : `about ${dollars(b.cost.certain)}${b.cost.at_most === null ? "" : `, at most ${dollars(b.cost.at_most)}`}`;
  return html`<div class="bill" role="status"><p><b>Bill:</b> ${count(b.reused, "call")} reused · new: <b>${number(b.certain)} certain, ${most}</b> · ${cost}${b.ends ? " · it ends without buying anything" : ""}</p>
    ${(b.models ?? []).filter((/** @type {any} */ m) => m.known === false || m.key === false).map((/** @type {any} */ m) => html`<p key=${m.model}><${Tag} tone="doubt"><${Plain} text=${String(m.model)} />: ${m.known === false ? "an unknown model" : "no key is set for its provider"}<//></p>`)}
    <p class="dim">equals <code><${Plain} text=${String(b.command ?? "")} /></code> <${Copy} text=${String(b.command ?? "")} label="copy" /></p></div>`;
}
