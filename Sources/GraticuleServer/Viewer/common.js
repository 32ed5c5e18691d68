// What every page shares: the header, requests, numbers and the theme.

const pages = [["/", "Slides"], ["/jobs", "Jobs"], ["/count", "Count"], ["/sql", "SQL"], ["/evaluations", "Evaluation"]];
/** A service that shows land has one page. */
const landPages = [["/", "Land"]];

/** Makes an element: h("a", {href: "/"}, "text", child). Text is never parsed as HTML. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** The same in SVG. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A request; a failure is thrown as the service's own sentence. */
export async function api(path, options = {}) {
  const { body, ...rest } = options;
  const request = { ...rest, headers: {} };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["Content-Type"] = "application/json";
    request.method ??= "POST";
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the service does not answer");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401) location.assign("/login");
  if (!response.ok) throw new Error(answer.error ?? `the service answered ${response.status}`);
  return answer;
}

export const whole = (value) => (value ?? 0).toLocaleString("en-US", { maximumFractionDigits: 0 });
export const fixed = (value, digits = 2) => (value === null || value === undefined ? "–" : Number(value).toFixed(digits));

export function duration(seconds) {
  const rounded = Math.max(0, Math.round(seconds));
  return rounded < 3600
    ? `${Math.floor(rounded / 60)}:${String(rounded % 60).padStart(2, "0")}`
    : `${Math.floor(rounded / 3600)} h ${Math.floor((rounded % 3600) / 60)} min`;
}

/** 2026-11-27 14:05, in the reader's own time zone. */
export function date(text) {
  const at = new Date(text);
  const two = (value) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

export const statusChip = (status) => h("span", { class: `chip ${status.replaceAll(" ", "-")}` }, status);

function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

export function frame() {
  applyTheme(localStorage.getItem("theme"));
  const mark = s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" },
    s("circle", { cx: 12, cy: 12, r: 10.2, fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
    s("path", { d: "M12 2v20M2 12h20M7 9.5v5M17 9.5v5M9.5 7h5M9.5 17h5", stroke: "currentColor", "stroke-width": 1.4 }));
  const toggle = h("button", { type: "button", class: "small", onclick: () => {
    const theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", theme);
    applyTheme(theme);
    toggle.textContent = isDark() ? "Light" : "Dark";
  } }, isDark() ? "Light" : "Dark");
  document.body.prepend(h("header", { class: "bar" },
    h("a", { class: "brand", href: "/" }, mark, "Graticule"),
    h("nav", { "aria-label": "Pages" }, (document.body.dataset.service === "land" ? landPages : pages).map(([path, title]) =>
      h("a", { href: path, "aria-current": location.pathname === path ? "page" : null }, title))),
    h("span", { class: "muted small" }, "For research use only"), toggle,
    document.cookie.includes("graticule_session=1") ? h("button", { type: "button", class: "small", onclick: async () => {
      await api("/logout", { body: {} });
      location.assign("/login");
    } }, "Log out") : null));
}

/** With a capital at its beginning. */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function showError(element, error) {
  element.classList.add("error");
  element.setAttribute("role", "alert");
  element.textContent = `${sentence(error.message)}.`;
}

/** Axes from 0 to the given ends with curves; a curve is [class, points]. The y axis's numbers begin at `yStart`. */
export function plot(label, [xEnd, yEnd], [xTitle, yTitle], curves, extras = [], xTicks = 5, yStart = 0) {
  const [width, height, left, top, right, bottom] = [460, 340, 52, 12, 12, 44];
  const x = (value) => left + (value / xEnd) * (width - left - right);
  const y = (value) => height - bottom - (value / yEnd) * (height - top - bottom);
  const svg = s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const digits = (step) => Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  for (let tick = 0; tick <= 5; tick += 1) {
    const b = (yEnd * tick) / 5;
    svg.append(s("line", { class: "axis", x1: x(0), x2: x(xEnd), y1: y(b), y2: y(b) }),
      s("text", { x: left - 8, y: y(b) + 4, "text-anchor": "end" }, (b + yStart).toFixed(digits(yEnd / 5))));
  }
  for (let tick = 0; tick <= xTicks; tick += 1) {
    const a = (xEnd * tick) / xTicks;
    svg.append(s("text", { x: x(a), y: height - bottom + 17, "text-anchor": "middle" }, a.toFixed(digits(xEnd / xTicks))));
  }
  svg.append(s("text", { x: (left + width - right) / 2, y: height - 7, "text-anchor": "middle" }, xTitle),
    s("text", { x: 14, y: (top + height - bottom) / 2, "text-anchor": "middle",
      transform: `rotate(-90 14 ${(top + height - bottom) / 2})` }, yTitle));
  for (const [name, points, closed] of curves) {
    const d = points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("") + (closed ? "Z" : "");
    svg.append(s("path", { class: name, d }));
  }
  for (const [a, b] of extras) svg.append(s("circle", { cx: x(a), cy: y(b), r: 4 }));
  return svg;
}
