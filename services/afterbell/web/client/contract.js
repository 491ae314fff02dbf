/**
 * The shapes of docs/reference/realtime.md and docs/reference/http-api.md, as JSDoc types. No code.
 *
 * @typedef {object} Message  a stored message of a session
 * @property {number} seq  1, 2, 3, … without gaps within the session
 * @property {string} id  made by the sender, unique within the session
 * @property {string} sender  a participant's id
 * @property {string} text
 * @property {string | null} at  ISO 8601
 *
 * @typedef {object} Page  all that is stored between `after` and its last message
 * @property {number} [edition]  another number once what was said, or who takes part, was changed
 * @property {Message[]} messages
 * @property {number | null} nextAfter
 *
 * @typedef {object} Person
 * @property {string} id
 * @property {string} role
 * @property {string} displayName
 *
 * @typedef {"waiting" | "active" | "completed" | "failed"} ReportStatus
 *
 * @typedef {object} Progress  where a session's report is
 * @property {string} session
 * @property {string} jobId
 * @property {number} version  1, 2, … of the session's reports
 * @property {number} attempt
 * @property {ReportStatus} status
 * @property {number} progress  0-100
 * @property {string | null} [stage]
 * @property {number} [position]  place in the queue while waiting
 * @property {number} [eta_seconds]
 * @property {unknown} [error]
 *
 * @typedef {object} Ready
 * @property {string} session
 * @property {string} jobId
 * @property {number} version
 * @property {string} url
 *
 * @typedef {object} Refusal  an acknowledgement that says no
 * @property {false} ok
 * @property {string} code
 * @property {string} message
 * @property {number} [retryInMs]
 *
 * @typedef {{ok: true} & Record<string, any>} Granted
 *
 * @typedef {() => Promise<string>} TokenSource  a token that holds now; asked again when one has run out
 */

export {};
