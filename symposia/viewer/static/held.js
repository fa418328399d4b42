// What a file carries, asked as the server is: answers by their paths, and what follows from them: states, filters, searches.

const AROUND = 60; // characters on each side of what a search finds
const HITS = 200;
const TERM = /\s*(-?)(?:(state\.(?:"[^"]*"|[\p{L}\p{N}_.]+)|[\p{L}\p{N}_]+)(>=|<=|:|=|>|<))?("(?:[^"]*)"|\S*)/gu;
const OF_STATES = /(?:^|\s)-?(?:state\.|changed[:=])/;
const MOVES = ["wrong-right", "right-wrong", "wrong-wrong", "changed", "held"];
const NUMBERS = ["calls", "cost", "tokens", "seconds", "round", "rounds"];
const CELLS = ["right_right", "right_wrong", "wrong_right", "wrong_wrong", "all"];
/** @type {Record<string, (a: number, b: number) => boolean>} */
const SIGNS = { ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b };
/** @type {Record<string, boolean|null>} */
const VERDICTS = { yes: true, right: true, true: true, no: false, wrong: false, false: false, unknown: null, none: null };
/** @type {Record<string, (row: any) => any>} */
const FIELDS = {
  status: (r) => r.status, method: (r) => r.method, run: (r) => r.run, row: (r) => r.row, answer: (r) => r.answer, stop: (r) => r.stop,
  error: (r) => r.error?.name, node: (r) => r.error?.node, calls: (r) => r.calls, cost: (r) => r.cost, tokens: (r) => r.tokens,
  seconds: (r) => r.seconds, round: (r) => r.rounds, rounds: (r) => r.rounds, correct: (r) => r.correct,
};

/** @param {Record<string, any>} data @param {string} path @returns {any} undefined where the file does not know */
export function answerOf(data, path) {
  if (Object.hasOwn(data, path)) return data[path];
  const at = path.indexOf("?");
  const [base, query] = at < 0 ? [path, ""] : [path.slice(0, at), path.slice(at + 1)];
  const call = /^\/runs\/[^/]+\/calls\/./.test(base) ? decodeURIComponent(base) : ""; // a node may have any name, and its calls with it
  if (Object.hasOwn(data, call)) return data[call];
  const q = new URLSearchParams(query).get("q") ?? "";
  const state = /^(\/runs\/[^/]+)\/state\/(\d+)$/.exec(base);
  const searched = /^(\/runs\/[^/]+)\/search$/.exec(base);
  if (state && Object.hasOwn(data, state[1])) return rebuilt(data, state[1], Number(state[2]));
  if (searched && Object.hasOwn(data, searched[1])) return hits(data, searched[1], q);
  if (base.endsWith("/rows") && Object.hasOwn(data, base)) return filtered(data, base, q);
  return base === "/compare" ? crossed(data, new URLSearchParams(query)) : undefined;
}

/** The rows that a filter keeps; when it keeps none, the term that removed the last. @param {Record<string, any>} data @param {string} base @param {string} q */
function filtered(data, base, q) {
  let items = data[base].items;
  let removed = null;
  for (const { term, test } of testsOf(q, data[base].keys)) {
    const before = items.length;
    items = items.filter(test);
    if (before && !items.length) removed = { term, before };
  }
  const states = OF_STATES.test(q) ? (data[base.replace(/rows$/, "facets")]?.states ?? null) : null;
  return { ...data[base], items, total: items.length, removed_by: removed, states };
}

/** The rows of a cell of two batches, joined as the server joins them. @param {Record<string, any>} data @param {URLSearchParams} query */
function crossed(data, query) {
  const [a, b, which] = ["a", "b", "rows"].map((name) => query.get(name) ?? "");
  const found = data[`/compare?a=${a}&b=${b}`];
  if (which === found?.which) return found;
  const sides = [a, b].map((id) => data[`/batches/${id}/rows`]?.items);
  // Without references it cannot be said which rows have the same in both.
  const blind = data["/export"]?.without?.includes("references") && (which !== "all" || found?.other_reference);
  if (!found || !sides[0] || !sides[1] || !CELLS.includes(which) || blind) return undefined;
  const [left, right] = sides.map((rows) => new Map(rows.map((/** @type {any} */ r) => [`${r.repeat || 1} ${r.row ?? "None"}`, r])));
  const said = (/** @type {any} */ r) => ({ true: "right", false: "wrong" })[String(r.correct)] ?? "unknown";
  const told = (/** @type {any} */ r) => ({ run: r.run, status: r.status, answer: r.answer ?? null, correct: r.correct ?? null });
  const rows = [];
  for (const [key, one] of left) {
    const two = right.get(key);
    if (!two || JSON.stringify(one.reference) !== JSON.stringify(two.reference) || (which !== "all" && which !== `${said(one)}_${said(two)}`)) continue;
    rows.push({ row: String(one.row ?? "None"), repeat: one.repeat || 1, reference: one.reference ?? null, question: one.question ?? null, a: told(one), b: told(two) });
  }
  return { ...found, which, rows, total: rows.length };
}

/** The state after a step, from what the steps wrote. @param {Record<string, any>} data @param {string} run @param {number} last */
function rebuilt(data, run, last) {
  const state = new Map(Object.entries(data[`${run}/state/0`]?.state ?? data[run].input ?? {}));
  for (const step of data[run].steps) {
    if (step.n > last) break;
    for (const w of data[`${run}/steps/${step.n}`]?.wrote ?? []) state.set(w.key, w.op === "append" ? [...(state.get(w.key) ?? []).slice(0, w.at), ...w.value] : w.value);
  }
  const order = Object.keys(data[`/methods/${data[run].run.method}`]?.schemas?.state?.properties ?? {});
  const rank = (/** @type {string} */ key) => (order.includes(key) ? order.indexOf(key) : order.length);
  return { n: last, from: "file", state: Object.fromEntries([...state].sort(([a], [b]) => rank(a) - rank(b))) };
}

/** What a filter asks of a row, as the server reads it. @param {string} q @param {string[]|null|undefined} keys of the states that the file holds, where not all @returns {{term: string, test: (row: any) => boolean}[]} */
function testsOf(q, keys) {
  return [...q.matchAll(TERM)].filter(([, , key, , value]) => key || value).map(([term, minus, key, sign, value]) => {
    const test = key ? tested(key, sign, value, keys) : worded(value);
    return { term: term.trim(), test: minus ? (/** @type {any} */ row) => !test(row) : test };
  });
}

/** @param {string} message @param {string} [remedy] */
const refused = (message, remedy = "open the batch on the server that has it") => ({ error: "BadInput", message, remedy, status: 400 });

/** @param {any} value @param {string} one @returns {boolean} */
function matches(value, one) {
  if (value === null || value === undefined) return one === "none";
  if (typeof value === "number") return one.trim() !== "" && value === Number(one);
  return (typeof value === "boolean" ? (value ? "yes" : "no") : String(value).toLowerCase()) === one.toLowerCase();
}

/** What the last state of a row says under a key; a row whose state is not known does not pass. @param {string} name @param {string} sign @param {string[]} wanted @returns {(row: any) => boolean} */
function stated(name, sign, wanted) {
  const get = (/** @type {any} */ row) => (Object.hasOwn(row.state, name) ? row.state[name] : null);
  if (!Object.hasOwn(SIGNS, sign)) return (row) => Boolean(row.state) && wanted.some((one) => matches(get(row), one));
  if (Number.isNaN(Number(wanted[0]))) throw refused(`state.${name}${sign}${wanted[0]}: that is no number`, `such as state.${name}>=2`);
  return (row) => Boolean(row.state) && ["number", "boolean"].includes(typeof get(row)) && SIGNS[sign](Number(get(row)), Number(wanted[0]));
}

/** @param {string} key @param {string} sign @param {string} value @param {string[]|null|undefined} keys @returns {(row: any) => boolean} */
function tested(key, sign, value, keys) {
  const wanted = (/^".*"$/.test(value) ? [value.slice(1, -1)] : value.split(",")).map((one) => one.replaceAll('"', ""));
  if (key === "visited") return (row) => wanted.some((node) => Object.hasOwn(row.visited ?? {}, node));
  const name = key.startsWith("state.") ? key.slice("state.".length).replaceAll('"', "") : "";
  if (name && keys && !keys.includes(name)) throw refused(`this file has no room for ${key}`);
  if (name) return stated(name, sign, wanted);
  if (key === "changed") {
    for (const one of wanted) if (!MOVES.includes(one)) throw refused(`there is no change of answer ${one}`, `there are ${MOVES.join(", ")}`);
    return (row) => wanted.some((one) => Boolean(row.moves?.[one]));
  }
  if (!Object.hasOwn(FIELDS, key)) throw refused(`a file cannot filter by ${key}`);
  const get = FIELDS[key];
  if (NUMBERS.includes(key) && wanted.some((one) => one.trim() === "" || Number.isNaN(Number(one)))) throw refused(`${key}${sign}${value}: that is no number`, "such as cost>0.01 or round>=2");
  if (key === "correct" && !wanted.every((one) => Object.hasOwn(VERDICTS, one.toLowerCase()))) throw refused(`${key}${sign}${value}: that is no verdict`, "correct:yes, correct:no or correct:unknown");
  if (key === "correct") return (row) => wanted.some((one) => VERDICTS[one.toLowerCase()] === (row.correct ?? null));
  if (Object.hasOwn(SIGNS, sign)) return (row) => get(row) !== null && get(row) !== undefined && SIGNS[sign](get(row), Number(wanted[0]));
  return (row) => wanted.some((one) => matches(get(row), one));
}

/** @param {string} value @returns {(row: any) => boolean} */
function worded(value) {
  const wanted = value.replaceAll('"', "").toLowerCase();
  return (row) => ["run", "row", "question", "answer", "reference"].some((key) => String(row[key] ?? "").toLowerCase().includes(wanted));
}

/** Where a text stands in the calls and steps of a run. @param {Record<string, any>} data @param {string} run @param {string} wanted */
function hits(data, run, wanted) {
  /** @type {any[]} */
  const found = [];
  let total = 0;
  const look = (/** @type {any} */ address, /** @type {any} */ value) => {
    if (value && typeof value === "object" && typeof value.$text !== "string") for (const item of Object.values(value)) look(address, item);
    const text = typeof value === "string" ? value : typeof value?.$text === "string" ? String(data[`${run}/text/${value.$text}`] ?? value.head) : "";
    const at = text.toLowerCase().indexOf(wanted.toLowerCase());
    if (at < 0) return;
    total += 1;
    if (found.length < HITS) found.push({ ...address, head: text.slice(Math.max(0, at - AROUND), at + wanted.length + AROUND), at });
  };
  for (const step of data[run].steps) for (const w of data[`${run}/steps/${step.n}`]?.wrote ?? []) look({ in: "state", step: step.n, key: w.key }, w.value);
  for (const line of data[`${run}/calls`]?.items ?? []) {
    const call = data[`${run}/calls/${line.place}`];
    for (const m of call?.request?.messages ?? []) look({ in: "prompt", step: line.step, place: line.place }, m.content);
    for (const c of call?.outcome?.value?.choices ?? [call?.outcome?.error?.message ?? call?.outcome?.value]) look({ in: "reply", step: line.step, place: line.place }, typeof c === "object" ? c?.text : c);
  }
  return { items: found, next: null, total };
}
