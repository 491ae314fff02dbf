/** @import {TokenSource, Granted, Refusal} from "./contract.js" */

import { Refused } from "./api.js";
import { backoffMs, pause } from "./backoff.js";

const ACK_TIMEOUT_MS = 5_000;
const FIRST_CONNECT_MS = 2_000;
/** A server that was silent for so long is asked; one that does not answer is left. */
const ASKED_AFTER_MS = 10_000;
const ANSWERS_WITHIN_MS = 4_000;
const LOOKED_AT_MS = 1_000;

/**
 * "connecting": not yet; "live": joined to the server; "away": lost, being tried again while HTTP carries on;
 * "refused": the token does not hold, or too many sockets; "absent": no socket.io-client was given; "closed": by us.
 * @typedef {"connecting" | "live" | "away" | "refused" | "absent" | "closed"} ConnectionState
 *
 * @typedef {(event: string, payload: any) => void} Listener
 */

/**
 * One Socket.IO connection of a page, kept up: tokens renewed on the live socket, drained servers left when they ask,
 * a refused connect tried again with a fresh token (socket.io-client by itself never would).
 */
export class Connection {
  /** @type {any} */ #socket = null;
  /** @type {Set<Listener>} */ #listeners = new Set();
  /** @type {Set<(state: ConnectionState) => void>} */ #watchers = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #again;
  /** @type {Map<string, number>} */ #held = new Map();
  /** @type {ReturnType<typeof setInterval> | undefined} */ #looking;
  #heardAt = 0;
  #asking = false;
  #token;
  #refusals = 0;
  /** @type {ConnectionState} */ #state = "connecting";
  /** Why, where the state is "refused". @type {Refused | null} */ refusal = null;
  /** Whether the server said that other processes are out of its reach. */ degraded = false;

  /**
   * @param {{url: string, token: TokenSource, io?: Function | null, options?: object}} given  `io`: that of
   * socket.io-client; without it everything goes by HTTP. `options`: more for `io`, such as `reconnectionDelay`
   */
  constructor({ url, token, io = null, options = {} }) {
    this.#token = token;
    if (!io) {
      this.#state = "absent";
      return;
    }
    this.#socket = io(url, {
      transports: ["websocket"],
      reconnectionDelay: 1_000, reconnectionDelayMax: 15_000, randomizationFactor: 0.5,
      forceNew: true,
      ...options,
      auth: (/** @type {Function} */ give) => this.#token().then((found) => give({ token: found }), () => give({})),
    });
    this.#listen(this.#socket);
    this.#looking = setInterval(() => this.#look(), LOOKED_AT_MS);
  }

  get state() {
    return this.#state;
  }

  get live() {
    return this.#state === "live";
  }

  /**
   * Send one event and get its acknowledgement. Raises Refused with the server's code, or `no_answer`.
   * @param {string} event @param {object} payload
   * @returns {Promise<Granted>}
   */
  async ask(event, payload) {
    if (!this.live) throw new Refused("no_answer", "not connected");
    /** @type {Granted | Refusal} */ let answer;
    try {
      answer = await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload);
    } catch {
      throw new Refused("no_answer", `no answer to ${event} within ${ACK_TIMEOUT_MS / 1000} s`);
    }
    this.#heardAt = Date.now();
    if (!answer.ok) throw new Refused(answer.code, answer.message);
    return answer;
  }

  /**
   * Several parts of a page may follow one session on this connection.
   * @param {string} session @returns {() => boolean} to be called at the end: whether nobody follows it any more
   */
  hold(session) {
    this.#held.set(session, (this.#held.get(session) ?? 0) + 1);
    return () => {
      const left = (this.#held.get(session) ?? 1) - 1;
      this.#held.set(session, left);
      return left === 0;
    };
  }

  /** Hear every event of the server. @param {Listener} listener @returns {() => void} stop hearing */
  onEvent(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Hear every change of state. @param {(state: ConnectionState) => void} watcher @returns {() => void} */
  onState(watcher) {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /**
   * Return when the first try to connect has ended, or is taking long: until then there is no need of another way.
   * @param {AbortSignal} signal
   */
  async settled(signal) {
    const waiting = new AbortController();
    const leave = this.onState(() => waiting.abort());
    if (this.#state === "connecting") await pause(FIRST_CONNECT_MS, AbortSignal.any([signal, waiting.signal]));
    leave();
  }

  /** Try now: the machine woke up, the network is another one or back, or the user asks. */
  wake() {
    if (!this.#socket || this.#state === "closed") return;
    if (this.live) void this.#prove();
    else this.#connectIn(0);
  }

  /** Once a second. A clock that jumps, as after a sleep, makes the server be asked as well. */
  #look() {
    if (this.live && Math.abs(Date.now() - this.#heardAt) > ASKED_AFTER_MS) void this.#prove();
  }

  /** A connection may be dead without a sign: only an answer shows that it is live. */
  async #prove() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      await this.#socket.timeout(ANSWERS_WITHIN_MS).emitWithAck("rt:ping", {});
      this.#heardAt = Date.now();
    } catch {
      // Closed below Socket.IO, which then connects again by itself.
      if (this.live) this.#socket.io.engine?.close();
    } finally {
      this.#asking = false;
    }
  }

  close() {
    this.#enter("closed");
    clearTimeout(this.#again);
    clearInterval(this.#looking);
    this.#socket?.disconnect();
    this.#listeners.clear();
    this.#watchers.clear();
  }

  /** @param {any} socket */
  #listen(socket) {
    socket.on("connect", () => {
      this.#refusals = 0;
      this.degraded = false;
      this.#heardAt = Date.now();
      this.#enter("live");
    });
    socket.on("disconnect", () => {
      this.#enter("away");
      // socket.io-client comes back by itself, except where the server or we ended the connection on purpose.
      if (!socket.active) this.#connectIn(backoffMs(1));
    });
    socket.on("connect_error", (/** @type {any} */ error) => this.#failed(socket, error));
    socket.on("auth:expiring", () => this.#renew());
    socket.on("server:draining", (/** @type {{retryInMs: number}} */ said) => this.#move(said.retryInMs));
    socket.onAny((/** @type {string} */ event, /** @type {any} */ payload) => {
      this.#heardAt = Date.now();
      if (event === "rt:degraded") this.degraded = payload.degraded;
      for (const listener of [...this.#listeners]) listener(event, payload);
    });
  }

  /** @param {any} socket @param {any} error */
  #failed(socket, error) {
    if (socket.active) return this.#enter("away");
    this.#refusals += 1;
    this.refusal = new Refused(error.data?.code ?? error.message, error.data?.message ?? error.message);
    this.#enter("refused");
    this.#connectIn(error.data?.retryInMs ?? backoffMs(this.#refusals));
  }

  /** The token ends soon: show a new one on the same socket. */
  async #renew() {
    try {
      await this.ask("auth:refresh", { token: await this.#token() });
    } catch {
      // Nothing to do: the server ends the connection in time, and the next one asks for a token again.
    }
  }

  /** Leave a server that is going down, and come back when it said. @param {number} afterMs */
  #move(afterMs) {
    this.#socket.disconnect();
    this.#connectIn(afterMs);
  }

  /** @param {number} ms */
  #connectIn(ms) {
    clearTimeout(this.#again);
    if (this.#state !== "closed") this.#again = setTimeout(() => this.#socket.connect(), ms);
  }

  /** @param {ConnectionState} state */
  #enter(state) {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    for (const watcher of [...this.#watchers]) watcher(state);
  }
}
