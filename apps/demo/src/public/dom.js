/**
 * Makes an element. Children are elements or text; text becomes a text node, so that no data is ever read as markup.
 */
export function element(tag, attributes = {}, children = []) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...[children].flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Replaces an element's children. */
export function fill(node, children) {
  node.replaceChildren(...[children].flat().filter((child) => child !== null && child !== undefined));
}

export function initials(name) {
  return name
    .split(' ')
    .map((part) => part[0])
    .join('')
    .slice(0, 2);
}
