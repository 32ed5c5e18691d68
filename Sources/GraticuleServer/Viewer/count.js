import { api, frame, h, showError, whole } from "/viewer/common.js";
import { Field } from "/viewer/count-field.js";
import { identity, onSaved, save, send, unsaved } from "/viewer/count-saves.js";
import { agreement, guide, priors, proposals, training } from "/viewer/count-side.js";

frame();
const [lead, by, work, side] = ["lead", "by", "work", "side"].map((id) => document.getElementById(id));
const reasons = ["out of focus", "pen or fold", "no tissue", "cannot tell the cells apart"];
let squares = [];
let index = 0;
let about = { models: [], hasHeatmaps: false, isReadOnly: false };
/** Seconds that the last squares took, for the time left. */
let paces = JSON.parse(localStorage.getItem("paces") ?? "[]");
let shownAt = Date.now();
/** A square that was clicked in before anybody said who counts. */
let nameless = null;
/** How often the squares were asked for, what was stored since the last time, and whose squares are shown. */
let loads = 0;
const touched = new Map();
let reader = null;

const name = () => by.value.trim();
const square = () => squares[index];
const isOpen = (candidate) => candidate.status !== "counted" && candidate.status !== "skipped";
const reading = (candidate) => ({ slide: candidate.slide, x: candidate.x, y: candidate.y, side_microns: candidate.side_microns, status: candidate.status ?? "open", points: candidate.points, note: candidate.note ?? "", by: name() });

function store(candidate) {
  const own = reading(candidate);
  touched.set(identity(own), own);
  return save(own);
}

const field = new Field((points) => {
  const current = square();
  current.points = points.map((point) => [...point]);
  if (current.status === "skipped") current.note = "";
  current.status = current.status === "counted" ? "counted" : "open";
  tell();
  if (name()) store(current); else { nameless = current; saved.textContent = "not stored yet: say who counts"; }
});
const count = h("b", { id: "count", class: "number", role: "status" });
const saved = h("span", { id: "saved", class: "small muted", role: "status" });
const undo = h("button", { id: "undo", onclick: () => field.undo() }, "Undo");
const back = h("button", { onclick: () => move(-1) }, "Back");
const next = h("button", { id: "next", class: "primary", onclick: () => finish("counted") }, "Done, next");
const skip = h("button", { id: "skip", "aria-expanded": "false", onclick: () => offerReasons(reason.classList.contains("hidden")) }, "Skip …");
const reason = h("div", { class: "row hidden", id: "reasons" }, reasons.map((text, i) => h("button", { class: "small", onclick: () => finish("skipped", text) }, h("kbd", {}, i + 1), " ", text)));
function offerReasons(isOpen) {
  reason.classList.toggle("hidden", !isOpen);
  skip.setAttribute("aria-expanded", String(isOpen));
}
onSaved((trouble) => { if (!nameless) saved.textContent = trouble || (name() ? "stored" : ""); saved.classList.toggle("error", Boolean(trouble)); });

function needsName() {
  if (name()) return false;
  by.focus();
  showError(lead, new Error("say who counts: it is stored with the count"));
  return true;
}

function tell() {
  const current = square();
  count.textContent = `${field.points.length} lymphocyte${field.points.length === 1 ? "" : "s"}`;
  undo.disabled = !field.points.length;
  back.disabled = index === 0;
  const done = squares.filter((candidate) => !isOpen(candidate)).length;
  const left = squares.length - done;
  const pace = paces.length >= 3 ? [...paces].sort((a, b) => a - b)[Math.floor(paces.length / 2)] : 30;
  const minutes = Math.max(1, Math.round((left * pace) / 60));
  lead.classList.remove("error");
  lead.textContent = left ? `${whole(done)} of ${whole(squares.length)}, about ${whole(minutes)} minute${minutes === 1 ? "" : "s"} left. Square ${whole(index + 1)}${isOpen(current) ? "" : `: ${current.status}${current.note ? `, ${current.note}` : ""}`}.`
    : `All ${whole(squares.length)} squares are done.`;
}

function show() {
  const current = square();
  field.show(current, current.points);
  offerReasons(false);
  shownAt = Date.now();
  tell();
  // The next picture is there when it is wanted.
  const following = squares[index + 1];
  if (following) {
    const pad = Math.max(0, Math.min(Math.round(following.side * 0.25), Math.floor((2048 - following.side) / 2)));
    new Image().src = `/slides/${following.slide}/region.jpeg?x=${Math.round(following.x) - pad}&y=${Math.round(following.y) - pad}&side=${Math.round(following.side) + 2 * pad}`;
  }
}

function move(step) {
  index = Math.max(0, Math.min(squares.length - 1, index + step));
  show();
}

/** Ends a square and goes on to the next open one. */
function finish(status, note = "") {
  if (!squares.length || needsName() || about.isReadOnly) return;
  const current = square();
  if (isOpen(current)) {
    paces = [...paces, (Date.now() - shownAt) / 1000].filter((seconds) => seconds < 300).slice(-15);
    localStorage.setItem("paces", JSON.stringify(paces));
  }
  [current.status, current.note] = [status, note];
  store(current).then(beside);
  const after = squares.findIndex((candidate, i) => i > index && isOpen(candidate));
  index = after >= 0 ? after : Math.min(index + 1, squares.length - 1);
  show();
}

document.addEventListener("keydown", (event) => {
  if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) || !squares.length || event.altKey) return;
  const isUndo = event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey));
  if (!isUndo && (event.ctrlKey || event.metaKey)) return;
  if (!reason.classList.contains("hidden") && reasons[Number(event.key) - 1]) {
    finish("skipped", reasons[Number(event.key) - 1]);
    event.preventDefault();
    return;
  }
  const act = { n: () => move(1), p: () => move(-1), s: () => offerReasons(reason.classList.contains("hidden")), escape: () => offerReasons(false), "+": () => field.setZoom(1), "=": () => field.setZoom(1), "-": () => field.setZoom(-1) }[event.key.toLowerCase()];
  if (isUndo) field.undo();
  else if (event.key === "Enter" && event.target.tagName !== "BUTTON" && event.target.tagName !== "SUMMARY") finish("counted");
  else if (act) act();
  else return;
  event.preventDefault();
});

/** The panels beside the square. They are made after all answers are there: what is typed meanwhile must stay. */
async function beside() {
  const found = [await agreement().catch(() => null), await priors().catch(() => null)];
  const parts = [training(squares, about.models, about.hasHeatmaps, about.isReadOnly), proposals(squares, about.models, about.hasHeatmaps, load)];
  if (!squares.length) parts.reverse();
  const focused = document.activeElement?.id;
  side.replaceChildren(...[squares.length ? guide() : null, ...parts, ...found,
    h("p", { class: "small" }, h("a", { href: "/api/squares.csv", download: "squares.csv" }, "Download the counts as a table"))].filter(Boolean));
  if (focused) side.querySelector(`#${CSS.escape(focused)}`)?.focus();
}

/** The squares with this reader's counts; another's are another's. */
async function load() {
  loads += 1;
  const own = loads;
  touched.clear();
  try {
    await send();
    const found = await api(`/api/squares?by=${encodeURIComponent(name())}`);
    // Asked for again meanwhile, perhaps by another reader.
    if (own !== loads) return;
    const last = touched.size ? square() : null;
    squares = found;
    for (const candidate of squares) {
      // What was clicked while the answer was under way is newer than the answer.
      const kept = touched.get(identity(reading(candidate))) ?? unsaved(reading(candidate));
      if (kept && name()) Object.assign(candidate, { points: kept.points, status: kept.status, note: kept.note });
    }
    if (squares.length) {
      if (!work.children.length) {
        work.append(h("div", { class: "stagebox" }, field.element, field.bar),
          h("div", { class: "row spread", id: "controls" }, h("span", { class: "row" }, count, saved),
            h("span", { class: "row" }, h("button", { "aria-label": "Zoom out", onclick: () => field.setZoom(-1) }, "−"), h("button", { "aria-label": "Zoom in", onclick: () => field.setZoom(1) }, "+"), back, undo, skip, next)), reason);
        new ResizeObserver(() => field.square && field.scale()).observe(field.element);
      }
      const same = last ? squares.findIndex((candidate) => identity(reading(candidate)) === identity(reading(last))) : -1;
      index = same >= 0 ? same : Math.max(0, squares.findIndex(isOpen));
      show();
    } else {
      lead.textContent = "No squares have been chosen yet. A hundred, an hour of clicking, are enough for a model.";
    }
    reader = name();
    await beside();
  } catch (error) {
    showError(lead, error);
  }
}

by.value = localStorage.getItem("counter") ?? "";
by.addEventListener("keydown", (event) => { if (event.key === "Enter") field.element.isConnected ? field.element.focus() : by.blur(); });
by.addEventListener("change", async () => {
  localStorage.setItem("counter", name());
  // A first click on a cell is also what ends the typing of a name.
  const dots = nameless?.points.length ? [nameless, nameless.points] : null;
  nameless = null;
  await load();
  if (!dots) return;
  const same = squares.findIndex((candidate) => candidate.slide === dots[0].slide && candidate.x === dots[0].x && candidate.y === dots[0].y);
  if (same < 0 || squares[same].status) return;
  [squares[same].points, squares[same].status] = [dots[1], "open"];
  index = same;
  show();
  store(squares[same]);
});
// For tests and for the curious.
window.graticuleCount = { square, reader: () => reader };
const state = await api("/api/state").catch(() => ({}));
about = { models: state.models ?? [], hasHeatmaps: state.has_heatmaps ?? false, isReadOnly: state.is_read_only ?? false };
await load();
