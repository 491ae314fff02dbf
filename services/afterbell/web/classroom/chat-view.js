/** @import {Connection} from "../client/connection.js" */
/** @import {LessonEvents} from "../client/lesson.js" */
/** @import {Message, Person} from "../client/contract.js" */
/** @import {Store} from "../client/store.js" */

import { button, byId, element, say } from "./dom.js";

const NEAR_THE_END_PX = 80;

/** The chat and the people on the page: turns what the lesson tells into elements. */
export class ChatView {
  #scroll = byId("scroll", HTMLDivElement);
  #messages = byId("messages", HTMLOListElement);
  #outgoing = byId("outgoing", HTMLOListElement);
  #newest = byId("newest", HTMLButtonElement);
  #text = byId("text", HTMLTextAreaElement);
  /** @type {Map<string, Person>} */ #people = new Map();
  #you;
  #lastSender = "";
  /** @type {Pick<import("../client/lesson.js").Lesson, "sendAgain" | "discard"> | null} */ #lesson = null;

  /** @param {string} you  the id of whoever sits here */
  constructor(you) {
    this.#you = you;
    this.#newest.onclick = () => this.#toTheEnd();
    new ResizeObserver(() => this.#newest.hidden && this.#toTheEnd()).observe(this.#scroll);
    this.#scroll.onscroll = () => this.#atTheEnd && (this.#newest.hidden = true);
  }

  /** What a Lesson is to call. @returns {LessonEvents} */
  get events() {
    return {
      messages: (messages) => this.#add(messages),
      cleared: () => this.#clear(),
      outgoing: (waiting) => this.#whileLooking(() => this.#outgoing.replaceChildren(...waiting.map((one) => this.#outgoingItem(one)))),
      presence: (people, online, you) => this.#showPeople(people, online, you),
      typing: (ids) => (byId("typing", HTMLElement).textContent = typingLine(ids.map((id) => this.#nameOf(id)))),
    };
  }

  /** @param {import("../client/lesson.js").Lesson} lesson @param {Store} store  keeps what is not sent yet */
  attach(lesson, store) {
    this.#lesson = lesson;
    void store.draft().then((text) => (this.#text.value ||= text));
    const submit = () => {
      const text = this.#text.value.trim();
      if (text) lesson.send(text);
      this.#text.value = "";
      void store.keepDraft("");
      lesson.typing(false);
      this.#toTheEnd();
    };
    byId("composer", HTMLFormElement).onsubmit = (event) => (event.preventDefault(), submit());
    this.#text.onkeydown = (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      submit();
    };
    this.#text.oninput = () => {
      lesson.typing(this.#text.value !== "");
      void store.keepDraft(this.#text.value);
    };
    this.#text.onblur = () => lesson.typing(false);
    this.#text.focus();
  }

  /** @param {Message[]} messages */
  #add(messages) {
    byId("empty", HTMLElement).hidden = true;
    this.#whileLooking(() => this.#messages.append(...messages.map((one) => this.#item(one))));
  }

  #clear() {
    this.#messages.replaceChildren();
    this.#lastSender = "";
    byId("empty", HTMLElement).hidden = false;
  }

  /** @param {Message} message */
  #item({ seq, sender, text, at }) {
    const kind = `said${sender === this.#you ? " own" : ""}${sender === this.#lastSender ? " same" : ""}`;
    this.#lastSender = sender;
    const who = element("p", "who", [this.#nameOf(sender), clock(at)].filter(Boolean).join(" · "));
    const item = element("li", kind, who, element("p", "text", text));
    item.dataset.seq = String(seq);
    item.dataset.sender = sender;
    return item;
  }

  /** @param {import("../client/outbox.js").Outgoing} one */
  #outgoingItem({ id, text, refused }) {
    const note = element("p", refused ? "note problem" : "note", refused ? `Not sent: ${refused.message}` : "Sending…");
    if (refused) {
      note.append(" ", button("Send again", () => this.#lesson?.sendAgain(id)));
      note.append(" ", button("Delete", () => this.#lesson?.discard(id)));
    }
    return element("li", "said own waiting", element("p", "text", text), note);
  }

  /** @param {readonly Person[]} people @param {ReadonlySet<string>} online @param {string} you */
  #showPeople(people, online, you) {
    if (you) this.#you = you;
    this.#people = new Map(people.map((one) => [one.id, one]));
    byId("people", HTMLUListElement).replaceChildren(...people.map((one) => personItem(one, online.has(one.id), one.id === you)));
    for (const item of this.#messages.children) this.#nameAgain(/** @type {HTMLElement} */ (item));
  }

  /** Messages that came before the people did show an id. @param {HTMLElement} item */
  #nameAgain(item) {
    const sender = item.dataset.sender ?? "";
    const who = item.querySelector(".who");
    if (who?.textContent?.startsWith(sender)) who.textContent = who.textContent.replace(sender, this.#nameOf(sender));
    item.classList.toggle("own", sender === this.#you);
  }

  /** @param {string} id */
  #nameOf(id) {
    return this.#people.get(id)?.displayName || id;
  }

  get #atTheEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight < NEAR_THE_END_PX;
  }

  #toTheEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
    this.#newest.hidden = true;
  }

  /** Change the list; who reads the end stays there, who reads further up is not moved. @param {() => void} change */
  #whileLooking(change) {
    const atTheEnd = this.#atTheEnd;
    change();
    if (atTheEnd) this.#toTheEnd();
    else this.#newest.hidden = false;
  }
}

/** @param {Person} person @param {boolean} online @param {boolean} isYou */
function personItem({ displayName, id, role }, online, isYou) {
  const item = element("li", online ? "online" : "", element("span", "", displayName || id));
  item.append(element("span", "role", `${role}${isYou ? ", you" : ""}`), element("span", "unseen", online ? "online" : "offline"));
  return item;
}

/** @param {string[]} names */
export function typingLine(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing…`;
  return names.length === 2 ? `${names[0]} and ${names[1]} are typing…` : `${names.length} people are typing…`;
}

/** @param {string | null} at */
function clock(at) {
  return at ? new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : "";
}

/** @type {Record<string, [string, string]>}  state: what the header says, and what that means for whoever sits here */
const CONNECTION = {
  connecting: ["Connecting…", ""],
  live: ["Live", ""],
  degraded: ["Partly live", "Other servers cannot be reached: messages from people connected to them arrive every few seconds."],
  away: ["Reconnecting…", "The connection was lost. While it is being restored, messages arrive every few seconds."],
  refused: ["Not live", "The server does not let this tab connect"],
  absent: ["Not live", "socket.io-client is not installed, so messages come every few seconds: install Node, run “make web”."],
  closed: ["Closed", ""],
};

/** What the connection is, in words. @param {Pick<Connection, "state" | "degraded" | "refusal">} connection */
export function showConnection({ state, degraded, refusal }) {
  const [short, meaning] = CONNECTION[state === "live" && degraded ? "degraded" : state];
  const where = byId("connection", HTMLElement);
  say(where, short);
  where.dataset.state = state;
  say(byId("notice", HTMLElement), state === "refused" && refusal ? `${meaning}: ${refusal.message}.` : meaning);
}
