// The client module's decisions: what is shown, once, in which order. No network.
import assert from "node:assert/strict";
import { test } from "node:test";

import { backoffMs } from "../../services/afterbell/web/client/backoff.js";
import { newId, Outbox } from "../../services/afterbell/web/client/outbox.js";
import { Refused } from "../../services/afterbell/web/client/api.js";
import { replaces } from "../../services/afterbell/web/client/progress.js";
import { EventReader } from "../../services/afterbell/web/client/sse.js";
import { Transcript } from "../../services/afterbell/web/client/transcript.js";

const message = (seq) => ({ seq, id: `m${seq}`, sender: "s", text: `said ${seq}`, at: null });
const seqs = (messages) => messages.map((one) => one.seq);

/** Repeatable pseudo-random numbers from 0 to 1 (mulberry32). */
function randomFrom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

test("loss, doubles and any order of arrival show every message once and in order after catching up", () => {
  for (let seed = 0; seed < 300; seed += 1) {
    const random = randomFrom(seed);
    const stored = Array.from({ length: 1 + Math.floor(random() * 60) }, (_, index) => message(index + 1));
    const arriving = stored.flatMap((one) => Array(Math.floor(random() * 3)).fill(one)).sort(() => random() - 0.5);
    const transcript = new Transcript();
    const shown = [];
    for (const one of arriving) {
      shown.push(...transcript.accept([one]));
      if (random() < 0.1) shown.push(...transcript.accept(stored.slice(transcript.lastSeq, transcript.lastSeq + 5)));
      assert.deepEqual(seqs(shown), seqs(stored.slice(0, shown.length)), `seed ${seed}`);
    }
    shown.push(...transcript.accept(stored.slice(transcript.lastSeq)));
    assert.deepEqual(shown, stored, `seed ${seed}`);
    assert.equal(transcript.hasGap, false);
  }
});

test("what arrives beyond a hole waits for it, and the hole is told", () => {
  const transcript = new Transcript();
  assert.deepEqual(seqs(transcript.accept([message(1), message(3)])), [1]);
  assert.deepEqual([transcript.lastSeq, transcript.hasGap], [1, true]);
  assert.deepEqual(seqs(transcript.accept([message(2)])), [2, 3]);
  assert.equal(transcript.hasGap, false);
});

test("a page of the record has no holes to wait for: what it leaves out was deleted", () => {
  const transcript = new Transcript();
  assert.deepEqual(seqs(transcript.accept([message(7)])), []);
  assert.deepEqual(seqs(transcript.acceptPage([message(4), message(5)])), [4, 5]);
  assert.deepEqual([transcript.lastSeq, transcript.hasGap], [5, true]);
  assert.deepEqual(seqs(transcript.acceptPage([message(5), message(6)])), [6, 7]);
  assert.deepEqual([transcript.lastSeq, transcript.hasGap], [7, false]);
  assert.deepEqual(seqs(transcript.accept([message(8), message(3)])), [8]);
  transcript.clear();
  assert.deepEqual([transcript.lastSeq, transcript.hasGap, transcript.shown.length], [0, false, 0]);
});

const at = (version, attempt, progress, status = "active", stage = "writing") =>
  ({ session: "s", jobId: "j", version, attempt, progress, status, stage });

test("a bar never goes back within an attempt, whatever way and order the news comes", () => {
  assert.equal(replaces(null, at(1, 1, 0)), true);
  assert.equal(replaces(at(1, 1, 40), at(1, 1, 39)), false);
  assert.equal(replaces(at(1, 1, 40), at(1, 2, 0)), true);
  assert.equal(replaces(at(1, 2, 5), at(1, 1, 90)), false);
  assert.equal(replaces(at(1, 3, 100, "completed"), at(2, 1, 0, "waiting")), true);
  assert.equal(replaces(at(1, 1, 100, "completed"), at(1, 1, 100, "active")), false);
});

test("equal progress is news where the state differs, and none where nothing does", () => {
  assert.equal(replaces(at(1, 1, 85), at(1, 1, 85)), false);
  assert.equal(replaces(at(1, 1, 85), at(1, 1, 85, "active", "written")), true);
  assert.equal(replaces(at(1, 1, 100), at(1, 1, 100, "completed")), true);
});

test("events are read from pieces cut anywhere", () => {
  const stream = "retry: 3000\n\n: alive\n\nid: 1.1.5\nevent: a\ndata: {\"x\":1}\n\r\n" +
    "event: b\r\ndata: one\r\ndata:two\r\n\r\nid: 1.1.9\ndata: c\n\n";
  const whole = [
    { event: "a", data: '{"x":1}', id: "1.1.5" },
    { event: "b", data: "one\ntwo", id: "1.1.5" },
    { event: "message", data: "c", id: "1.1.9" },
  ];
  for (let size = 1; size <= stream.length; size += 1) {
    const reader = new EventReader();
    const events = [];
    for (let from = 0; from < stream.length; from += size) events.push(...reader.read(stream.slice(from, from + size)));
    assert.deepEqual(events, whole, `pieces of ${size}`);
    assert.equal(reader.lastId, "1.1.9");
  }
});

test("waits grow to 15 seconds and differ between clients", () => {
  assert.deepEqual([backoffMs(1, 0), backoffMs(1, 1), backoffMs(20, 1)], [250, 500, 15_000]);
  assert.ok(backoffMs(4) <= backoffMs(5, 1));
});

test("an id is a UUID and never the same", () => {
  const ids = Array.from({ length: 1000 }, newId);
  assert.equal(new Set(ids).size, 1000);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("a message whose acknowledgement was lost is sent again under the same id, and the next one waits for it", async () => {
  const tries = [];
  const outbox = new Outbox(async (one) => {
    tries.push(one);
    if (tries.length === 1) throw new Refused("no_answer", "lost");
  }, () => {});
  outbox.put("first");
  outbox.put("second");
  while (outbox.waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(tries.map((one) => one.text), ["first", "first", "second"]);
  assert.equal(tries[0].id, tries[1].id);
});

test("a message refused for good stays, says why, and does not hold up the next", async () => {
  const outbox = new Outbox(async ({ text }) => {
    if (text === "bad") throw new Refused("forbidden", "you may not", 403);
  }, () => {});
  outbox.put("bad");
  outbox.put("good");
  while (outbox.waiting.length > 1) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(outbox.waiting[0].refused.code, "forbidden");
});

test("a message that was refused is sent again under its id, or given up, as somebody wants", async () => {
  let allowed = false;
  const carried = [];
  const outbox = new Outbox(async (one) => {
    if (!allowed) throw new Refused("forbidden", "not now", 403);
    carried.push(one.id);
  }, () => {});
  const [first, second] = [outbox.put("first"), outbox.put("second")];
  while (outbox.waiting.some((one) => !one.refused)) await new Promise((resolve) => setTimeout(resolve, 10));
  allowed = true;
  outbox.drop(second);
  outbox.retry(first);
  while (outbox.waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(carried, [first]);
});

test("what an earlier page could not send is sent first, and is kept until it is stored", async () => {
  const kept = new Map([["old", { id: "old", text: "from before", order: 1 }]]);
  const store = {
    outgoing: async () => [...kept.values()],
    keep: async (one, order) => void kept.set(one.id, { ...one, order }),
    drop: async (id) => void kept.delete(id),
  };
  const carried = [];
  const outbox = new Outbox(async (one) => void carried.push(one.text), () => {}, store);
  await new Promise((resolve) => setTimeout(resolve, 20));
  outbox.put("new");
  while (outbox.waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual([carried, kept.size], [["from before", "new"], 0]);
});

test("a message learnt from the history is not sent again", async () => {
  let tries = 0;
  const outbox = new Outbox(async () => { tries += 1; throw new Refused("no_answer", "lost"); }, () => {});
  const id = outbox.put("said");
  outbox.settle([id]);
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.deepEqual([tries, outbox.waiting.length], [1, 0]);
});
