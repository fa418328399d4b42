// What a file carries, asked as the server is: answers by their paths, and what follows from them: states, filters, searches.

const AROUND = 60; // characters on each side of what a search finds
const HITS = 200;
const TERM = /\s*(-?)(?:(\w+)(>=|<=|:|=|>|<))?("(?:[^"]*)"|\S*)/g;
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
  const q = new URLSearchParams(query).get("q") ?? "";
  const state = /^(\/runs\/[^/]+)\/state\/(\d+)$/.exec(base);
  const searched = /^(\/runs\/[^/]+)\/search$/.exec(base);
  if (state && Object.hasOwn(data, state[1])) return rebuilt(data, state[1], Number(state[2]));
  if (searched && Object.hasOwn(data, searched[1])) return hits(data, searched[1], q);
  if (base.endsWith("/rows") && Object.hasOwn(data, base)) {
    const items = data[base].items.filter(kept(q));
    return { ...data[base], items, total: items.length };
  }
  return undefined;
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

/** Whether a row passes a filter, as the server reads it. @param {string} q @returns {(row: any) => boolean} */
function kept(q) {
  const tests = [...q.matchAll(TERM)].filter(([, , key, , value]) => key || value).map(([, minus, key, sign, value]) => {
    const test = key ? tested(key, sign, value) : worded(value);
    return minus ? (/** @type {any} */ row) => !test(row) : test;
  });
  return (row) => tests.every((test) => test(row));
}

/** @param {string} key @param {string} sign @param {string} value @returns {(row: any) => boolean} */
function tested(key, sign, value) {
  const wanted = (/^".*"$/.test(value) ? [value.slice(1, -1)] : value.split(",")).map((one) => one.replaceAll('"', ""));
  if (key === "visited") return (row) => wanted.some((node) => Object.hasOwn(row.visited ?? {}, node));
  if (!Object.hasOwn(FIELDS, key)) throw { error: "BadInput", message: `a file cannot filter by ${key}`, remedy: "open the batch on the server that has it", status: 400 };
  const get = FIELDS[key];
  if (key === "correct") return (row) => wanted.some((one) => VERDICTS[one] === (row.correct ?? null));
  /** @type {Record<string, (a: number, b: number) => boolean>} */
  const signs = { ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b };
  if (Object.hasOwn(signs, sign)) return (row) => get(row) !== null && get(row) !== undefined && signs[sign](get(row), Number(wanted[0]));
  return (row) => wanted.some((one) => (get(row) === null || get(row) === undefined ? one === "none" : String(get(row)).toLowerCase() === one.toLowerCase() || (typeof get(row) === "number" && get(row) === Number(one))));
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
