// The client module with the real socket.io-client against two real api processes.
import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import { connect as dial, createServer as createRelay } from "node:net";
import { afterEach, test } from "node:test";

import { Api, Connection, Lesson, ReportFollower } from "../../services/afterbell/web/client/index.js";

const { io } = createRequire(new URL("../../services/afterbell/web/package.json", import.meta.url))("socket.io-client");
const [first, second, third] = process.env.AFTERBELL_TEST_URLS.split(",");
const PEOPLE = [
  { id: "tutor", role: "tutor", display_name: "Okan" },
  { id: "student", role: "student", display_name: "Mina" },
];
const open = [];
const QUICK = { reconnectionDelay: 50, reconnectionDelayMax: 200 };

afterEach(() => {
  for (const one of open.splice(0).reverse()) one.close();
});

function tokenFor(user, { role = user, lifetimeS = 3600, ...more } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: user, tenant: "dev", role, iat: now, exp: now + lifetimeS, ...more };
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", process.env.AFTERBELL_TEST_SECRET).update(signed).digest("base64url")}`;
}

const apiOf = (user, url = first) => new Api({ url, token: async () => tokenFor(user) });

async function newSession(messages = []) {
  const session = `s-${randomUUID()}`;
  await apiOf("tutor").importSession(session, { subject: "fractions", participants: PEOPLE, messages });
  return session;
}

const spoken = (count, prefix = "m") =>
  Array.from({ length: count }, (_, at) => ({ id: `${prefix}${at}`, sender: "tutor", text: `${prefix} ${at}` }));

async function until(holds, what, seconds = 10) {
  for (const end = Date.now() + seconds * 1000; !holds(); await new Promise((resolve) => setTimeout(resolve, 10))) {
    assert.ok(Date.now() < end, `did not happen within ${seconds} s: ${typeof what === "function" ? what() : what}`);
  }
}

/** One person in a session, and everything the page would have been told. */
function sit(user, session, { url = first, client = io, token = async () => tokenFor(user), ...more } = {}) {
  const told = { shown: [], cleared: 0, outgoing: [], online: [], people: [], typing: [], refused: [], states: [] };
  const api = new Api({ url, token });
  const connection = new Connection({ url, token, io: client, options: QUICK });
  connection.onState((state) => told.states.push(state));
  const on = {
    messages: (messages) => told.shown.push(...messages),
    cleared: () => ((told.shown = []), (told.cleared += 1)),
    outgoing: (waiting) => (told.outgoing = [...waiting]),
    presence: (people, online) => ((told.people = people), (told.online = [...online].sort())),
    typing: (ids) => told.typing.push([...ids]),
    refused: (refused) => told.refused.push(refused?.code ?? null),
  };
  const lesson = new Lesson({ connection, api, session, on, pollMs: 300, ...more });
  open.push(connection, lesson);
  return { lesson, connection, api, told, texts: () => told.shown.map((one) => one.text) };
}

const online = (seat, ...ids) => until(() => String(seat.told.online) === String(ids), () => `online: ${seat.told.online}`);

/** socket.io-client's `io`, whose sockets can be cut, and lose and double what they hear. */
function troubled({ loses = 0, doubles = 0 } = {}) {
  const sockets = [];
  const client = (url, options) => {
    const socket = io(url, options);
    const hear = socket.onevent.bind(socket);
    socket.onevent = (packet) => {
      const lossy = packet.data[0] === "chat:message";
      if (lossy && Math.random() < loses) return;
      hear(packet);
      if (lossy && Math.random() < doubles) setTimeout(() => hear(packet), Math.random() * 50);
    };
    sockets.push(socket);
    return socket;
  };
  return { client, cut: () => sockets.forEach((one) => one.io.engine.close()), sockets };
}

test("what one says appears at the other, served by another process, once and in order", async () => {
  const session = await newSession(spoken(3));
  const tutor = sit("tutor", session);
  const student = sit("student", session, { url: second });
  await online(tutor, "student", "tutor");
  await online(student, "student", "tutor");
  assert.deepEqual(tutor.told.people.map((one) => one.displayName), ["Okan", "Mina"]);
  for (let at = 0; at < 10; at += 1) (at % 2 ? tutor : student).lesson.send(`said ${at}`);
  for (const seat of [tutor, student]) {
    await until(() => seat.told.shown.length === 13, () => seat.texts());
    assert.deepEqual(seat.told.shown.map((one) => one.seq), Array.from({ length: 13 }, (_, at) => at + 1));
  }
  assert.deepEqual(tutor.texts(), student.texts());
  for (const who of ["tutor", "student"]) { // a person's own messages keep the order in which they were said
    const own = tutor.told.shown.slice(3).filter((one) => one.sender === who).map((one) => one.text);
    assert.deepEqual(own, [...own].sort());
  }
  await until(() => tutor.told.outgoing.length === 0, "all stored");
});

test("typing is told to the other and taken back", async () => {
  const session = await newSession();
  const tutor = sit("tutor", session);
  const student = sit("student", session, { url: second });
  for (const seat of [tutor, student]) await online(seat, "student", "tutor");
  student.lesson.typing(true);
  await until(() => tutor.told.typing.length === 1, "typing");
  student.lesson.typing(false);
  await until(() => tutor.told.typing.length === 2, "typing over");
  assert.deepEqual(tutor.told.typing, [["student"], []]);
  assert.deepEqual(student.told.typing, []);
});

test("who leaves is gone after a short absence, who only reconnects never was", async () => {
  const session = await newSession();
  const tutor = sit("tutor", session);
  const trouble = troubled();
  const student = sit("student", session, { url: second, client: trouble.client });
  await online(tutor, "student", "tutor");
  trouble.cut();
  await until(() => student.told.states.at(-1) === "live" && student.told.states.includes("away"), "back");
  student.connection.close();
  assert.deepEqual(tutor.told.online, ["student", "tutor"]);
  await online(tutor, "tutor");
});

test("live messages lost, doubled and out of order are still shown once and in order", async () => {
  const session = await newSession();
  const tutor = sit("tutor", session);
  const student = sit("student", session, { url: second, client: troubled({ loses: 0.4, doubles: 0.4 }).client });
  await online(student, "student", "tutor");
  for (let at = 0; at < 40; at += 1) tutor.lesson.send(`said ${at}`);
  await until(() => tutor.told.shown.length === 40, "all stored");
  await student.lesson.catchUp(); // the last ones may be lost without a trace: a page asks when it is looked at
  await until(() => student.told.shown.length === 40, () => student.told.shown.length);
  assert.deepEqual(student.texts(), Array.from({ length: 40 }, (_, at) => `said ${at}`));
});

test("cut connections in the middle of a talk lose nothing and double nothing, whoever was cut", async () => {
  const session = await newSession();
  const trouble = [troubled(), troubled()];
  const tutor = sit("tutor", session, { client: trouble[0].client });
  const student = sit("student", session, { url: second, client: trouble[1].client });
  await online(tutor, "student", "tutor");
  for (let at = 0; at < 30; at += 1) {
    (at % 2 ? tutor : student).lesson.send(`said ${at}`);
    if (at % 7 === 3) trouble[at % 2].cut();
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  for (const seat of [tutor, student]) {
    await until(() => seat.told.shown.length >= 30, () => seat.told.shown.length, 20);
    assert.deepEqual(seat.told.shown.map((one) => one.seq), Array.from({ length: 30 }, (_, at) => at + 1));
    assert.equal(new Set(seat.texts()).size, 30);
  }
});

test("without socket.io-client the chat goes by HTTP, and is heard live by who has it", async () => {
  const session = await newSession(spoken(1));
  const tutor = sit("tutor", session);
  const student = sit("student", session, { url: second, client: null });
  await online(tutor, "tutor");
  student.lesson.send("by HTTP");
  await until(() => tutor.told.shown.length === 2, "heard live");
  tutor.lesson.send("live");
  await until(() => student.told.shown.length === 3, "polled");
  assert.deepEqual(student.texts(), ["m 0", "by HTTP", "live"]);
  assert.equal(student.connection.state, "absent");
});

test("a session imported anew is shown anew, noticed live and after an absence", async () => {
  const session = await newSession(spoken(4, "old"));
  const tutor = sit("tutor", session);
  const away = sit("student", session, { client: null });
  await until(() => tutor.told.shown.length === 4 && away.told.shown.length === 4, "read");
  await apiOf("tutor").importSession(session, { subject: "fractions", participants: PEOPLE, messages: spoken(5, "new") });
  for (const seat of [tutor, away]) {
    await until(() => String(seat.texts()) === String(spoken(5, "new").map((one) => one.text)), () => seat.texts());
    assert.equal(seat.told.cleared, 1);
  }
});

test("a correction of what was said replaces it in an open tab, live or not", async () => {
  const session = await newSession(spoken(3));
  const [heard, polled] = [sit("student", session), sit("tutor", session, { client: null })];
  await until(() => heard.told.shown.length === 3 && polled.told.shown.length === 3, "both show it");
  const corrected = spoken(3).map((one, at) => ({ ...one, text: at === 1 ? "corrected" : one.text }));
  await apiOf("tutor").importSession(session, { subject: "fractions", participants: PEOPLE, messages: corrected });
  for (const seat of [heard, polled]) {
    await until(() => String(seat.texts()) === "m 0,corrected,m 2", () => seat.texts().join());
    assert.equal(seat.told.cleared, 1);
  }
});

test("who is taken out sees nothing more, and who is let in again talks on without a reload", async () => {
  const session = await newSession(spoken(2));
  const student = sit("student", session);
  await until(() => student.told.shown.length === 2, "the student shows it");
  const put = (participants) => apiOf("tutor").importSession(session, { subject: "fractions", participants });
  await put(PEOPLE.slice(0, 1));
  await until(() => student.told.refused.at(-1) === "removed", "told");
  assert.deepEqual(student.texts(), []);
  await put(PEOPLE);
  await until(() => student.texts().length === 2 && student.told.refused.at(-1) === null, "in again", 25);
  await online(student, "student");
  student.lesson.send("back");
  await until(() => student.texts().includes("back"), "heard again");
});

test("one part of a page that leaves a session does not deafen another", async () => {
  const session = await newSession();
  const [tutor, student] = [sit("tutor", session), sit("student", session)];
  await online(student, "student", "tutor");
  const { connection, api } = student;
  const aside = new Lesson({ connection, api, session, on: {} });
  await new Promise((resolve) => setTimeout(resolve, 200));
  aside.close();
  tutor.lesson.send("still heard?");
  await until(() => student.texts().includes("still heard?"), "heard", 3);
});

test("a connection that is dead without a sign is left and made anew when somebody looks", async () => {
  const session = await newSession();
  const { client, sockets } = troubled();
  const student = sit("student", session, { client });
  await online(student, "student");
  // What a network change does: frames go nowhere, and no end of them is ever told.
  sockets[0].io.engine.transport.ws.send = () => {};
  student.connection.wake();
  await until(() => student.told.states.includes("away"), "noticed", 8);
  await until(() => student.connection.live, "live again");
});

test("a stock socket.io-client with its default options is told what to change", async () => {
  const socket = io(first, { auth: { token: tokenFor("tutor") }, reconnection: false, forceNew: true });
  open.push(socket);
  const error = await new Promise((resolve) => socket.on("connect_error", resolve));
  assert.equal(error.data?.code, "websocket_only");
  assert.match(error.data.message, /transports/);
});

test("more than a page of history is read to its end", async () => {
  const session = await newSession(spoken(1_203));
  const tutor = sit("tutor", session);
  await until(() => tutor.told.shown.length === 1_203, () => tutor.told.shown.length);
  assert.deepEqual(tutor.texts(), spoken(1_203).map((one) => one.text));
});

test("who may not see a session is told so, and sees nothing", async () => {
  const session = await newSession(spoken(2));
  const stranger = sit("somebody", session, { token: async () => tokenFor("somebody", { role: "student" }) });
  await until(() => stranger.told.refused.includes("not_found"), "refused");
  assert.deepEqual(stranger.told.shown, []);
});

test("a token that does not hold is asked for again, and the connection made with the new one", async () => {
  const session = await newSession(spoken(1));
  let asked = 0;
  const token = async () => tokenFor("student", { lifetimeS: (asked += 1) < 3 ? -60 : 3600 });
  const student = sit("student", session, { token });
  await until(() => student.connection.live, () => student.told.states);
  assert.equal(student.connection.refusal?.code ?? "unauthenticated", "unauthenticated");
  await until(() => student.told.shown.length === 1, "read");
});

test("a token that ends is renewed on the live socket", async () => {
  const session = await newSession();
  let asked = 0;
  const token = async () => ((asked += 1), tokenFor("student", { lifetimeS: 62 }));
  const student = sit("student", session, { token });
  await online(student, "student");
  const before = asked;
  await until(() => asked > before, "auth:expiring", 8);
  assert.deepEqual(student.told.states, ["live"]);
});

test("a message too long is refused for good and says why, and the next one is sent", async () => {
  const session = await newSession();
  const tutor = sit("tutor", session);
  await online(tutor, "tutor");
  tutor.lesson.send("x".repeat(8_001));
  tutor.lesson.send("short");
  await until(() => tutor.told.shown.length === 1 && tutor.told.outgoing.length === 1, "the second is stored");
  assert.equal(tutor.told.outgoing[0].refused.code, "invalid_input");
});

/** Follow a report from before it is asked for to its end. */
async function followed(session, { url = first, client = io, live = client !== null } = {}) {
  const seen = { progress: [], ready: [], ways: new Set() };
  const token = async () => tokenFor("student");
  const connection = new Connection({ url, token, io: client, options: QUICK });
  const on = {
    progress: (one) => seen.progress.push(one),
    ready: (one) => seen.ready.push(one),
    way: (way) => seen.ways.add(way),
  };
  const follower = new ReportFollower({ connection, api: new Api({ url, token }), session, on, pollMs: 100 });
  open.push(connection, follower);
  if (client) await until(() => connection.state !== "connecting", "tried");
  assert.equal(connection.live, live);
  await apiOf("tutor").requestReport(session);
  await until(() => seen.ready.length > 0, () => JSON.stringify(seen.progress.at(-1)), 30);
  const figures = seen.progress.map((one) => one.progress);
  assert.deepEqual(figures, [...figures].sort((a, b) => a - b), "never back");
  assert.equal(figures.at(-1), 100);
  assert.equal(seen.progress.at(-1).status, "completed");
  assert.ok(figures.length > 2, `more than its ends: ${figures}`);
  assert.equal(seen.ready[0].version, 1);
  return seen;
}

const LESSON = [
  ["tutor", "How would you start with 1/2 plus 1/4?"],
  ["student", "I would add the tops and the bottoms, so it is 2/6, because that is how it looks."],
  ["tutor", "Not quite. What must be the same before we add the tops?"],
  ["student", "The bottoms! So 1/2 is 2/4, and 2/4 plus 1/4 makes 3/4."],
].map(([sender, text], at) => ({ id: `l${at}`, sender, text }));

test("a report is followed by Socket.IO on the other process", async () => {
  const seen = await followed(await newSession(LESSON), { url: second });
  assert.deepEqual([...seen.ways], ["socket"]);
});

test("a report is followed by the event stream where there is no socket", async () => {
  const seen = await followed(await newSession(LESSON), { url: second, client: null });
  assert.ok(seen.ways.has("stream"));
});

test("a report is followed by polling where a proxy lets neither sockets nor streams through", async () => {
  const proxy = createServer((from, to) => {
    if (from.url.endsWith("/events")) return to.writeHead(502).end();
    const onward = request(second + from.url, { method: from.method, headers: from.headers }, (answer) => {
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    });
    from.pipe(onward);
  });
  proxy.on("upgrade", (_, socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  open.push({ close: () => (proxy.close(), proxy.closeAllConnections()) });
  const seen = await followed(await newSession(LESSON), { url: `http://127.0.0.1:${proxy.address().port}`, live: false });
  assert.deepEqual([...seen.ways], ["poll"]);
});

test("who comes after the end is told of it at once", async () => {
  const session = await newSession(LESSON);
  await followed(session);
  for (const client of [io, null]) {
    const ready = [];
    const token = async () => tokenFor("student");
    const connection = new Connection({ url: second, token, io: client });
    const on = { ready: (one) => ready.push(one) };
    open.push(connection, new ReportFollower({ connection, api: new Api({ url: second, token }), session, on }));
    await until(() => ready.length === 1, "ready", 4);
    assert.match(await new Api({ url: second, token }).reportPage(session), /<h1>/);
  }
});

test("a server that goes down is left when it asks, and nothing is missed at the next one", async () => {
  let behind = third; // what a load balancer does: new connections go to who is ready
  const links = new Set();
  const relay = createRelay((from) => {
    const onward = dial(Number(new URL(behind).port), "127.0.0.1");
    for (const one of [from, onward]) links.add(one.on("error", () => {}).on("close", () => (from.destroy(), onward.destroy())));
    from.pipe(onward).pipe(from);
  });
  await new Promise((resolve) => relay.listen(0, "127.0.0.1", resolve));
  open.push({ close: () => (relay.close(), links.forEach((one) => one.destroy())) });
  const session = await newSession();
  const tutor = sit("tutor", session);
  const student = sit("student", session, { url: `http://127.0.0.1:${relay.address().port}` });
  for (const seat of [tutor, student]) await online(seat, "student", "tutor");

  behind = second;
  const drained = fetch(process.env.AFTERBELL_TEST_DRAIN, { method: "POST" });
  for (let at = 0; at < 20; at += 1) {
    (at % 2 ? tutor : student).lesson.send(`said ${at}`);
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  assert.ok((await drained).ok);
  await until(() => student.told.states.includes("away") && student.connection.live, () => student.told.states, 35);
  for (const seat of [tutor, student]) {
    await until(() => seat.told.shown.length >= 20, () => seat.told.shown.length);
    assert.deepEqual(seat.told.shown.map((one) => one.seq), Array.from({ length: 20 }, (_, at) => at + 1));
    assert.equal(new Set(seat.texts()).size, 20);
  }
});
