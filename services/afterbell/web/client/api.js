/** @import {Message, Page, Progress, TokenSource} from "./contract.js" */

const PAGE = 500;

/** What the server refused: `code` is stable (docs/reference/http-api.md), the message is for people. */
export class Refused extends Error {
  /** @param {string} code @param {string} message @param {number} [status] */
  constructor(code, message, status = 0) {
    super(message);
    this.name = "Refused";
    this.code = code;
    this.status = status;
  }

  /** Whether the same request may be granted later, without anything being changed. */
  get worthRepeating() {
    return WAITING_HELPS.has(this.code) || this.status >= 500 || this.status === 429;
  }
}

const WAITING_HELPS = new Set(["store_unavailable", "rate_limited", "internal", "no_answer", "unauthenticated"]);

/** The REST API, with a fresh token on every request. */
export class Api {
  #url;
  #token;

  /** @param {{url: string, token: TokenSource}} options  `url`: where the API is, without a path */
  constructor({ url, token }) {
    this.#url = url.replace(/\/$/, "");
    this.#token = token;
  }

  /**
   * One page of what was said after `seq`, oldest first.
   * @param {string} session @param {number} after
   * @returns {Promise<Page>}
   */
  messages(session, after) {
    return this.#json("GET", `/api/sessions/${encodeURIComponent(session)}/messages?after=${after}&limit=${PAGE}`);
  }

  /**
   * Store one message; the same id again changes nothing.
   * @param {string} session @param {{id: string, text: string}} message
   * @returns {Promise<Message>}
   */
  send(session, message) {
    return this.#json("POST", `/api/sessions/${encodeURIComponent(session)}/messages`, message);
  }

  /** @param {string} session @param {object} content @returns {Promise<any>} */
  importSession(session, content) {
    return this.#json("PUT", `/api/sessions/${encodeURIComponent(session)}`, content);
  }

  /** Ask for the session's report; asking again gives the same job. @param {string} session @returns {Promise<any>} */
  requestReport(session) {
    return this.#json("POST", `/api/reports/session/${encodeURIComponent(session)}`);
  }

  /** @param {string} session @returns {Promise<Omit<Progress, "session" | "version">>} */
  reportStatus(session) {
    return this.#json("GET", `/api/reports/session/${encodeURIComponent(session)}/status`);
  }

  /** The finished report as a page of its own, for this reader. @param {string} session @returns {Promise<string>} */
  async reportPage(session) {
    const path = `/api/reports/session/${encodeURIComponent(session)}`;
    return (await this.#answer("GET", path, { accept: "text/html" })).text();
  }

  /**
   * The stream of a report's progress, open. Raises Refused where there is none.
   * @param {string} session @param {string} lastId @param {AbortSignal} signal
   * @returns {Promise<ReadableStream<Uint8Array>>}
   */
  async reportEvents(session, lastId, signal) {
    const path = `/api/reports/session/${encodeURIComponent(session)}/events`;
    /** @type {Record<string, string>} */ const headers = lastId ? { "Last-Event-ID": lastId } : {};
    const answer = await this.#answer("GET", path, { accept: "text/event-stream", headers, signal });
    const kind = answer.headers.get("content-type") ?? "";
    if (!answer.body || !kind.startsWith("text/event-stream")) {
      throw new Refused("no_stream", `expected an event stream, got ${kind || "nothing"}`);
    }
    return answer.body;
  }

  /** @param {string} method @param {string} path @param {object} [body] @returns {Promise<any>} */
  async #json(method, path, body) {
    return (await this.#answer(method, path, { body })).json();
  }

  /**
   * @param {string} method @param {string} path
   * @param {{body?: object, accept?: string, headers?: Record<string, string>, signal?: AbortSignal}} [more]
   */
  async #answer(method, path, { body, accept = "application/json", headers = {}, signal } = {}) {
    /** @type {Record<string, string>} */
    const sent = { Authorization: `Bearer ${await this.#token()}`, Accept: accept, ...headers };
    if (body !== undefined) sent["Content-Type"] = "application/json";
    /** @type {Response} */ let answer;
    try {
      answer = await fetch(this.#url + path, {
        method, headers: sent, body: body && JSON.stringify(body), signal, cache: "no-store",
      });
    } catch (error) {
      throw new Refused("no_answer", `the server does not answer: ${error instanceof Error ? error.message : error}`);
    }
    if (!answer.ok) throw await refusalOf(answer);
    return answer;
  }
}

/** The problem details of an answer (RFC 9457) as an error. @param {Response} answer */
async function refusalOf(answer) {
  const problem = await answer.json().catch(() => ({}));
  return new Refused(problem.code ?? "unknown", problem.detail ?? `HTTP ${answer.status}`, answer.status);
}
