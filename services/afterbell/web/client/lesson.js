/** @import {Api} from "./api.js" */
/** @import {Connection} from "./connection.js" */
/** @import {Message, Page, Person} from "./contract.js" */
/** @import {Outgoing} from "./outbox.js" */
/** @import {Store} from "./store.js" */

import { Refused } from "./api.js";
import { backoffMs, pause } from "./backoff.js";
import { Outbox } from "./outbox.js";
import { Transcript } from "./transcript.js";

const POLL_MS = 3_000;
const REFUSED_POLL_MS = 10_000;
const RESYNC_SPREAD_MS = 1_000;
const TYPING_TOLD_EVERY_MS = 3_000;
const TYPING_OVER_MS = 6_000;

/**
 * What a page is told. Each message comes once, in order, whatever the network did.
 * @typedef {object} LessonEvents
 * @property {(messages: Message[]) => void} [messages]  to be put below those shown
 * @property {() => void} [cleared]  what was said is another now: take all messages away; they come again
 * @property {(waiting: readonly Outgoing[]) => void} [outgoing]  own messages that are not stored yet
 * @property {(people: readonly Person[], online: ReadonlySet<string>, you: string) => void} [presence]
 * @property {(ids: readonly string[]) => void} [typing]  who types now
 * @property {(refused: Refused | null) => void} [refused]  this session cannot be followed; null: it can again
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
  /** Of what is shown; 0: of none yet. */ #edition = 0;
  /** Whether what is shown may not be what was said any more; it is replaced by what is read next. */ #outdated = false;
  #refused = false;
  #typingToldAt = -Infinity;
  /** @type {Promise<void> | null} */ #catchingUp = null;
  #catchUpAgain = false;
  /** @type {Promise<void> | null} */ #joining = null;
  #stop = new AbortController();
  #connection;
  #api;
  #session;
  #on;
  #outbox;
  #release;

  /**
   * @param {{connection: Connection, api: Api, session: string, on: LessonEvents, store?: Store | null,
   * pollMs?: number}} given  `store` keeps what is not sent for the next page
   */
  constructor({ connection, api, session, on, store = null, pollMs = POLL_MS }) {
    this.#connection = connection;
    this.#api = api;
    this.#session = session;
    this.#on = on;
    this.#outbox = new Outbox((message) => this.#carry(message), () => on.outgoing?.(this.#outbox.waiting), store);
    this.#release = connection.hold(session);
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

  /** Send one that was refused once more. @param {string} id */
  sendAgain(id) {
    this.#outbox.retry(id);
  }

  /** Give up one that is not sent. @param {string} id */
  discard(id) {
    this.#outbox.drop(id);
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
    const last = this.#release();
    if (this.#joined && last) this.#connection.ask("session:leave", { session: this.#session }).catch(() => {});
    this.#stop.abort();
    this.#outbox.close();
    for (const timer of this.#typing.values()) clearTimeout(timer);
  }

  #stateChanged() {
    this.#joined = false;
    if (this.#connection.live) void this.#join();
    else this.#showPresence([]);
  }

  #join() {
    this.#joining ??= this.#tryToJoin().finally(() => (this.#joining = null));
    return this.#joining;
  }

  async #tryToJoin() {
    for (let failures = 1; this.#connection.live && !this.#stop.signal.aborted; failures += 1) {
      try {
        const known = this.#known;
        this.#turns = [];
        const wanted = { session: this.#session, after: known };
        const joined = /** @type {any} */ (await this.#connection.ask("session:join", wanted));
        this.#enter(joined);
        if (!this.#takePage(joined, known) || joined.nextAfter !== null) void this.catchUp();
        return;
      } catch (error) {
        const refused = /** @type {Refused} */ (error);
        if (!refused.worthRepeating) return this.#refuse(refused);
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
    if (event === "rt:resync" && (payload.session ?? this.#session) === this.#session) this.#resync(payload);
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

  /** @param {{reason: string, edition?: number}} told */
  #resync({ reason, edition }) {
    if (reason === "removed") return this.#refuse(new Refused("removed", "You do not take part in this lesson any more"));
    if (reason === "imported" && (edition === undefined || edition > this.#edition)) {
      this.#outdated = true;
      return void this.catchUp();
    }
    // Everybody hears this at the same moment: do not ask the server all at once.
    void pause(Math.random() * RESYNC_SPREAD_MS, this.#stop.signal).then(() => this.catchUp());
  }

  /** Nothing of this session may be shown here now. Whoever is let in again is in, without a reload. @param {Refused} refused */
  #refuse(refused) {
    if (!this.#refused) {
      this.#refused = true;
      this.#joined = false;
      this.#clear();
      this.#people = [];
      this.#showPresence([]);
      this.#on.refused?.(refused);
    }
  }

  #admit() {
    if (!this.#refused) return;
    this.#refused = false;
    this.#on.refused?.(null);
  }

  #clear() {
    this.#transcript.clear();
    this.#edition = 0;
    this.#outdated = false;
    this.#on.cleared?.();
  }

  /** The `seq` to read after: from the beginning where what is shown is to be replaced. */
  get #known() {
    return this.#outdated ? 0 : this.#transcript.lastSeq;
  }

  /** @param {Message} message */
  #takeLive(message) {
    this.#showTyping(message.sender, false);
    if (this.#outdated) return; // it is in what is being read
    this.#show(this.#transcript.accept([message]));
    if (this.#transcript.hasGap) void this.catchUp();
  }

  /** @param {Message[]} fresh  what was not shown yet */
  #show(fresh) {
    if (fresh.length === 0) return;
    this.#on.messages?.(fresh);
    this.#outbox.settle(fresh.map((one) => one.id));
  }

  /**
   * Show a page; false where it does not go with what is shown, which is read anew then.
   * @param {Page} page @param {number} known  the `seq` it was asked for after
   */
  #takePage({ edition = 0, messages }, known) {
    this.#admit();
    const another = this.#edition !== 0 && edition !== this.#edition;
    if (another && edition !== 0 && edition < this.#edition) return false; // asked before what is shown
    if (another || this.#outdated) {
      this.#outdated = true;
      if (known !== 0) return false;
      this.#clear();
    }
    this.#edition = edition || this.#edition;
    this.#show(this.#transcript.acceptPage(messages));
    return true;
  }

  async #fetchMissing() {
    for (let failures = 0; this.#catchUpAgain && !this.#stop.signal.aborted; ) {
      this.#catchUpAgain = false;
      try {
        const known = this.#known;
        const page = await this.#api.messages(this.#session, known);
        this.#catchUpAgain ||= !this.#takePage(page, known) || page.nextAfter !== null;
        failures = 0;
      } catch (error) {
        const refused = /** @type {Refused} */ (error);
        if (!refused.worthRepeating) return this.#refuse(refused);
        if (this.#outdated && this.#transcript.shown.length > 0) this.#forgetWhatIsShown();
        this.#catchUpAgain = true;
        await pause(backoffMs((failures += 1)), this.#stop.signal);
      }
    }
  }

  /** What was erased must not stay because the server cannot be asked. */
  #forgetWhatIsShown() {
    this.#clear();
    this.#outdated = true;
  }

  /** While the socket is away, or cut off from the others', the history is the way. @param {number} everyMs */
  async #poll(everyMs) {
    await this.#connection.settled(this.#stop.signal);
    while (!this.#stop.signal.aborted) {
      if (!this.#joined || this.#connection.degraded) await this.catchUp();
      if (!this.#joined && !this.#refused && this.#connection.live) void this.#join();
      await pause(this.#refused ? Math.max(everyMs, REFUSED_POLL_MS) : everyMs, this.#stop.signal);
    }
  }

  /** @param {{id: string, text: string}} message */
  async #carry(message) {
    const edition = this.#edition;
    const stored = this.#joined ? await this.#sendLive(message) : await this.#api.send(this.#session, message);
    if (edition === this.#edition && !this.#outdated) this.#show(this.#transcript.accept([stored]));
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
