// What the keys do.

import { html, useEffect, useRef } from "../vendor/preact.js";
import { carried } from "../api.js";

const KEYS = [
  ["j k ↓ ↑", "next and previous step or row"], ["Enter", "open what is selected"], ["Esc", "back"], ["n p", "next and previous call"],
  ["[ ]", "the same place a round before or after"], ["t", "next turning point"], ["x", "next step with a failure"], ["g", "show or hide the graph"],
  ["s", "written here, or the whole state"], ["/", "find"], ["f", "fork after the step that is shown"], ["c", "compare a fork with its parent"], ["e", "export the run as one file"], ["y", "copy the link to what is shown"], ["?", "this list"],
];

/** @param {{open: boolean, onClose: () => void}} props */
export function Help({ open, onClose }) {
  const box = useRef(/** @type {any} */ (null));
  useEffect(() => {
    if (open && box.current && !box.current.open) box.current.showModal();
    if (!open && box.current?.open) box.current.close();
  }, [open]);
  return html`<dialog ref=${box} aria-label="Keys" onClose=${onClose}><h2>Keys</h2>
    <dl class="keys">${KEYS.map(([key, what]) => html`<div key=${key}><dt>${key.split(" ").map((k) => html`<kbd key=${k}>${k}</kbd> `)}</dt><dd>${what}</dd></div>`)}</dl>
    <form method="dialog" class="bar"><button>Close</button><span class="grow"></span>${!carried() && html`<a href="static/vendor/licences.html">licences of the libraries</a>`}</form></dialog>`;
}
