/** @import {TokenSource} from "../client/contract.js" */

import { Refused } from "../client/index.js";

const RENEWED_AFTER_MS = 50 * 60_000;
const STORED_AS = "afterbell-token";

/**
 * Where this tab's tokens come from: the platform's own (`#token=…`, kept for this tab and taken out of the address),
 * or one of the seats that only a development server hands out.
 * @param {string} seat  "tutor", "student" or "parent"
 * @returns {TokenSource}
 */
export function tokensOf(seat) {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(STORED_AS, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  const kept = sessionStorage.getItem(STORED_AS);
  return kept ? () => Promise.resolve(kept) : seatTokens(seat);
}

/** @param {string} seat @returns {TokenSource} */
function seatTokens(seat) {
  /** @type {Promise<string> | null} */ let asked = null;
  let askedAt = 0;
  return () => {
    if (!asked || Date.now() - askedAt > RENEWED_AFTER_MS) {
      askedAt = Date.now();
      asked = takeSeat(seat);
      asked.catch(() => (asked = null));
    }
    return asked;
  };
}

/** @param {string} seat @returns {Promise<string>} */
async function takeSeat(seat) {
  const answer = await fetch(`/classroom/seat?as=${encodeURIComponent(seat)}`, { method: "POST" }).catch(() => null);
  if (!answer) throw new Refused("no_answer", "the server does not answer");
  if (answer.status === 404) {
    throw new Refused("no_seat", "this server hands out no seats: open the page with ?lesson=… and #token=…", 404);
  }
  if (!answer.ok) throw new Refused("unknown", `no seat: HTTP ${answer.status}`, answer.status);
  return (await answer.json()).token;
}
