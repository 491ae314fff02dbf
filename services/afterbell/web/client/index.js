/**
 * The client of Afterbell: everything a frontend needs to show a lesson that loses nothing.
 *
 *     const api = new Api({ url, token });
 *     const connection = new Connection({ url, token, io });
 *     const lesson = new Lesson({ connection, api, session, on: { messages, outgoing, presence, typing } });
 *     const report = new ReportFollower({ connection, api, session, on: { progress, ready } });
 *
 * `io` is that of socket.io-client 4.8; `token` gives a token that holds. See docs/reference/web-client.md.
 */

export { Api, Refused } from "./api.js";
export { Connection } from "./connection.js";
export { Lesson } from "./lesson.js";
export { Store, forget } from "./store.js";
export { Transcript } from "./transcript.js";
export { ReportFollower } from "./report.js";
export { isFinal, replaces } from "./progress.js";
