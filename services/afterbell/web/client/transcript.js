/** @import {Message} from "./contract.js" */

/**
 * The messages of one session as they are shown: every one once, in the order of `seq`, without a hole.
 *
 * Broadcasts may be lost, come twice or in any order. What arrives beyond a hole is held back until the hole is
 * filled, so that nothing shown ever moves. Pure: no clock, no network.
 */
export class Transcript {
  /** @type {Message[]} */ #shown = [];
  /** @type {Map<number, Message>} */ #held = new Map();

  /** Every message that may be shown, oldest first. @returns {readonly Message[]} */
  get shown() {
    return this.#shown;
  }

  /** The greatest `seq` shown; 0 where there is none: what to ask the history `after`. */
  get lastSeq() {
    return this.#shown.length;
  }

  /** Whether messages are missing below one that has arrived: ask the history. */
  get hasGap() {
    return this.#held.size > 0;
  }

  /**
   * Whether a message has the `seq` of one shown and another id: the session was imported anew meanwhile.
   * @param {readonly Message[]} arrived
   */
  contradicts(arrived) {
    return arrived.some(({ seq, id }) => seq <= this.lastSeq && this.#shown[seq - 1].id !== id);
  }

  /**
   * Take in what arrived, in any order, known ones included.
   * @param {Iterable<Message>} arrived
   * @returns {Message[]} what may be shown now and was not before, in order
   */
  accept(arrived) {
    for (const message of arrived) {
      if (message.seq > this.lastSeq) this.#held.set(message.seq, message);
    }
    const from = this.lastSeq;
    for (let next = this.#held.get(from + 1); next; next = this.#held.get(this.lastSeq + 1)) {
      this.#held.delete(next.seq);
      this.#shown.push(next);
    }
    return this.#shown.slice(from);
  }

  /** Forget everything: the session was imported anew and its messages may differ. */
  clear() {
    this.#shown = [];
    this.#held.clear();
  }
}
