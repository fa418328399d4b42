// Terms of a typed filter: read, written, put in and taken out.

/** The terms of a filter, values in quotes whole. @param {string} q @returns {string[]} */
export const termsOf = (q) => q.match(/-?(?:(?:state\."[^"]*"|[\p{L}\p{N}_.]+)(?:>=|<=|[:=><]))?(?:"[^"]*"|\S+)/gu) ?? [];

/** A key of a state as a term has it: in quotes where it holds other signs than names do. @param {string} key */
const quoted = (key) => (/^state\.(?![\w.]+$)/.test(key) ? `state."${key.slice("state.".length)}"` : key);

/** @param {string} key @param {any} value */
export const termOf = (key, value) => `${quoted(key)}:${typeof value === "boolean" ? (value ? "yes" : "no") : /[\s",]/.test(String(value)) ? `"${String(value).replaceAll('"', "")}"` : (value ?? "none")}`;

/** @param {string} term */
const keyOf = (term) => /^-?(state\."[^"]*"|[\p{L}\p{N}_.]+)(?:>=|<=|[:=><])/u.exec(term)?.[1] ?? term;

/** A filter with a term in place of that with the same key, or without it where it stands there already. @param {string} q @param {string} term */
export function toggled(q, term) {
  const terms = termsOf(q);
  return (terms.includes(term) ? terms.filter((t) => t !== term) : [...terms.filter((t) => keyOf(t) !== keyOf(term)), term]).join(" ");
}
