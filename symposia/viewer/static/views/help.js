// What the keys do.

import { html, useEffect, useRef } from "../vendor/preact.js";
import { carried } from "../api.js";
import { Plain } from "../parts.js";

const KEYS = [
  ["j k ↓ ↑", "next and previous step or row"], ["Enter", "open what is selected"], ["Esc", "back"], ["n p", "next and previous call"],
  ["[ ]", "the same place a round before or after"], ["t", "next turning point"], ["x", "next failure"], ["g", "show or hide the graph"],
  ["s", "written here, or the whole state"], ["/", "find by name, or in all texts"], ["f", "fork after the step that is shown"], ["c", "compare a fork with its parent, or anything with another"], ["a", "answer what a run asks"], ["End", "follow the newest step of a run that goes on"], ["e", "save the run, the batch or what is compared as one file"], ["y", "copy the link to what is shown"], ["?", "this list"],
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
    ${carried() && html`<${About} file=${carried()?.["/export"]} />`}
    <form method="dialog" class="bar"><button>Close</button><span class="grow"></span>${!carried() && html`<a href="static/vendor/licences.html">licences of the libraries</a>`}</form></dialog>`;
}

/** What a file is: of which version, made by what, with whose models. @param {{file: any}} props */
function About({ file }) {
  const facts = [["made", new Date(1000 * file.made).toLocaleString()], ["version", file.version], ["command", file.command], ["models", file.models?.join(", ") || "none"],
    ...(file.toys?.length ? [["toy models", "rule-based players, which say nothing about language models"]] : []), ...(file.without?.length ? [["left out", file.without.join(", ")]] : []),
    ...(file.left ? [["runs", `${file.runs.length} whole, ${file.left} by their row alone`]] : [])];
  return html`<h2>This file</h2><dl class="keys about">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd><${Plain} text=${String(value)} /></dd></div>`)}</dl>`;
}
