/** @import {Progress} from "./contract.js" */

/** Whether nothing follows this state of this version. @param {Progress} one */
export function isFinal(one) {
  return one.status === "completed" || one.status === "failed";
}

/**
 * Whether `next` replaces what is shown. (version, attempt, progress) orders any two, so a bar never goes back
 * within an attempt, whichever way the news came; between equals the later arrival wins, unless the end is shown.
 * @param {Progress | null} shown
 * @param {Progress} next
 */
export function replaces(shown, next) {
  if (shown === null) return true;
  for (const key of /** @type {const} */ (["version", "attempt", "progress"])) {
    if (next[key] !== shown[key]) return next[key] > shown[key];
  }
  if (isFinal(shown)) return false;
  return next.status !== shown.status || next.stage !== shown.stage || next.position !== shown.position;
}
