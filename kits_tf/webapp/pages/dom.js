// Elements: make("td", { class: "number" }, "12") -> <td class="number">12</td>
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// A small field of a color; its style is set here, since the page allows none in its text.
export function swatch(color) {
  const element = make("span", { class: "swatch" });
  element.style.setProperty("--color", color);
  return element;
}

export const byId = id => document.getElementById(id);
