// Two people talk on while the test that started this breaks the Redis between their servers.
import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { after, test } from "node:test";

import { Api, Connection, Lesson } from "../../services/afterbell/web/client/index.js";

const { io } = createRequire(new URL("../../services/afterbell/web/package.json", import.meta.url))("socket.io-client");
const [first, second] = process.env.AFTERBELL_TEST_URLS.split(",");
const TALK_S = Number(process.env.AFTERBELL_TEST_TALK_SECONDS);
const EVERY_MS = 100;
const PEOPLE = ["tutor", "student"].map((id) => ({ id, role: id, display_name: id }));

function tokenFor(user) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: user, tenant: "dev", role: user, exp: Math.floor(Date.now() / 1000) + 3600 };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", process.env.AFTERBELL_TEST_SECRET).update(signed).digest("base64url")}`;
}

function sit(user, session, url) {
  const token = async () => tokenFor(user);
  const api = new Api({ url, token });
  const connection = new Connection({ url, token, io });
  const seat = { shown: [], degraded: [], sentAt: new Map(), tookMs: [], connection };
  connection.onEvent((event, payload) => event === "rt:degraded" && seat.degraded.push(payload.degraded));
  seat.lesson = new Lesson({ connection, api, session, on: {
    messages: (messages) => seat.shown.push(...messages),
    outgoing: (waiting) => { // a message that has left the list is stored
      for (const [id, at] of seat.sentAt) {
        if (waiting.some((one) => one.id === id)) continue;
        seat.sentAt.delete(id);
        seat.tookMs.push(performance.now() - at);
      }
    },
  } });
  seat.say = (text) => seat.sentAt.set(seat.lesson.send(text), performance.now());
  return seat;
}

async function until(holds, what) {
  for (const end = Date.now() + 15_000; !holds(); await new Promise((resolve) => setTimeout(resolve, 20))) {
    assert.ok(Date.now() < end, `did not happen within 15 s: ${what()}`);
  }
}

test("both read every message once, in the same order, and nobody waited for Redis", async () => {
  const session = `s-${randomUUID()}`;
  const staff = new Api({ url: first, token: async () => tokenFor("tutor") });
  await staff.importSession(session, { subject: "fractions", participants: PEOPLE, messages: [] });
  const seats = [sit("tutor", session, first), sit("student", session, second)];
  after(() => seats.forEach(({ lesson, connection }) => (lesson.close(), connection.close())));
  await until(() => seats.every((one) => one.connection.live), () => seats.map((one) => one.connection.state));
  let said = 0;
  for (const end = performance.now() + TALK_S * 1000; performance.now() < end; said += 1) {
    seats[said % 2].say(`said ${said}`);
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
  for (const seat of seats) {
    await until(() => seat.shown.length === said, () => `${seat.shown.length} of ${said} shown`);
    assert.deepEqual(seat.shown.map((one) => one.seq), Array.from({ length: said }, (_, at) => at + 1));
    assert.equal(new Set(seat.shown.map((one) => one.text)).size, said);
  }
  for (const { degraded } of seats) assert.equal(degraded.at(-1), false, `told of the outage and of its end: ${degraded}`);
  // Redis is away for most of the talk: had they waited for it, most would be slow. A few may be, on a busy machine.
  const took = seats.flatMap((one) => one.tookMs).sort((a, b) => a - b);
  const p95 = took[Math.floor(took.length * 0.95)];
  console.log(`${said} messages, stored after ${took[took.length >> 1].toFixed(1)} ms (p50), ${p95.toFixed(1)} ms (p95)`);
  assert.ok(p95 < 300, `p95 of send to acknowledgement ${p95.toFixed(0)} ms; slowest: ${took.slice(-8).map(Math.round)}`);
});
