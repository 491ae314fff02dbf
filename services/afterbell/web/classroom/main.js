import { Api, Connection, forget, Lesson, Refused, ReportFollower, Store } from "../client/index.js";
import { ChatView, showConnection } from "./chat-view.js";
import { byId, element, say } from "./dom.js";
import { ReportView } from "./report-view.js";
import { tokensOf } from "./seat.js";

const LIVE_CLIENT = "/web/vendor/socket.io.esm.min.js";
const ASKING_ROLES = ["tutor", "staff", "admin"];
const wanted = new URLSearchParams(location.search);
const session = wanted.get("lesson");

if (session) await openLesson(session, wanted.get("as") ?? "student");
else byId("begin", HTMLFormElement).onsubmit = (event) => (event.preventDefault(), void beginLesson());

/** Store an empty lesson and sit down in it as its tutor. */
async function beginLesson() {
  const [subject, tutor, student] = ["subject", "tutor", "student"].map((id) => byId(id, HTMLInputElement).value.trim());
  const lesson = `lesson-${Date.now().toString(36)}-${Math.floor(Math.random() * 1e6).toString(36)}`;
  const participants = [
    { id: "tutor", role: "tutor", display_name: tutor },
    { id: "student", role: "student", display_name: student },
  ];
  try {
    const api = new Api({ url: location.origin, token: tokensOf("tutor") });
    await api.importSession(lesson, { subject, participants, messages: [], started_at: new Date().toISOString() });
    location.href = addressOf(lesson, "tutor", subject);
  } catch (error) {
    say(byId("start-problem", HTMLElement), error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} session @param {string} seat */
async function openLesson(session, seat) {
  byId("start", HTMLElement).hidden = true;
  byId("lesson", HTMLElement).hidden = false;
  showTitle(session, seat);
  const token = tokensOf(seat);
  const api = new Api({ url: location.origin, token });
  const sitting = await whoSits(token);
  if (!sitting) return;
  const { user, role } = sitting;
  const io = await import(LIVE_CLIENT).then((found) => found.io, () => null);
  const connection = new Connection({ url: location.origin, token, io });
  const chat = new ChatView(user);
  const report = new ReportView({ api, session, mayAsk: ASKING_ROLES.includes(role) });
  const store = new Store(user, session);
  const problem = (/** @type {Refused | null} */ refused) => {
    say(byId("refused", HTMLElement), refused?.message ?? "");
    byId("composer", HTMLFormElement).hidden = refused !== null;
    document.body.classList.toggle("no-access", refused !== null);
  };
  const on = { ...chat.events, refused: problem };
  const lesson = role === "parent" ? null : new Lesson({ connection, api, session, store, on });
  const follower = new ReportFollower({ connection, api, session, on: report.events });
  if (lesson) chat.attach(lesson, store);
  byId("leave", HTMLButtonElement).onclick = () => void signOut(user);
  byId("leave", HTMLButtonElement).hidden = false;
  byId("chat", HTMLElement).hidden = lesson === null;
  stayAwake(connection, lesson, follower);
}

/** Whoever uses this browser next finds nothing that this one wrote. @param {string} user */
async function signOut(user) {
  await forget(user);
  sessionStorage.clear();
  location.href = "/";
}

/** @param {Connection} connection @param {Lesson | null} lesson @param {ReportFollower} follower */
function stayAwake(connection, lesson, follower) {
  const show = () => showConnection(connection);
  connection.onState(show);
  connection.onEvent((event) => event === "rt:degraded" && show());
  show();
  const wake = () => {
    if (document.visibilityState !== "visible") return;
    connection.wake();
    void lesson?.catchUp();
  };
  document.addEventListener("visibilitychange", wake);
  addEventListener("online", wake);
  /** @type {any} */ (navigator).connection?.addEventListener?.("change", wake);
  addEventListener("pagehide", () => {
    follower.close();
    lesson?.close();
    connection.close();
  });
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

/** Whom a token speaks for, as it says itself (the server decides what that one may do); null without one. @param {() => Promise<string>} token */
async function whoSits(token) {
  try {
    const payload = (await token()).split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (one) => one.charCodeAt(0))));
    return { user: String(claims.sub), role: String(claims.role) };
  } catch (error) {
    const refusal = error instanceof Refused ? error : new Refused("no_token", "what came is no token");
    showConnection({ state: "refused", degraded: false, refusal });
    return null;
  }
}

/** @param {string} session @param {string} seat */
function showTitle(session, seat) {
  const title = wanted.get("title") || session;
  byId("title", HTMLElement).textContent = title;
  document.title = `${title} · ${seat} · Afterbell`;
  if (seat !== "tutor") return;
  const links = ["student", "parent"].map((other) => {
    const link = /** @type {HTMLAnchorElement} */ (element("a", "", `${other}'s seat`));
    Object.assign(link, { href: addressOf(session, other, title), target: "_blank", rel: "noopener", id: `seat-${other}` });
    return link;
  });
  byId("seats", HTMLElement).append("Open the ", links[0], " or the ", links[1], " in another tab.");
  byId("seats", HTMLElement).hidden = false;
}

/** @param {string} lesson @param {string} seat @param {string} title */
function addressOf(lesson, seat, title) {
  return `/?${new URLSearchParams({ lesson, as: seat, title })}`;
}
