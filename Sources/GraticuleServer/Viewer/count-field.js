// The square that is counted: its picture, frame, dots, cursor, zoom and scale bar.

import { h, s } from "/viewer/common.js";

/** The share of a side that is shown around the square, so that cells at its edge can be judged. */
const margin = 0.25;
/** Clicks this far outside a solid side are meant for a nucleus whose middle is on it, µm. */
const reachMicrons = 1;
/** A click this near a dot removes it, px on the screen. */
const near = 12;
const zooms = [1, 1.5, 2, 3, 4];

export class Field {
  /** @param onChange called with the points after each change. */
  constructor(onChange) {
    this.onChange = onChange;
    this.points = [];
    this.zoom = 0;
    this.picture = h("img", { alt: "", draggable: "false" });
    this.drawing = s("svg", { class: "marks", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.inner = h("div", { class: "inner" }, this.picture, this.drawing);
    this.element = h("div", { class: "field", id: "field", tabindex: "0", role: "application",
      "aria-label": "Square to count in. Arrow keys move the cursor, space adds or removes a dot, Enter goes on." }, this.inner);
    this.bar = h("div", { class: "fieldbar number" });
    this.inner.addEventListener("pointerdown", (event) => this.press(event));
    this.inner.addEventListener("click", (event) => { if (!this.wasDragged) this.click(event); });
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.picture.addEventListener("error", () => { this.bar.textContent = "this square cannot be read: skip it"; });
  }

  show(square, points) {
    this.square = square;
    this.points = points.map((point) => [...point]);
    // The service gives squares of up to 2048 px.
    const pad = Math.max(0, Math.min(Math.round(square.side * margin), Math.floor((2048 - square.side) / 2)));
    this.view = { x: Math.round(square.x) - pad, y: Math.round(square.y) - pad, side: Math.round(square.side) + 2 * pad };
    const v = this.view;
    this.zoom = 0;
    this.inner.style.width = "100%";
    this.cursor = [square.x + square.side / 2, square.y + square.side / 2];
    this.picture.src = `/slides/${square.slide}/region.jpeg?x=${v.x}&y=${v.y}&side=${v.side}`;
    this.drawing.setAttribute("viewBox", `0 0 ${v.side} ${v.side}`);
    this.draw();
    this.scale();
  }

  /** Level-0 px of one px on the screen. */
  get pixel() { return this.view.side / this.inner.getBoundingClientRect().width; }

  draw() {
    const { square, view } = this;
    const unit = view.side / 700;
    const [x, y, side] = [square.x - view.x, square.y - view.y, square.side];
    const line = (x1, y1, x2, y2, name) => ["under", name].map((c) => s("line", { x1, y1, x2, y2, class: c, "vector-effect": "non-scaling-stroke" }));
    const dots = this.points.map(([px, py], i) => s("g", { class: "dot" },
      s("circle", { cx: px - view.x, cy: py - view.y, r: 9 * unit, class: "under", "vector-effect": "non-scaling-stroke" }),
      s("circle", { cx: px - view.x, cy: py - view.y, r: 9 * unit, class: "ring", "vector-effect": "non-scaling-stroke", "data-dot": i })));
    const [cx, cy] = [this.cursor[0] - view.x, this.cursor[1] - view.y];
    this.drawing.replaceChildren(
      s("path", { class: "outside", "fill-rule": "evenodd", d: `M0 0H${view.side}V${view.side}H0Z M${x} ${y}h${side}v${side}h${-side}Z` }),
      ...line(x, y, x + side, y, "counts"), ...line(x, y, x, y + side, "counts"),
      ...line(x + side, y, x + side, y + side, "not"), ...line(x, y + side, x + side, y + side, "not"),
      ...dots,
      s("path", { class: "cursor", "vector-effect": "non-scaling-stroke", d: `M${cx - 12 * unit} ${cy}h${24 * unit}M${cx} ${cy - 12 * unit}v${24 * unit}` }));
  }

  /** A scale bar of a round length of about a fifth of the width. */
  scale() {
    const micronsPerPixel = this.square.side_microns / this.square.side;
    const width = this.inner.getBoundingClientRect().width;
    if (!width) return;
    const microns = [5, 10, 20, 50].findLast((length) => length / micronsPerPixel / this.pixel < width / 4) ?? 5;
    this.bar.replaceChildren(h("span", { class: "barline", style: null }), `${microns} µm`);
    this.bar.firstChild.style.width = `${microns / micronsPerPixel / this.pixel}px`;
  }

  setZoom(step) {
    this.zoom = Math.max(0, Math.min(zooms.length - 1, this.zoom + step));
    const { scrollLeft, scrollTop, clientWidth, clientHeight, scrollWidth, scrollHeight } = this.element;
    const middle = [(scrollLeft + clientWidth / 2) / scrollWidth, (scrollTop + clientHeight / 2) / scrollHeight];
    this.inner.style.width = `${100 * zooms[this.zoom]}%`;
    this.element.scrollLeft = middle[0] * this.element.scrollWidth - clientWidth / 2;
    this.element.scrollTop = middle[1] * this.element.scrollHeight - clientHeight / 2;
    this.scale();
  }

  /** Dragging moves the picture where it is zoomed, and is no click. */
  press(event) {
    const [x, y, left, top] = [event.clientX, event.clientY, this.element.scrollLeft, this.element.scrollTop];
    this.wasDragged = false;
    const move = (next) => {
      if (Math.hypot(next.clientX - x, next.clientY - y) > 5) this.wasDragged = true;
      if (this.wasDragged && event.pointerType === "mouse") {
        this.element.scrollLeft = left - (next.clientX - x);
        this.element.scrollTop = top - (next.clientY - y);
      }
    };
    document.addEventListener("pointermove", move);
    document.addEventListener("pointerup", () => document.removeEventListener("pointermove", move), { once: true });
  }

  click(event) {
    const box = this.inner.getBoundingClientRect();
    this.put(this.view.x + ((event.clientX - box.left) / box.width) * this.view.side,
      this.view.y + ((event.clientY - box.top) / box.height) * this.view.side);
    this.element.focus({ preventScroll: true });
  }

  /** Adds a dot, or removes the one that is there. */
  put(x, y) {
    const r = this.square;
    const hit = this.points.findIndex(([px, py]) => Math.hypot(px - x, py - y) < near * this.pixel);
    if (hit >= 0) {
      this.points.splice(hit, 1);
    } else {
      const reach = (reachMicrons * r.side) / r.side_microns;
      if (x < r.x - reach || y < r.y - reach || x >= r.x + r.side || y >= r.y + r.side) return;
      const inside = (value, from) => Math.round(Math.max(from, Math.min(from + r.side, value)) * 10) / 10;
      // Rounding must not lead outside.
      this.points.push([Math.min(inside(x, r.x), r.x + r.side), Math.min(inside(y, r.y), r.y + r.side)]);
    }
    this.cursor = [x, y];
    this.draw();
    this.onChange(this.points);
  }

  undo() {
    if (!this.points.length) return;
    this.points.pop();
    this.draw();
    this.onChange(this.points);
  }

  key(event) {
    const r = this.square;
    const step = (event.shiftKey ? 0.1 : 0.02) * r.side;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) {
      const inside = (value, from) => Math.max(from, Math.min(from + r.side, value));
      this.cursor = [inside(this.cursor[0] + moves[event.key][0], r.x), inside(this.cursor[1] + moves[event.key][1], r.y)];
      this.element.classList.add("keys");
      this.draw();
    } else if (event.key === " ") {
      this.put(...this.cursor);
    } else {
      return;
    }
    event.preventDefault();
  }
}
