const DATABASE = "afterbell";
const OUTGOING = "outgoing";
const DRAFTS = "drafts";

/**
 * What somebody wrote in one session and the server does not have yet, kept in this browser (IndexedDB): it survives
 * a reload, a crash and days without a network. Where the browser keeps nothing, everything goes on without.
 */
export class Store {
  #lesson;

  /** @param {string} user @param {string} session */
  constructor(user, session) {
    this.#lesson = `${user}\n${session}`;
  }

  /** Kept messages, oldest first. @returns {Promise<{id: string, text: string}[]>} */
  async outgoing() {
    /** @type {any[]} */ const kept = (await onStore(OUTGOING, "readonly", (store) => store.getAll())) ?? [];
    return kept.filter((one) => one.lesson === this.#lesson).sort((a, b) => a.order - b.order);
  }

  /** @param {{id: string, text: string}} message @param {number} order */
  keep({ id, text }, order) {
    return onStore(OUTGOING, "readwrite", (store) => store.put({ id, text, order, lesson: this.#lesson }));
  }

  /** It is stored at the server, or not wanted any more. @param {string} id */
  drop(id) {
    return onStore(OUTGOING, "readwrite", (store) => store.delete(id));
  }

  /** What stands in the composer. @returns {Promise<string>} */
  async draft() {
    return (await onStore(DRAFTS, "readonly", (store) => store.get(this.#lesson)))?.text ?? "";
  }

  /** @param {string} text */
  keepDraft(text) {
    const act = (/** @type {IDBObjectStore} */ store) =>
      text ? store.put({ lesson: this.#lesson, text }) : store.delete(this.#lesson);
    return onStore(DRAFTS, "readwrite", act);
  }
}

/** At sign-out: nothing that somebody wrote stays in this browser. @param {string} user */
export async function forget(user) {
  for (const name of [OUTGOING, DRAFTS]) {
    const kept = /** @type {any[]} */ ((await onStore(name, "readonly", (store) => store.getAll())) ?? []);
    for (const one of kept.filter(({ lesson }) => lesson.startsWith(`${user}\n`))) {
      await onStore(name, "readwrite", (store) => store.delete(name === OUTGOING ? one.id : one.lesson));
    }
  }
}

/** @type {Promise<IDBDatabase | null> | null} */ let opened = null;

/** @returns {Promise<IDBDatabase | null>} */
function open() {
  opened ??= new Promise((resolve) => {
    if (typeof indexedDB === "undefined") return resolve(null);
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore(OUTGOING, { keyPath: "id" });
      asked.result.createObjectStore(DRAFTS, { keyPath: "lesson" });
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = asked.onblocked = () => resolve(null);
  });
  return opened;
}

/**
 * One act on one store; undefined where the browser keeps nothing (a private window, a full disk).
 * @param {string} name @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest} act
 * @returns {Promise<any>}
 */
async function onStore(name, mode, act) {
  const database = await open();
  if (!database) return undefined;
  return new Promise((resolve) => {
    try {
      const transaction = database.transaction(name, mode);
      const request = act(transaction.objectStore(name));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => resolve(undefined);
    } catch {
      resolve(undefined);
    }
  });
}
