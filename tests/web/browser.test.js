// Two people in two tabs of a real Chromium, each served by another api process: a lesson from first word to report.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

const { chromium } = createRequire(new URL("../../services/afterbell/web/package.json", import.meta.url))("playwright-core");
const [first, second] = process.env.AFTERBELL_TEST_URLS.split(",");
const shots = process.env.AFTERBELL_TEST_SCREENSHOTS;
const profile = mkdtempSync(join(tmpdir(), "afterbell-chromium-"));
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
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

/** @type {import("playwright-core").BrowserContext} */ let context;
const complaints = [];
const asked = [];

before(async () => {
  mkdirSync(shots, { recursive: true });
  context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.AFTERBELL_TEST_BROWSER, headless: true, args: FLAGS, viewport: { width: 1180, height: 760 },
  });
  context.on("request", (request) => asked.push(request.url()));
  context.on("console", (said) => said.type() === "error" && complaints.push(said.text()));
  context.on("weberror", (failure) => complaints.push(String(failure.error())));
});

after(async () => {
  await context?.close();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
});

/** What is wider than the place it has, and so cut off. */
const cutOff = (page) => page.evaluate(() =>
  [document.documentElement, ...document.querySelectorAll("header, main:not([hidden]), main:not([hidden]) :is(section, aside, p, li, button)")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1 && getComputedStyle(one).display !== "inline")
    .map((one) => `${one.tagName} ${one.id} ${one.scrollWidth} > ${one.clientWidth}`));
const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });
const texts = (page) => page.locator("#messages .text").allTextContents();
const live = (page) => page.locator('#connection[data-state="live"]').waitFor();

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

async function elsewhere(page, url) {
  const seat = new URL(await page.getAttribute("#seat-student", "href"), url);
  const other = await context.newPage();
  await other.goto(seat.href);
  return other;
}

async function beginLesson() {
  const tutor = await context.newPage();
  await tutor.goto(first);
  await tutor.click("#begin button");
  await tutor.waitForURL(/lesson=/);
  const student = await elsewhere(tutor, second);
  await Promise.all([live(tutor), live(student)]);
  return { tutor, student };
}

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

async function readReport(page, name) {
  await page.click("#read");
  const paper = page.frameLocator("#page");
  await paper.locator("h1").waitFor();
  assert.ok((await paper.locator("h1").textContent()).length > 10);
  assert.ok((await paper.locator("main").innerText()).length > 300, "the report has something to say");
  const styled = await paper.locator("body").evaluate((body) => getComputedStyle(body).fontFamily);
  assert.match(styled, /Charter/, "the report's own style is in force");
  const bar = paper.locator(".bar i");
  if (await bar.count()) assert.ok(await bar.evaluate((one) => one.getBoundingClientRect().width > 5), "the bar is drawn");
  await page.waitForTimeout(200);
  await shot(page, `6-report-${name}`);
  await page.click("#close");
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

test("what was typed and sent offline survives a reload, and leaves the browser with its writer", async () => {
  const { tutor, student } = await beginLesson();
  const address = student.url();
  await student.route("**/api/**", (route) => (route.request().method() === "POST" ? route.abort() : route.continue()));
  await student.route("**/web/vendor/*", (route) => route.fulfill({ status: 404 }));
  await student.reload();
  await say(student, "written in the tunnel");
  await student.getByText("Sending…").waitFor();
  await student.fill("#text", "half a thou");
  await student.waitForTimeout(200);
  await student.reload();
  await student.getByText("written in the tunnel").waitFor();
  await student.waitForFunction(() => document.querySelector("#text").value === "half a thou");
  await shot(student, "7-kept");
  await student.unrouteAll();
  await student.reload();
  await tutor.locator('#messages li:has-text("written in the tunnel")').waitFor();
  await student.locator("#outgoing li").waitFor({ state: "detached" });

  await student.click("#leave");
  await student.waitForURL((url) => !url.search);
  await student.goto(address);
  await live(student);
  assert.equal(await student.inputValue("#text"), "");
});

test("a message that is refused can be sent again or deleted", async () => {
  const { student } = await beginLesson();
  let refused = true;
  await student.route("**/web/vendor/*", (route) => route.fulfill({ status: 404 }));
  const problem = { status: 403, contentType: "application/problem+json", body: '{"code":"forbidden","detail":"not now"}' };
  await student.route("**/messages", (route) => (refused ? route.fulfill(problem) : route.continue()));
  await student.reload();
  await say(student, "one");
  await student.getByText("Not sent: not now").waitFor();
  await say(student, "two");
  await student.locator("#outgoing .problem").nth(1).waitFor();
  await shot(student, "7-refused");
  assert.deepEqual(await cutOff(student), []);
  await student.locator("#outgoing li:has-text('one') button:has-text('Delete')").click();
  refused = false;
  await student.locator("#outgoing li:has-text('two') button:has-text('Send again')").click();
  await student.locator('#messages li:has-text("two")').waitFor();
  assert.equal(await student.locator("#outgoing li").count(), 0);
  assert.deepEqual(await texts(student), ["two"]);
});

test("who is taken out sees why and nothing that was said, and is in again without a reload", async () => {
  const { tutor, student } = await beginLesson();
  await say(tutor, "for the two of us");
  await student.locator('#messages li:has-text("for the two of us")').waitFor();
  const put = (ids) => tutor.evaluate(async (wanted) => {
    const { token } = await (await fetch("/classroom/seat?as=tutor", { method: "POST" })).json();
    const lesson = new URLSearchParams(location.search).get("lesson");
    const participants = wanted.map((id) => ({ id, role: id, display_name: id }));
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const body = JSON.stringify({ subject: "Fractions", participants });
    return (await fetch(`/api/sessions/${lesson}`, { method: "PUT", headers, body })).status;
  }, ids);
  assert.equal(await put(["tutor"]), 200);
  await student.getByText("you do not take part in this lesson any more").waitFor();
  assert.deepEqual(await texts(student), []);
  assert.equal(await student.locator("#composer").isVisible(), false);
  await shot(student, "7-taken-out");
  assert.deepEqual(await cutOff(student), []);
  assert.equal(await put(["tutor", "student"]), 200);
  await student.locator('#messages li:has-text("for the two of us")').waitFor();
  await say(student, "back again");
  await tutor.locator('#messages li:has-text("back again")').waitFor();
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

test("nothing was asked of another host, and the browser complained about nothing", () => {
  const hosts = new Set(asked.filter((url) => /^(https?|wss?):/.test(url)).map((url) => new URL(url).host));
  assert.deepEqual([...hosts].sort(), [first, second].map((url) => new URL(url).host).sort());
  const expected = /ERR_(INTERNET_DISCONNECTED|FAILED)|WebSocket connection|status of (403|404|422)/; // on purpose
  assert.deepEqual(complaints.filter((one) => !expected.test(one)), []);
});
