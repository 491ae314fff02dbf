// A real Chromium and what people do in it: the seats of a lesson, each served by another api process.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

const { chromium } = createRequire(new URL("../../services/afterbell/web/package.json", import.meta.url))("playwright-core");
export const [first, second] = process.env.AFTERBELL_TEST_URLS.split(",");
export const shots = process.env.AFTERBELL_TEST_SCREENSHOTS;
const profile = mkdtempSync(join(tmpdir(), "afterbell-chromium-"));
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** @type {import("playwright-core").BrowserContext} */ export let context;
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
export const cutOff = (page) => page.evaluate(() =>
  [document.documentElement, ...document.querySelectorAll("header, main:not([hidden]), main:not([hidden]) :is(section, aside, p, li, button)")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1 && getComputedStyle(one).display !== "inline")
    .map((one) => `${one.tagName} ${one.id} ${one.scrollWidth} > ${one.clientWidth}`));
export const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });
export const texts = (page) => page.locator("#messages .text").allTextContents();
export const live = (page) => page.locator('#connection[data-state="live"]').waitFor();

export async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

export async function elsewhere(page, url) {
  const seat = new URL(await page.getAttribute("#seat-student", "href"), url);
  const other = await context.newPage();
  await other.goto(seat.href);
  return other;
}

export async function beginLesson() {
  const tutor = await context.newPage();
  await tutor.goto(first);
  await tutor.click("#begin button");
  await tutor.waitForURL(/lesson=/);
  const student = await elsewhere(tutor, second);
  await Promise.all([live(tutor), live(student)]);
  return { tutor, student };
}

export async function readReport(page, name) {
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

/** To be called last in a file. */
export const staysAtHome = () => test("nothing was asked of another host, and the browser complained about nothing", () => {
  const hosts = new Set(asked.filter((url) => /^(https?|wss?):/.test(url)).map((url) => new URL(url).host));
  assert.deepEqual([...hosts].sort(), [first, second].map((url) => new URL(url).host).sort());
  const expected = /ERR_(INTERNET_DISCONNECTED|FAILED)|WebSocket connection|status of (403|404|422)/; // on purpose
  assert.deepEqual(complaints.filter((one) => !expected.test(one)), []);
});
