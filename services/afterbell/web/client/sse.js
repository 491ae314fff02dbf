/**
 * @typedef {object} ServerEvent
 * @property {string} event
 * @property {string} data
 * @property {string} id  the last id seen, as EventSource keeps it
 */

/**
 * Reads Server-Sent Events from text in pieces of any size (WHATWG HTML §9.2.6). EventSource itself cannot send the
 * Authorization header.
 */
export class EventReader {
  #rest = "";
  #event = "";
  /** @type {string[]} */ #data = [];
  #id = "";

  /** The id to send as `Last-Event-ID` when the stream is opened again. */
  get lastId() {
    return this.#id;
  }

  /**
   * @param {string} piece
   * @returns {ServerEvent[]} the events this piece completed
   */
  read(piece) {
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#line(line));
  }

  /** @param {string} line @returns {ServerEvent[]} */
  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return [];
  }

  /** @returns {ServerEvent[]} */
  #dispatch() {
    const found = { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id };
    const empty = this.#data.length === 0;
    this.#event = "";
    this.#data = [];
    return empty ? [] : [found];
  }
}
