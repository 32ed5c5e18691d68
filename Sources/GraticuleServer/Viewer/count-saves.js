// Every click is stored. What the service has not taken yet is kept in the browser, and sent when it answers again.

import { api } from "/viewer/common.js";

const key = "graticule-unsaved";
const waiting = new Map(Object.entries(JSON.parse(localStorage.getItem(key) ?? "{}")));
let sending = null;
let listener = () => {};

/** Whose count of which square. */
export const identity = (reading) => [reading.by, reading.slide, reading.x, reading.y, reading.side_microns].join("|");
const keep = () => localStorage.setItem(key, JSON.stringify(Object.fromEntries(waiting)));

/** Calls back with "" when all is stored, or with what is in the way. */
export function onSaved(callback) { listener = callback; }

/** Stores a reading: at once in the browser, and as soon as it can in the results. */
export function save(reading) {
  waiting.set(identity(reading), reading);
  keep();
  return send();
}

/** What this reader has done that the service does not know yet. */
export const unsaved = (reading) => waiting.get(identity(reading));

/** Sends all that waits; ends when it is stored or cannot be. */
export function send() {
  sending ??= sendAll().finally(() => { sending = null; });
  return sending;
}

async function sendAll() {
  while (waiting.size) {
    const [name, reading] = waiting.entries().next().value;
    try {
      await api("/api/squares/reading", { body: reading });
    } catch (error) {
      // A square that is there no longer would hold up all others.
      const isGone = error.message.includes("none of those") || error.message.includes("no such slide");
      if (!isGone) {
        listener(`Not stored yet: ${error.message}. Your clicks are kept in this browser.`);
        setTimeout(send, 3000);
        return;
      }
    }
    // It may have changed while it was sent.
    if (waiting.get(name) === reading) waiting.delete(name);
    keep();
  }
  listener("");
}
