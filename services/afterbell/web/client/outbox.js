/** @import {Store} from "./store.js" */

import { Refused } from "./api.js";
import { backoffMs, pause } from "./backoff.js";

/**
 * @typedef {object} Outgoing  a message of our own that is not among the stored ones yet
 * @property {string} id
 * @property {string} text
 * @property {Refused | null} refused  why it will not be sent again by itself
 */

/** A random UUID; `crypto.randomUUID` exists on secure origins only. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/**
 * Sends messages one after another, each until it is stored or refused for good. A message keeps its id through all
 * its tries, so that one whose acknowledgement was lost is not stored twice.
 */
export class Outbox {
  /** @type {Outgoing[]} */ #waiting = [];
  #carry;
  #changed;
  #sending = false;
  #stop = new AbortController();
  #store;
  #order = 0;

  /**
   * @param {(message: {id: string, text: string}) => Promise<unknown>} carry  one try; raises Refused
   * @param {() => void} changed  called when `waiting` differs
   * @param {Store | null} [store]  keeps them for the next page
   */
  constructor(carry, changed, store = null) {
    this.#carry = carry;
    this.#changed = changed;
    this.#store = store;
    if (store) void this.#restore(store);
  }

  /** Oldest first. @returns {readonly Outgoing[]} */
  get waiting() {
    return this.#waiting;
  }

  /** @param {string} text @returns {string} the id it will have */
  put(text) {
    const id = newId();
    this.#waiting.push({ id, text, refused: null });
    void this.#store?.keep({ id, text }, Date.now() + (this.#order += 1) / 1000);
    this.#changed();
    void this.#run();
    return id;
  }

  /** These are among the stored ones now, by whatever way that was learnt. @param {Iterable<string>} ids */
  settle(ids) {
    const stored = new Set(ids);
    const left = this.#waiting.filter((one) => !stored.has(one.id));
    if (left.length === this.#waiting.length) return;
    for (const one of this.#waiting) if (stored.has(one.id)) void this.#store?.drop(one.id);
    this.#waiting = left;
    this.#changed();
  }

  /** Send one that was refused once more, under its id. @param {string} id */
  retry(id) {
    const one = this.#waiting.find((waiting) => waiting.id === id);
    if (!one) return;
    one.refused = null;
    this.#changed();
    void this.#run();
  }

  /** Give one up. What is on its way may be stored all the same. @param {string} id */
  drop(id) {
    this.settle([id]);
  }

  close() {
    this.#stop.abort();
  }

  /** What an earlier page could not send goes first. @param {Store} store */
  async #restore(store) {
    const known = new Set(this.#waiting.map((one) => one.id));
    const kept = (await store.outgoing()).filter((one) => !known.has(one.id));
    if (kept.length === 0 || this.#stop.signal.aborted) return;
    this.#waiting.unshift(...kept.map(({ id, text }) => ({ id, text, refused: null })));
    this.#changed();
    void this.#run();
  }

  async #run() {
    if (this.#sending) return;
    this.#sending = true;
    for (let one = this.#next(); one && !this.#stop.signal.aborted; one = this.#next()) await this.#deliver(one);
    this.#sending = false;
  }

  #next() {
    return this.#waiting.find((one) => one.refused === null);
  }

  /** @param {Outgoing} one */
  async #deliver(one) {
    for (let failures = 1; !this.#stop.signal.aborted && this.#waiting.includes(one); failures += 1) {
      try {
        await this.#carry({ id: one.id, text: one.text });
        return this.settle([one.id]);
      } catch (error) {
        const refused = error instanceof Refused ? error : new Refused("internal", String(error));
        if (!refused.worthRepeating) {
          one.refused = refused;
          return this.#changed();
        }
      }
      await pause(backoffMs(failures), this.#stop.signal);
    }
  }
}
