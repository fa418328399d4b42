// What a run asks a person, and a form for the answer, made from what the question says of it.

import { html, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { ask } from "../api.js";
import { Json } from "../kinds/json.js";
import { Plain, Text, Trouble } from "../parts.js";
import { plain, short } from "../words.js";

/** @typedef {{kind: "text"|"choice"|"number"|"fields"|"json", choices?: any[], fields?: [string, any][], whole?: boolean}} Form */

const SIMPLE = ["string", "number", "integer", "boolean"];
const MANY = 50; // choices; more are typed

/** What kind of answer a schema asks for. @param {any} schema JSON Schema, or nothing @param {any} [choices] @returns {Form} */
export function formOf(schema, choices) {
  const listed = choices ?? schema?.enum;
  if (Array.isArray(listed) && listed.length > 0 && listed.length <= MANY && listed.every((c) => c === null || typeof c !== "object")) return { kind: "choice", choices: listed };
  if (schema?.type === "boolean") return { kind: "choice", choices: [true, false] };
  if (schema?.type === "number" || schema?.type === "integer") return { kind: "number", whole: schema.type === "integer" };
  const fields = schema?.type === "object" && schema.properties ? /** @type {[string, any][]} */ (Object.entries(schema.properties)) : [];
  if (fields.length && fields.every(([, s]) => SIMPLE.includes(s?.type) || Array.isArray(s?.enum))) return { kind: "fields", fields };
  return schema === undefined || schema === null || schema.type === "string" ? { kind: "text" } : { kind: "json" };
}

/** What was typed into a field, which may be called like anything. @param {any} typed @param {string} name */
const own = (typed, name) => (typed && Object.hasOwn(typed, name) ? typed[name] : undefined);

/** What was typed, as a value. @param {Form} form @param {any} typed @param {any} schema @returns {any} */
export function valueOf(form, typed, schema) {
  if (form.kind === "number") {
    const n = Number(typed);
    if (String(typed ?? "").trim() === "" || !Number.isFinite(n) || (form.whole && !Number.isInteger(n))) throw new Error(`a ${form.whole ? "whole " : ""}number is wanted, not “${short(typed ?? "", 40)}”`);
    return n;
  }
  if (form.kind === "choice" && typed === undefined) throw new Error("choose one first");
  if (form.kind === "fields") {
    const needed = schema.required ?? [];
    const filled = /** @type {[string, any][]} */ (form.fields).filter(([name]) => needed.includes(name) || ![undefined, ""].includes(own(typed, name)));
    return Object.fromEntries(filled.map(([name, inner]) => {
      try {
        return [name, valueOf(formOf(inner), own(typed, name), inner)];
      } catch (said) {
        throw new Error(`${plain(name)}: ${/** @type {Error} */ (said).message}`);
      }
    }));
  }
  if (form.kind !== "json") return typed ?? "";
  try {
    return JSON.parse(typed ?? "");
  } catch (said) {
    throw new Error(`this is no JSON: ${/** @type {Error} */ (said).message}`);
  }
}

/** Where a run waits: what an answer says that it is for, since somebody else may have answered meanwhile. @param {any} waiting */
export const waitsAt = (waiting) => waiting?.ask?.place ?? waiting?.step;

/** @param {{run: any, onSent: () => void}} props */
export function Answer({ run, onSent }) {
  const { ask: asked, next, step } = run.waiting;
  const schema = asked?.schema;
  const [raw, setRaw] = useState(false);
  const form = raw ? /** @type {Form} */ ({ kind: "json" }) : formOf(schema, asked?.choices ?? asked?.options);
  const [typed, setTyped] = useState(/** @type {any} */ (asked ? asked.default ?? schema?.default : "{}"));
  const [fault, setFault] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const box = useRef(/** @type {any} */ (null));
  useLayoutEffect(() => {
    const pressed = (/** @type {any} */ e) => e.detail === "answer" && box.current?.querySelector("textarea, input:not([type=checkbox]), .main").focus();
    addEventListener("symposia-key", pressed);
    return () => removeEventListener("symposia-key", pressed);
  }, []);
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setFault(null);
    try {
      const given = asked ? { answer: valueOf(form, typed, schema) } : { set: valueOf({ kind: "json" }, typed || "{}", null) };
      setBusy(true);
      await ask(`/runs/${encodeURIComponent(run.run_id)}/answer`, { body: { ...given, at: waitsAt(run.waiting) } });
      onSent();
    } catch (said) {
      const found = /** @type {any} */ (said);
      setFault(typeof found.status === "number" ? found : { error: "Not sent", message: found.message });
      setBusy(false);
    }
  };
  const pressed = (/** @type {KeyboardEvent} */ e) => e.key === "Enter" && (e.ctrlKey || e.metaKey) && send(e);
  const question = asked && ["question", "message", "prompt"].map((key) => asked[key]).find((q) => typeof q === "string");
  const rest = asked ? Object.fromEntries(Object.entries(asked).filter(([key, value]) => !["place", "schema", "choices", "options", "default"].includes(key) && value !== question)) : {};
  return html`<form class="asks" ref=${box} onSubmit=${send} onKeyDown=${pressed} aria-label="What the run asks">
    <p><b class="doubt">! needs you</b> ${asked ? html`after step ${step}` : html`paused after step ${step}, before <b><${Plain} text=${(next ?? []).join(", ")} /></b>`} <kbd>a</kbd></p>
    ${question && html`<${Text} value=${question} />`}
    ${Object.keys(rest).length > 0 && html`<${Json} value=${rest} run=${run.run_id} />`}
    ${asked ? html`<${Field} name="answer" label="Your answer" form=${form} value=${typed} onValue=${setTyped} />`
      : html`<details><summary>change the state first</summary><${Field} name="set" label="Keys to set, as JSON" form=${{ kind: "json" }} value=${typed} onValue=${setTyped} /></details>`}
    <div class="bar"><button class="main" disabled=${busy}>${asked ? "Send" : "Go on"}</button><span class="dim"><kbd>Ctrl</kbd> <kbd>Enter</kbd></span>
      ${asked && (raw || form.kind !== "json") && html`<label class="dim"><input type="checkbox" checked=${raw} onChange=${(/** @type {any} */ e) => { setRaw(e.target.checked); setTyped(undefined); }} /> as JSON</label>`}</div>
    ${fault && html`<${Trouble} fault=${fault} />`}
  </form>`;
}

/** One field, or one for each property. @param {{name: string, label: string, form: Form, value: any, onValue: (value: any) => void}} props */
function Field({ name, label, form, value, onValue }) {
  if (form.kind === "fields") return html`<fieldset><legend>${plain(label)}</legend>${/** @type {[string, any][]} */ (form.fields).map(([key, inner]) => html`<${Field} key=${key} name=${`${name}.${key}`} label=${inner.title ?? key} form=${formOf(inner)} value=${own(value, key)} onValue=${(/** @type {any} */ v) => onValue({ ...value, [key]: v })} />`)}</fieldset>`;
  if (form.kind === "choice") {
    return html`<fieldset><legend>${plain(label)}</legend>${/** @type {any[]} */ (form.choices).map((choice, n) => html`<label key=${n}><input type="radio" name=${name} checked=${value === choice} onChange=${() => onValue(choice)} /> ${choice === true ? "yes" : choice === false ? "no" : plain(String(choice))}</label>`)}</fieldset>`;
  }
  const typed = (/** @type {any} */ e) => onValue(e.target.value);
  return html`<label>${plain(label)} ${form.kind === "number" ? html`<input inputmode="decimal" value=${value ?? ""} onInput=${typed} />` : html`<textarea rows=${form.kind === "json" ? 4 : 2} class=${form.kind === "json" ? "mono" : ""} spellcheck=${form.kind === "text"} value=${value ?? ""} onInput=${typed}></textarea>`}</label>`;
}
