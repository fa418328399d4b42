// A stream of the server's events, read with `fetch`: one per visible tab, taken up again where it broke off.

import { useEffect, useRef, useState } from "./vendor/preact.js";
import { refusal } from "./api.js";

/** @typedef {{kind: string, seq: number, data: any}} Told */
/** @typedef {{lost: number, wait: number, fault: import("./api.js").Fault|null}} Link `lost`: how often in a row it was tried in vain, `wait`: seconds until the next time */

const SEATS = 4; // streams of one browser at once: it has six connections to a server, and other requests need theirs
const APART = 2; // seconds between two looks of a tab without a seat
const SILENT = 40; // seconds without a byte after which a connection is dead; the server says something every 15
const DEAD = "silent";
const WAITS = [0.5, 1, 2, 4, 8, 15]; // seconds before each new try

/** @type {Link} */
const FINE = { lost: 0, wait: 0, fault: null };

/**
 * Follows events until the function that comes back is called.
 * @param {string} path under `/api` @param {number} after the sequence number from which on @param {(told: Told[]) => void} hear gets what came at once
 * @param {(link: Link) => void} tell how the connection is
 */
export function follow(path, after, hear, tell) {
  let [tries, ended] = [0, false];
  /** @type {AbortController|null} */
  let open = null;
  /** @type {any} */
  let timer;
  const later = (/** @type {number} */ seconds) => {
    clearTimeout(timer);
    if (!ended && !document.hidden) timer = setTimeout(attempt, 1000 * seconds);
  };
  const got = (/** @type {Told[]} */ told) => {
    if (tries) tell(FINE);
    tries = 0;
    if (!told.length) return;
    after = Math.max(after, ...told.map((t) => t.seq));
    ended ||= told.some((t) => t.kind === "done");
    hear(told);
  };
  const attempt = async () => {
    if (open) return;
    const mine = (open = new AbortController());
    let wait = WAITS[0];
    try {
      if (await seated((once) => read(`api${path}?after=${after}${once ? "&once=1" : ""}`, mine, got))) wait = APART;
    } catch (said) {
      const fault = /** @type {any} */ (said);
      if (fault?.status >= 400 && fault.status < 500 && fault.status !== 429) {
        ended = true;
        tell({ lost: 0, wait: 0, fault });
      } else if (mine.signal.aborted && mine.signal.reason !== DEAD) {
        wait = 0; // the tab was hidden, and may be shown again by now
      } else {
        wait = WAITS[Math.min(tries, WAITS.length - 1)];
        tries += 1;
        if (!ended) tell({ lost: tries, wait, fault: null });
      }
    }
    open = null;
    later(wait);
  };
  const seen = () => {
    if (!document.hidden) return later(0);
    clearTimeout(timer);
    open?.abort();
  };
  document.addEventListener("visibilitychange", seen);
  addEventListener("online", seen);
  later(0);
  return () => {
    ended = true;
    clearTimeout(timer);
    open?.abort();
    document.removeEventListener("visibilitychange", seen);
    removeEventListener("online", seen);
  };
}

/**
 * Does some work on one of the browser's seats, or without one, which it is told: then it asks only once.
 * @param {(once: boolean) => Promise<void>} work @returns {Promise<boolean>} whether it asked only once
 */
async function seated(work) {
  for (let seat = 0; navigator.locks && seat < SEATS; seat += 1) {
    const sat = await navigator.locks.request(`symposia-stream-${seat}`, { ifAvailable: true }, async (lock) => {
      if (lock) await work(false);
      return lock !== null;
    });
    if (sat) return false;
  }
  await work(Boolean(navigator.locks));
  return Boolean(navigator.locks);
}

/** Reads a stream to its end. @param {string} address @param {AbortController} stop @param {(told: Told[]) => void} got */
async function read(address, stop, got) {
  let quiet = setTimeout(() => stop.abort(DEAD), 1000 * SILENT);
  try {
    const response = await fetch(address, { credentials: "same-origin", signal: stop.signal });
    if (!response.ok || !response.body) throw await refusal(response);
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(quiet);
      quiet = setTimeout(() => stop.abort(DEAD), 1000 * SILENT);
      const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = blocks.pop() ?? "";
      got(blocks.map(parsed).filter((told) => told !== null));
    }
  } finally {
    clearTimeout(quiet);
  }
}

/** @param {string} block @returns {Told|null} */
function parsed(block) {
  const fields = new Map(block.split("\n").filter((line) => !line.startsWith(":")).map((line) => /** @type {[string, string]} */ (line.split(/: (.*)/s).slice(0, 2))));
  const data = fields.get("data");
  return data === undefined ? null : { kind: fields.get("event") ?? "", seq: Number(fields.get("id") ?? 0), data: JSON.parse(data) };
}

/** Follows as long as the component shows; `null` follows nothing. @param {string|null} path @param {number} after @param {(told: Told[]) => void} hear @returns {Link} */
export function useFollowed(path, after, hear) {
  const [link, setLink] = useState(FINE);
  const ear = useRef(hear);
  ear.current = hear;
  useEffect(() => {
    setLink(FINE);
    return path === null ? undefined : follow(path, after, (told) => ear.current(told), setLink);
  }, [path]);
  return link;
}
