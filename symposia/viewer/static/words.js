// Numbers, times and texts as a reader wants them, and every sign of a text that would act instead of being read made visible.

/** C0 but tab and newline, DEL and C1, bidi controls, zero-width and tag characters, lone surrogates. */
const SIGNS =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Cs}/gu;

/** A text as parts: strings, and `{sign, code}` for what must not act. @param {string} text @returns {(string|{sign: string, code: string})[]} */
export function visible(text) {
  const parts = [];
  let last = 0;
  for (const found of text.matchAll(SIGNS)) {
    if (found.index > last) parts.push(text.slice(last, found.index));
    parts.push(sign(/** @type {number} */ (found[0].codePointAt(0))));
    last = found.index + found[0].length;
  }
  if (last < text.length || parts.length === 0) parts.push(text.slice(last));
  return parts;
}

/** Names of C0, since few fonts have their pictures. */
const C0 = "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US".split(" ");

/** @param {number} code */
function sign(code) {
  const name = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  return { sign: C0[code] ?? (code === 0x7f ? "DEL" : name), code: name };
}

/** The same as one plain string, for labels and titles. @param {unknown} value */
export function plain(value) {
  return visible(typeof value === "string" ? value : String(value)).map((p) => (typeof p === "string" ? p : p.sign)).join("");
}

/** One line of at most `most` characters. @param {unknown} value @param {number} [most] */
export function short(value, most = 120) {
  const text = plain(String(value).slice(0, most * 4)).replace(/\s+/g, " ").trim();
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** @param {unknown} value */
export function number(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return plain(value ?? "–");
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1000 ? value.toLocaleString("en", { maximumFractionDigits: 1 }) : String(Number(value.toPrecision(size < 1 ? 3 : 4)));
}

/** A number as an answer: with its digits, since two answers that differ must not look alike, and without signs between thousands. @param {unknown} value */
export const figure = (value) => (typeof value === "number" ? String(Number(value.toPrecision(12))) : plain(value));

/** Whether a text of a list, whose middle the server may have cut out, stands for a whole one. @param {string} cut @param {string} whole */
export function standsFor(cut, whole) {
  const [head, ...rest] = cut.split(" ... ");
  return cut === whole || (rest.length > 0 && whole.startsWith(head) && whole.endsWith(rest[rest.length - 1]));
}

/** What would have been right, of several known answers all; nothing where it cannot be said in a line, as of tests. @param {any} reference */
export function expected(reference) {
  const known = Array.isArray(reference) ? reference : [reference];
  return known.length > 0 && known.every((one) => one !== null && one !== undefined && typeof one !== "object") ? known.map(figure).join(" or ") : "";
}

/** @param {unknown} value dollars */
export function dollars(value) {
  if (typeof value !== "number") return "–";
  return value === 0 ? "$0" : value < 0.01 ? `$${value.toPrecision(2)}` : `$${value.toFixed(value < 1 ? 3 : 2)}`;
}

/** @param {unknown} ms milliseconds */
export function duration(ms) {
  if (typeof ms !== "number") return "–";
  if (ms < 1000) return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  return seconds < 90 ? `${Number(seconds.toPrecision(3))} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** How long ago. @param {unknown} when an ISO time or seconds since 1970 */
export function age(when) {
  const then = typeof when === "number" ? when * 1000 : Date.parse(String(when));
  if (Number.isNaN(then)) return "";
  const seconds = Math.max(0, (Date.now() - then) / 1000);
  const [size, unit] = seconds < 60 ? [1, "s"] : seconds < 3600 ? [60, "min"] : seconds < 86400 ? [3600, "h"] : [86400, "d"];
  return seconds < 5 ? "now" : `${Math.floor(seconds / Number(size))} ${unit}`;
}

/** `1 call`, `2 calls`. @param {number} n @param {string} one @param {string} [many] */
export function count(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}

/** What a value is: `8 items`, `text, 1,204 characters`. @param {any} value */
export function sizeOf(value) {
  if (value === null || value === undefined) return "none";
  if (isThin(value)) return `text, ${count(value.len, "character")}`;
  if (Array.isArray(value)) return count(value.length, "item");
  if (typeof value === "object") return count(Object.keys(value).length, "key");
  return typeof value === "string" ? (value.length > 40 ? `text, ${count(value.length, "character")}` : "text") : typeof value;
}

/** A long text that stands elsewhere. @param {any} value @returns {value is {$text: string, len: number, head: string}} */
export function isThin(value) {
  return value !== null && typeof value === "object" && typeof value.$text === "string" && typeof value.len === "number";
}

/** A text, or the head of one that stands elsewhere; null for anything else. @param {any} value */
export function headOf(value) {
  return typeof value === "string" ? value : isThin(value) ? String(value.head) : null;
}
