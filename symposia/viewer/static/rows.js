// A list of any length with one tab stop: only the rows in sight are in the page.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact.js";

const BESIDE = 10; // rows kept ready above and below what is in sight

/**
 * @param {{
 *   rows: any[], selected: number, label: string, height: number, row: (item: any, index: number) => any,
 *   onSelect: (index: number) => void, onOpen?: (index: number) => void, id: string, classOf?: (item: any) => string,
 *   narrow?: number,
 * }} props `height` of a row in rem, `narrow` on a small screen; `id` is unique in the page
 */
export function Rows({ rows, selected, label, height: wide, narrow = wide, row, onSelect, onOpen, id, classOf }) {
  const box = useRef(/** @type {any} */ (null));
  const [range, setRange] = useState([0, 40]);
  const small = useMatch("(max-width: 43.75em)");
  const height = small ? narrow : wide;
  const unit = height * parseFloat(getComputedStyle(document.documentElement).fontSize);

  useLayoutEffect(() => {
    const measure = () => {
      if (!box.current) return;
      const inner = box.current.firstElementChild.getBoundingClientRect();
      const outer = box.current.getBoundingClientRect();
      const top = Math.max(0, outer.top);
      const first = Math.max(0, Math.floor((top - inner.top) / unit) - BESIDE);
      const last = Math.max(first + 1, Math.ceil((Math.min(innerHeight, outer.bottom) - inner.top) / unit) + BESIDE); // also of a list below what is in sight
      setRange((old) => (old[0] === first && old[1] === last ? old : [first, last]));
    };
    measure();
    addEventListener("scroll", measure, { capture: true, passive: true });
    addEventListener("resize", measure);
    return () => {
      removeEventListener("scroll", measure, { capture: true });
      removeEventListener("resize", measure);
    };
  }, [rows.length, unit]);

  useEffect(() => {
    if (!box.current || selected < 0) return;
    const outer = box.current;
    const top = selected * unit;
    if (outer.scrollHeight <= outer.clientHeight + 1) {
      const rect = outer.firstElementChild.getBoundingClientRect();
      if (rect.top + top < 0 || rect.top + top + unit > innerHeight) scrollBy(0, rect.top + top - innerHeight / 3);
    } else if (top < outer.scrollTop || top + unit > outer.scrollTop + outer.clientHeight) {
      outer.scrollTop = top - outer.clientHeight / 3;
    }
  }, [selected, rows.length]);

  const pressed = (/** @type {KeyboardEvent} */ event) => {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -rows.length, End: rows.length };
    const by = moves[/** @type {keyof typeof moves} */ (event.key)];
    if (by !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      onSelect(Math.max(0, Math.min(rows.length - 1, selected + by)));
    } else if (event.key === "Enter" && onOpen && selected >= 0) {
      event.preventDefault();
      event.stopPropagation();
      onOpen(selected);
    }
  };

  const [first, last] = [Math.min(range[0], Math.max(0, rows.length - 1)), Math.min(range[1], rows.length)];
  const here = selected >= first && selected < last ? `${id}-${selected}` : undefined;
  return html`<div class="rows" role="listbox" tabindex="0" aria-label=${label} aria-activedescendant=${here} ref=${box} onKeyDown=${pressed}>
    <div class="rows-all" role="presentation" style=${{ height: `${rows.length * height}rem` }}>
      ${rows.slice(first, last).map((item, n) => {
        const at = first + n;
        return html`<div
          key=${at} id=${`${id}-${at}`} role="option" aria-selected=${at === selected} aria-setsize=${rows.length} aria-posinset=${at + 1}
          class=${`row ${at === selected ? "on" : ""} ${classOf ? classOf(item) : ""}`} style=${{ top: `${at * height}rem`, height: `${height}rem` }}
          onClick=${() => (onOpen ?? onSelect)(at)}
        >${row(item, at)}</div>`;
      })}
    </div>
  </div>`;
}

/** Whether a media query holds now. @param {string} query */
export function useMatch(query) {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const changed = () => setHolds(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, [query]);
  return holds;
}
