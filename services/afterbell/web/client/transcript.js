/** @import {Message} from "./contract.js" */

/**
 * The messages of one session as they are shown: every one once, in the order of `seq`, without a hole that may yet be
 * filled.
 *
 * Broadcasts may be lost, come twice or in any order. What arrives beyond a hole is held back until the hole is
 * filled, so that nothing shown ever moves. A page of the record has no such holes: a number that is missing there is
 * of a message that was deleted. Pure: no clock, no network.
 */
export class Transcript {
  /** @type {Message[]} */ #shown = [];
  /** @type {Map<number, Message>} */ #held = new Map();
  #lastSeq = 0;

  /** Every message that may be shown, oldest first. @returns {readonly Message[]} */
  get shown() {
    return this.#shown;
  }

  /** The `seq` up to which nothing is missing; 0 at the beginning: what to ask the history `after`. */
  get lastSeq() {
    return this.#lastSeq;
  }

  /** Whether messages are missing below one that has arrived: ask the history. */
  get hasGap() {
    return this.#held.size > 0;
  }

  /**
   * Take in what arrived, in any order, known ones included.
   * @param {Iterable<Message>} arrived
   * @returns {Message[]} what may be shown now and was not before, in order
   */
  accept(arrived) {
    for (const message of arrived) {
      if (message.seq > this.#lastSeq) this.#held.set(message.seq, message);
    }
    const from = this.#shown.length;
    for (let next = this.#held.get(this.#lastSeq + 1); next; next = this.#held.get(this.#lastSeq + 1)) this.#show(next);
    return this.#shown.slice(from);
  }

  /**
   * Take in a page of the record: all that is stored after a `seq` that is known.
   * @param {readonly Message[]} page  oldest first
   * @returns {Message[]} what may be shown now and was not before, in order
   */
  acceptPage(page) {
    const from = this.#shown.length;
    for (const message of page) {
      if (message.seq > this.#lastSeq) this.#show(message);
    }
    this.accept([]);
    return this.#shown.slice(from);
  }

  /** Forget everything: what was said is another now. */
  clear() {
    this.#shown = [];
    this.#held.clear();
    this.#lastSeq = 0;
  }

  /** @param {Message} message */
  #show(message) {
    this.#shown.push(message);
    this.#lastSeq = message.seq;
    for (const seq of this.#held.keys()) if (seq <= message.seq) this.#held.delete(seq);
  }
}
