// @ts-check
// Elements made by function, and trees changed in place, so that focus, hover and scroll survive an update.

const svgNamespace = "http://www.w3.org/2000/svg";

/** @typedef {string | number | boolean | null | undefined} Attribute */
/** @typedef {Node | string | null | undefined | readonly (Node | string | null | undefined)[]} Child */

/**
 * An HTML element. Attributes that are false, null or undefined are left out; `key` names it among its siblings.
 * @param {string} name
 * @param {Readonly<Record<string, Attribute>>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(name, attributes = {}, ...children) {
  return /** @type {HTMLElement} */ (fill(document.createElement(name), attributes, children));
}

/**
 * An SVG element.
 * @param {string} name
 * @param {Readonly<Record<string, Attribute>>} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function s(name, attributes = {}, ...children) {
  const element = document.createElementNS(svgNamespace, name);
  return /** @type {SVGElement} */ (fill(element, attributes, children));
}

/**
 * @param {Element} element
 * @param {Readonly<Record<string, Attribute>>} attributes
 * @param {readonly Child[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name === "key" ? "data-key" : name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

/**
 * The element of an id. Throws where the page has none.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`no #${id}`);
  return element;
}

/**
 * Makes the children of `parent` those given, keeping what is the same.
 * @param {Element} parent
 * @param {...Child} children
 */
export function show(parent, ...children) {
  const next = document.createElement("div");
  next.append(...children.flat().filter((child) => child !== null && child !== undefined));
  morphChildren(parent, next);
}

/**
 * @param {Element} parent
 * @param {Element} next
 */
function morphChildren(parent, next) {
  const keyed = new Map([...parent.children].map((child) => [child.getAttribute("data-key"), child]));
  keyed.delete(null);
  let place = parent.firstChild;
  for (const wanted of Array.from(next.childNodes)) {
    const key = wanted instanceof Element ? wanted.getAttribute("data-key") : null;
    const present = key === null ? place : (keyed.get(key) ?? null);
    if (present !== null && isSameKind(present, wanted)) {
      if (present !== place) parent.insertBefore(present, place);
      morph(present, wanted);
      place = present.nextSibling;
    } else {
      parent.insertBefore(wanted, place);
    }
  }
  while (place !== null) {
    const after = place.nextSibling;
    place.remove();
    place = after;
  }
}

/**
 * @param {Node} present
 * @param {Node} wanted
 */
function isSameKind(present, wanted) {
  if (present.nodeName !== wanted.nodeName) return false;
  if (!(present instanceof Element) || !(wanted instanceof Element)) return true;
  return present.getAttribute("data-key") === wanted.getAttribute("data-key");
}

/**
 * @param {Node} present
 * @param {Node} wanted
 */
function morph(present, wanted) {
  if (!(present instanceof Element) || !(wanted instanceof Element)) {
    if (present.nodeValue !== wanted.nodeValue) present.nodeValue = wanted.nodeValue;
    return;
  }
  // What others fill, such as thumbnails, is theirs.
  if (wanted.hasAttribute("data-own")) return;
  for (const { name } of Array.from(present.attributes))
    if (!wanted.hasAttribute(name)) present.removeAttribute(name);
  for (const { name, value } of Array.from(wanted.attributes))
    if (present.getAttribute(name) !== value) present.setAttribute(name, value);
  morphChildren(present, wanted);
}
