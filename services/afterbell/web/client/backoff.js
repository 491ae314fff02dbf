const FIRST_MS = 500;
const MOST_MS = 15_000;

/**
 * How long to wait before the next try: doubling from half a second to 15 s, a random part of it, so that clients who
 * lost the same server do not come back together.
 * @param {number} failures  tries that failed in a row, at least 1
 * @param {number} [random]  0 to 1
 * @returns {number} milliseconds
 */
export function backoffMs(failures, random = Math.random()) {
  const whole = Math.min(MOST_MS, FIRST_MS * 2 ** (failures - 1));
  return Math.round(whole * (0.5 + random / 2));
}

/**
 * Wait; ends early, without an error, when the signal says so.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}
