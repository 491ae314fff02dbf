/**
 * The element with this id; the page has it.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

/**
 * An element with text in it. Text only: what people write never becomes markup.
 * @param {string} tag @param {string} className @param {...(string | Node)} content
 */
export function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content);
  return made;
}

/** @param {string} text @param {() => void} act */
export function button(text, act) {
  const made = /** @type {HTMLButtonElement} */ (element("button", "", text));
  made.type = "button";
  made.onclick = act;
  return made;
}

/** Show the text, or hide the element where there is none. @param {HTMLElement} where @param {string} text */
export function say(where, text) {
  where.textContent = text;
  where.hidden = text === "";
}
