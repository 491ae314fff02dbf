/** @import {Api} from "./api.js" */
/** @import {Connection} from "./connection.js" */
/** @import {Progress, Ready} from "./contract.js" */

import { Refused } from "./api.js";
import { backoffMs, pause } from "./backoff.js";
import { isFinal, replaces } from "./progress.js";
import { EventReader } from "./sse.js";

const POLL_MS = 2_000;
const WATCHED_ANEW_MS = 600_000;
const STREAM_TRIED_AGAIN_MS = 60_000;

/**
 * @typedef {"socket" | "stream" | "poll"} Way  how the news comes at the moment
 *
 * @typedef {object} ReportEvents
 * @property {(progress: Progress) => void} [progress]  never back within an attempt
 * @property {(ready: Ready) => void} [ready]  once a version
 * @property {(way: Way) => void} [way]
 * @property {(refused: Refused) => void} [refused]  this reader may not follow it
 */

/** A session's report, followed until closed: by Socket.IO; by Server-Sent Events where that is away; else by polling. */
export class ReportFollower {
  /** @type {Progress | null} */ #shown = null;
  /** @type {Way | null} */ #way = null;
  #readyVersion = 0;
  #lastId = "";
  #streamTriedAt = -Infinity;
  #stop = new AbortController();
  /** Ends the stream or the pause between polls, where the socket takes over. */ #round = new AbortController();
  #connection;
  #api;
  #session;
  #on;
  #pollMs;
  #release;

  /** @param {{connection: Connection, api: Api, session: string, on: ReportEvents, pollMs?: number}} given */
  constructor({ connection, api, session, on, pollMs = POLL_MS }) {
    this.#connection = connection;
    this.#api = api;
    this.#session = session;
    this.#on = on;
    this.#pollMs = pollMs;
    this.#release = connection.hold(`report of ${session}`);
    const leave = [
      connection.onEvent((event, payload) => this.#heard(event, payload)),
      connection.onState(() => this.#round.abort()),
    ];
    this.#stop.signal.addEventListener("abort", () => leave.forEach((one) => one()));
    void this.#follow();
  }

  /** What is shown now, or null while no report was asked for. */
  get progress() {
    return this.#shown;
  }

  close() {
    const last = this.#release();
    if (this.#way === "socket" && last) this.#connection.ask("report:unwatch", { session: this.#session }).catch(() => {});
    this.#stop.abort();
    this.#round.abort();
  }

  async #follow() {
    await this.#connection.settled(this.#stop.signal);
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      this.#round = new AbortController();
      try {
        if (this.#connection.live) await this.#watch();
        else await this.#withoutSocket();
        failures = 0;
      } catch (error) {
        const refused = /** @type {Refused} */ (error);
        if (!refused.worthRepeating) return this.#on.refused?.(refused);
        await pause(backoffMs((failures += 1)), this.#round.signal);
      }
    }
  }

  /** Returns when the connection is lost, or after a while: watching again is harmless. */
  async #watch() {
    const { report } = await this.#connection.ask("report:watch", { session: this.#session });
    this.#take("socket", report);
    await pause(WATCHED_ANEW_MS, this.#round.signal);
  }

  async #withoutSocket() {
    if (performance.now() - this.#streamTriedAt > STREAM_TRIED_AGAIN_MS) {
      try {
        return await this.#stream();
      } catch (error) {
        if (this.#round.signal.aborted) return;
        const refused = /** @type {Refused} */ (error);
        // 404: no report was asked for yet. Anything else: a proxy in between may not let streams through.
        if (refused.status !== 404) this.#streamTriedAt = performance.now();
      }
    }
    await this.#poll();
    await pause(this.#pollMs, this.#round.signal);
  }

  /** Returns when the stream ended as it should. */
  async #stream() {
    const body = await this.#api.reportEvents(this.#session, this.#lastId, this.#round.signal);
    const reader = new EventReader();
    const text = new TextDecoder();
    for (const source = body.getReader(); ; ) {
      const { done, value } = await source.read();
      if (done) break;
      for (const { event, data } of reader.read(text.decode(value, { stream: true }))) {
        this.#lastId = reader.lastId;
        if (event === "report:progress") this.#take("stream", JSON.parse(data));
        if (event === "report:ready") this.#finish(JSON.parse(data));
      }
    }
    // Nothing more comes for a report that ended; a new one is found by looking again, not too often.
    if (this.#shown && isFinal(this.#shown)) await pause(this.#pollMs, this.#round.signal);
  }

  async #poll() {
    try {
      const status = await this.#api.reportStatus(this.#session);
      const same = this.#shown?.jobId === status.jobId;
      const version = (this.#shown?.version ?? 0) + (same ? 0 : 1);
      this.#take("poll", { version, ...status, session: this.#session });
    } catch (error) {
      if (/** @type {Refused} */ (error).status !== 404) throw error;
      this.#take("poll", null);
    }
  }

  /** @param {string} event @param {any} payload */
  #heard(event, payload) {
    if (payload?.session !== this.#session) return;
    if (event === "report:progress") this.#take("socket", payload);
    if (event === "report:ready") this.#finish(payload);
  }

  /** @param {Way} way @param {Progress | null} next */
  #take(way, next) {
    if (way !== this.#way) this.#on.way?.((this.#way = way));
    if (next === null || !replaces(this.#shown, next)) return;
    this.#shown = next;
    this.#on.progress?.(next);
    if (next.status !== "completed") return;
    // A status that says "completed" may be all there is of the end: a snapshot, or the answer to a poll.
    const url = `/api/reports/session/${encodeURIComponent(this.#session)}`;
    this.#finish({ session: this.#session, jobId: next.jobId, version: next.version, url });
  }

  /** @param {Ready} ready */
  #finish(ready) {
    if (ready.version <= this.#readyVersion) return;
    this.#readyVersion = ready.version;
    this.#on.ready?.(ready);
  }
}
