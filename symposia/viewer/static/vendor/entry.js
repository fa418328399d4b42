// What `make vendor` bundles into preact.js: the renderer, its hooks, and htm's template tag bound to it.
import { h } from "preact";
import htm from "htm";

export { Fragment, createContext, h, render } from "preact";
export * from "preact/hooks";
export const html = htm.bind(h);
