/** @import {Api} from "./api.js" */
/** @import {Connection} from "./connection.js" */
/** @import {Message, Person} from "./contract.js" */
/** @import {Outgoing} from "./outbox.js" */

import { Refused } from "./api.js";
import { backoffMs, pause } from "./backoff.js";
import { Outbox } from "./outbox.js";
import { Transcript } from "./transcript.js";

const POLL_MS = 3_000;
const RESYNC_SPREAD_MS = 1_000;
const TYPING_TOLD_EVERY_MS = 3_000;
const TYPING_OVER_MS = 6_000;

/**
 * What a page is told. Each message comes once, in order, whatever the network did.
 * @typedef {object} LessonEvents
 * @property {(messages: Message[]) => void} [messages]  to be put below those shown
 * @property {() => void} [cleared]  the session was imported anew: take all messages away; they come again
 * @property {(waiting: readonly Outgoing[]) => void} [outgoing]  own messages that are not stored yet
 * @property {(people: readonly Person[], online: ReadonlySet<string>, you: string) => void} [presence]
 * @property {(ids: readonly string[]) => void} [typing]  who types now
 * @property {(refused: Refused) => void} [refused]  this session cannot be followed
 */

/** @typedef {{joined: string[], left: string[]}} Turn  who came and who went */

/** One session's chat: live over the connection, caught up over REST, polled while the connection is away. */
export class Lesson {
  #transcript = new Transcript();
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */ #typing = new Map();
  /** @type {readonly Person[]} */ #people = [];
  /** @type {Set<string>} */ #online = new Set();
  /** @type {Turn[]} */ #turns = [];
  #you = "";
  #joined = false;
  /** Counts imports: an answer from before the last one tells nothing. */ #era = 0;
  #typingToldAt = -Infinity;
  /** @type {Promise<void> | null} */ #catchingUp = null;
  #catchUpAgain = false;
  #stop = new AbortController();
  #connection;
  #api;
  #session;
  #on;
  #outbox;

  /** @param {{connection: Connection, api: Api, session: string, on: LessonEvents, pollMs?: number}} given */
  constructor({ connection, api, session, on, pollMs = POLL_MS }) {
    this.#connection = connection;
    this.#api = api;
    this.#session = session;
    this.#on = on;
    this.#outbox = new Outbox((message) => this.#carry(message), () => on.outgoing?.(this.#outbox.waiting));
    const leave = [
      connection.onEvent((event, payload) => this.#heard(event, payload)),
      connection.onState(() => this.#stateChanged()),
    ];
    this.#stop.signal.addEventListener("abort", () => leave.forEach((one) => one()));
    this.#stateChanged();
    void this.#poll(pollMs);
  }

  /** Everything shown so far, oldest first. */
  get messages() {
    return this.#transcript.shown;
  }

  /** Say something; it is sent until it is stored. @param {string} text @returns {string} its id */
  send(text) {
    this.#typingToldAt = -Infinity;
    return this.#outbox.put(text);
  }

  /** Call on every key; told to the others at most every three seconds. @param {boolean} typing */
  typing(typing) {
    const now = performance.now();
    if (!this.#joined || (typing ? now - this.#typingToldAt < TYPING_TOLD_EVERY_MS : this.#typingToldAt < 0)) return;
    this.#typingToldAt = typing ? now : -Infinity;
    this.#connection.ask("chat:typing", { session: this.#session, typing }).catch(() => {}); // worth no second try
  }

  /** Fill what is missing now: the tab is looked at again, the network is back. @returns {Promise<void>} */
  catchUp() {
    this.#catchUpAgain = true;
    this.#catchingUp ??= this.#fetchMissing().finally(() => (this.#catchingUp = null));
    return this.#catchingUp;
  }

  close() {
    if (this.#joined) this.#connection.ask("session:leave", { session: this.#session }).catch(() => {});
    this.#stop.abort();
    this.#outbox.close();
    for (const timer of this.#typing.values()) clearTimeout(timer);
  }

  #stateChanged() {
    this.#joined = false;
    if (this.#connection.live) void this.#join();
    else this.#showPresence([]);
  }

  async #join() {
    for (let failures = 1; this.#connection.live && !this.#stop.signal.aborted; failures += 1) {
      try {
        const [known, era] = [this.#transcript.lastSeq, this.#era];
        const wanted = { session: this.#session, after: Math.max(0, known - 1) };
        this.#turns = [];
        const joined = /** @type {any} */ (await this.#connection.ask("session:join", wanted));
        this.#enter(joined);
        if (era === this.#era) this.#takePage(joined, known);
        if (joined.nextAfter !== null) void this.catchUp();
        return;
      } catch (error) {
        const refused = /** @type {Refused} */ (error);
        if (!refused.worthRepeating) return this.#on.refused?.(refused);
      }
      await pause(backoffMs(failures), this.#stop.signal);
    }
  }

  /** @param {any} joined  the acknowledgement of session:join */
  #enter(joined) {
    this.#joined = true;
    this.#people = joined.participants;
    this.#you = joined.you;
    this.#online = new Set(joined.online);
    // Who came or went while the answer was on its way may have done so before or after it was written: either way
    // the last word about each of them holds.
    for (const turn of this.#turns) this.#turn(turn);
    this.#showPresence(this.#online);
  }

  /** @param {Turn} turn */
  #turn({ joined, left }) {
    for (const id of joined) this.#online.add(id);
    for (const id of left) this.#online.delete(id);
  }

  /** @param {string} event @param {any} payload */
  #heard(event, payload) {
    if (event === "rt:resync" && (payload.session ?? this.#session) === this.#session) this.#resync(payload.reason);
    if (payload?.session !== this.#session) return;
    if (event === "chat:message") this.#takeLive(payload);
    if (event === "chat:typing") this.#showTyping(payload.user, payload.typing);
    if (event === "presence") this.#heardPresence(payload);
  }

  /** @param {Turn} turn */
  #heardPresence(turn) {
    if (!this.#joined) return void this.#turns.push(turn);
    this.#turn(turn);
    this.#showPresence(this.#online);
  }

  /** @param {string} reason */
  #resync(reason) {
    if (reason === "imported") return this.#startAnew();
    // Everybody hears this at the same moment: do not ask the server all at once.
    void pause(Math.random() * RESYNC_SPREAD_MS, this.#stop.signal).then(() => this.catchUp());
  }

  #startAnew() {
    this.#era += 1;
    this.#transcript.clear();
    this.#on.cleared?.();
    void this.catchUp();
  }

  /** @param {Message} message */
  #takeLive(message) {
    this.#showTyping(message.sender, false);
    this.#take([message]);
    if (this.#transcript.hasGap) void this.catchUp();
  }

  /** @param {Message[]} arrived */
  #take(arrived) {
    const fresh = this.#transcript.accept(arrived);
    if (fresh.length === 0) return;
    this.#on.messages?.(fresh);
    this.#outbox.settle(fresh.map((one) => one.id));
  }

  /**
   * Pages are asked for from the last message known on: where that is another one now, the session is.
   * @param {{messages: Message[]}} page @param {number} known
   */
  #takePage({ messages }, known) {
    const shrunk = known > 0 && messages.length === 0;
    if (shrunk || this.#transcript.contradicts(messages)) this.#startAnew();
    else this.#take(messages);
  }

  async #fetchMissing() {
    for (let failures = 0; this.#catchUpAgain && !this.#stop.signal.aborted; ) {
      this.#catchUpAgain = false;
      try {
        const era = this.#era;
        const known = this.#transcript.lastSeq;
        const page = await this.#api.messages(this.#session, Math.max(0, known - 1));
        if (era === this.#era) this.#takePage(page, known);
        this.#catchUpAgain ||= page.nextAfter !== null;
        failures = 0;
      } catch (error) {
        const refused = /** @type {Refused} */ (error);
        if (!refused.worthRepeating) return this.#on.refused?.(refused);
        this.#catchUpAgain = true;
        await pause(backoffMs((failures += 1)), this.#stop.signal);
      }
    }
  }

  /** While the socket is away, or cut off from the others', the history is the way. @param {number} everyMs */
  async #poll(everyMs) {
    await this.#connection.settled(this.#stop.signal);
    while (!this.#stop.signal.aborted) {
      if (!this.#joined || this.#connection.degraded) await this.catchUp();
      await pause(everyMs, this.#stop.signal);
    }
  }

  /** @param {{id: string, text: string}} message */
  async #carry(message) {
    const era = this.#era;
    const stored = this.#joined ? await this.#sendLive(message) : await this.#api.send(this.#session, message);
    if (era === this.#era) this.#take([stored]);
    if (this.#transcript.hasGap) void this.catchUp();
  }

  /** @param {{id: string, text: string}} message @returns {Promise<Message>} */
  async #sendLive(message) {
    const { seq, at } = await this.#connection.ask("chat:send", { session: this.#session, ...message });
    return { ...message, seq, at, sender: this.#you };
  }

  /** @param {Iterable<string>} online */
  #showPresence(online) {
    this.#online = new Set(online);
    this.#on.presence?.(this.#people, this.#online, this.#you);
  }

  /** @param {string} user @param {boolean} typing */
  #showTyping(user, typing) {
    if (!typing && !this.#typing.has(user)) return;
    clearTimeout(this.#typing.get(user));
    this.#typing.delete(user);
    if (typing) this.#typing.set(user, setTimeout(() => this.#showTyping(user, false), TYPING_OVER_MS));
    this.#on.typing?.([...this.#typing.keys()]);
  }
}
