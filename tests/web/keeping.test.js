// What a tab keeps and what it forgets, in a real Chromium: unsent words, refused ones, and those of others.
import assert from "node:assert/strict";
import { test } from "node:test";

import { beginLesson, cutOff, live, say, shot, staysAtHome, texts } from "./chromium.js";

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
  await student.getByText("You do not take part in this lesson any more").waitFor();
  assert.deepEqual(await texts(student), []);
  assert.equal(await student.locator("#composer").isVisible(), false);
  await shot(student, "7-taken-out");
  assert.deepEqual(await cutOff(student), []);
  assert.equal(await put(["tutor", "student"]), 200);
  await student.locator('#messages li:has-text("for the two of us")').waitFor();
  await say(student, "back again");
  await tutor.locator('#messages li:has-text("back again")').waitFor();
});

staysAtHome();
