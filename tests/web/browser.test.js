// Two people in two tabs of a real Chromium, each served by another api process: a lesson from first word to report.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  beginLesson, context, cutOff, elsewhere, first, live, readReport, say, second, shot, staysAtHome, texts,
} from "./chromium.js";

const SAID = [
  ["tutor", "Today we add fractions. How would you start with 1/2 + 1/4?"],
  ["student", "I would add the tops and the bottoms, so it is 2/6, because that is how it looks."],
  ["tutor", "Not quite. What does the bottom number of a fraction tell us?"],
  ["student", "It tells the size of the pieces. Oh, so the pieces must have the same size first!"],
  ["tutor", "Exactly, well done. Can you make them the same size?"],
  ["student", "1/2 is 2/4, and 2/4 plus 1/4 makes 3/4. <b>That is less than one</b> & I like it."],
  ["tutor", "Yes, that is right. For next time, please do questions 3 to 6."],
  ["student", "Thank you! Why do we never add the bottoms?"],
];

test("a lesson in two tabs on two servers, to the report", async () => {
  const start = await context.newPage();
  await start.goto(first);
  await shot(start, "1-start");
  await start.close();

  const { tutor, student } = await beginLesson();
  for (const page of [tutor, student]) await page.locator("#people li.online").nth(1).waitFor();

  await student.locator("#text").pressSequentially("I wo");
  await tutor.getByText("Mina is typing…").waitFor();
  await shot(tutor, "2-typing");

  for (const [index, [who, text]] of SAID.entries()) {
    const [from, to] = who === "tutor" ? [tutor, student] : [student, tutor];
    await say(from, text);
    await to.locator(`#messages li[data-seq="${index + 1}"]`).waitFor();
  }
  for (const page of [tutor, student]) assert.deepEqual(await texts(page), SAID.map(([, text]) => text));
  assert.equal(await student.locator("#messages b").count(), 0, "what people write never becomes markup");
  for (const page of [tutor, student]) assert.deepEqual(await cutOff(page), []);
  await shot(tutor, "3-chat-tutor");
  await shot(student, "3-chat-student");

  await tutor.click("#end");
  const seen = await barOf(student, tutor);
  assert.ok(seen.length > 3, `the bar moved: ${seen}`);
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b), "the bar never goes back");
  assert.equal(seen.at(-1), 100);
  await shot(tutor, "5-ready");

  for (const [page, name] of [[tutor, "tutor"], [student, "student"]]) await readReport(page, name);

  const seat = new URL(await tutor.getAttribute("#seat-parent", "href"), second);
  const parent = await context.newPage();
  for (const come of [() => parent.goto(seat.href), () => parent.reload()]) {
    await come();
    await parent.locator("#read").waitFor();
    await parent.getByText("The report is ready.").waitFor();
    await readReport(parent, "parent");
  }
});

/** What the bar showed until the report was ready; a picture of both tabs on the way. */
async function barOf(page, other) {
  const bar = page.locator("#progress");
  await bar.waitFor();
  const seen = [];
  for (let pictured = false; !(await page.locator("#read").isVisible()); ) {
    const value = Number(await bar.getAttribute("aria-valuenow"));
    if (seen.at(-1) !== value) seen.push(value);
    if (!pictured && value > 30 && value < 90) {
      pictured = true;
      await Promise.all([shot(page, "4-writing-student"), shot(other, "4-writing-tutor")]);
    }
    await page.waitForTimeout(20);
  }
  return [...seen, Number(await bar.getAttribute("aria-valuenow"))].filter((one, at, all) => one !== all[at - 1]);
}

test("a tab that was offline catches up by itself, each message once", async () => {
  const { tutor, student } = await beginLesson();
  await say(tutor, "before");
  await student.getByText("before").waitFor();
  await context.setOffline(true);
  await student.waitForTimeout(300);
  await say(student, "said while offline");
  await student.getByText("Sending…").waitFor();
  await shot(student, "7-offline");
  await context.setOffline(false);
  await student.locator('#messages li:has-text("said while offline")').waitFor();
  await say(tutor, "after");
  for (const page of [tutor, student]) {
    await page.locator('#messages li:has-text("after")').waitFor();
    assert.deepEqual(await texts(page), ["before", "said while offline", "after"]);
  }
});

test("without socket.io-client the page says so and the lesson is held all the same", async () => {
  await context.route("**/web/vendor/*", (route) => route.fulfill({ status: 404 }));
  const tutor = await context.newPage();
  await tutor.goto(first);
  await tutor.click("#begin button");
  await tutor.waitForURL(/lesson=/);
  const student = await elsewhere(tutor, second);
  await student.getByText("socket.io-client is not installed").waitFor();
  await say(student, "1/2 is 2/4, and 2/4 plus 1/4 makes 3/4, because the bottoms are the same.");
  await tutor.locator('#messages li[data-seq="1"]').waitFor();
  await tutor.click("#end");
  await student.locator("#read").waitFor();
  await shot(student, "10-not-live");
  await tutor.click("#end");
  await tutor.getByText("Nothing was said since").waitFor();
  await context.unroute("**/web/vendor/*");
});

test("a platform's own token seats its user, for that tab only, and leaves the address at once", async () => {
  const { tutor } = await beginLesson();
  const seat = await (await fetch(`${second}/classroom/seat?as=student`, { method: "POST" })).json();
  const lesson = new URL(tutor.url()).searchParams.get("lesson");
  const page = await context.newPage();
  await page.goto(`${second}/?lesson=${lesson}&as=nobody#token=${seat.token}`);
  await live(page);
  assert.equal(new URL(page.url()).hash, "");
  await page.reload();
  await live(page);
  await say(page, "Hello from the platform");
  await tutor.locator('#messages li[data-sender="student"]').waitFor();
  const other = await context.newPage();
  await other.goto(`${second}/?lesson=${lesson}&as=nobody`);
  await other.locator('#connection[data-state="refused"]').waitFor();
});

test("the page fits a phone and a dark room", async () => {
  const { tutor, student } = await beginLesson();
  await student.setViewportSize({ width: 390, height: 760 });
  await say(tutor, "A word without an end: " + "supercalifragilistic".repeat(6));
  await say(student, "Seen on a phone.");
  await tutor.getByText("Seen on a phone.").waitFor();
  await tutor.setViewportSize({ width: 390, height: 760 });
  for (const page of [tutor, student]) assert.deepEqual(await cutOff(page), []);
  await shot(student, "8-phone");
  await shot(tutor, "8-phone-tutor");
  await tutor.setViewportSize({ width: 1180, height: 760 });
  await tutor.emulateMedia({ colorScheme: "dark" });
  await shot(tutor, "9-dark");
});

test("a long lesson opens at its end, and who reads further up is told of what is new", async () => {
  const { tutor, student } = await beginLesson();
  for (let at = 1; at <= 40; at += 1) {
    await say(at % 3 ? student : tutor, `Line ${at}: ${"and so on ".repeat(at % 7)}`);
    if (at % 10 === 0) await tutor.locator(`#messages li[data-seq="${at}"]`).waitFor();
  }
  await student.reload();
  await student.getByText("Line 40:").waitFor();
  const fromEnd = () => student.evaluate(() => {
    const box = document.getElementById("scroll");
    return box.scrollHeight - box.scrollTop - box.clientHeight;
  });
  assert.ok(await fromEnd() < 40, `${await fromEnd()} px from the end`);
  await student.evaluate(() => (document.getElementById("scroll").scrollTop = 200));
  await say(tutor, "Something new");
  await student.locator("#newest").waitFor();
  assert.ok(await fromEnd() > 400, "who reads further up stays there");
  await shot(student, "11-long-chat");
  await student.click("#newest");
  await student.locator("#newest").waitFor({ state: "hidden" });
});

staysAtHome();
