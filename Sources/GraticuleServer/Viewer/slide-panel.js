// The panel at the side: the slide, its runs and layers, the result, the worst disagreement, where to look; and the keyboard.
import { fixed, h, statusChip, whole } from "/viewer/common.js";
import * as L from "/viewer/leaflet.esm.js";
import { at, rectangle } from "/viewer/slide-map.js";

/** The first run in numbers. */
function createStats(state, { count, text, slider, area, recount }) {
  const section = h("section");
  function show() {
    const run = state.shown[0]?.run;
    if (!run) { section.replaceChildren(); return; }
    const rows = [["Tissue", `${fixed(run.tissue_square_millimeters)} mm²`], ["Seam score", fixed(run.seam_score)],
      ["Flagged squares, unreadable tiles", `${run.flagged_squares}, ${run.unreadable_tiles}`]];
    section.replaceChildren(h("h2", {}, "Result ", statusChip(run.status)), count,
      h("label", { class: "row small muted", for: "threshold" }, "Mean probability at least ", text), slider,
      h("div", {}, area, h("dl", { class: "stat" }, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))));
    recount();
  }
  return { section, show };
}

/** Regions of the first run in order of disagreement, to step through. */
function createWorst(state, { map, last }) {
  const section = h("section");
  const mark = L.rectangle([[0, 0], [0, 0]], { color: "#6a2c91", weight: 3, fill: false, interactive: false });
  let visited = -1;

  function visit(index) {
    const regions = state.shown[0]?.regions ?? [];
    if (!regions.length) return;
    visited = (index + regions.length) % regions.length;
    const { x, y, side } = regions[visited];
    mark.setBounds(rectangle(x, y, side, side)).addTo(map);
    map.setView(at(x + side / 2, y + side / 2), last);
  }

  function item(region) {
    return h("li", {}, h("button", { onclick: () => visit(state.shown[0].regions.indexOf(region)) }, h("span", {}, `cl. ${region.coarse_class}`),
      h("span", {}, `${(region.expected * 100).toFixed(0)} → ${(region.predicted * 100).toFixed(0)} %`),
      h("b", {}, `${region.disagreement > 0 ? "+" : "−"}${Math.abs(region.disagreement).toFixed(1)}`)));
  }

  /** In words: what the label says, and what the network finds. */
  function list(title, id, regions) {
    if (!regions.length) return [];
    const { expected, predicted } = regions[0];
    return [h("h3", {}, title), h("p", { class: "small muted" }, `The first: the label leads to expect ${(expected * 100).toFixed(0)} % lymphocyte; the network covers ${(predicted * 100).toFixed(0)} %.`),
      h("ol", { class: "worst", id }, regions.slice(0, 50).map(item))];
  }

  function show() {
    const regions = (state.shown[0]?.regions ?? []).filter(({ disagreement: z }) => z !== null && z !== undefined);
    if (!regions.length) { section.replaceChildren(); return; }
    section.replaceChildren(h("h2", {}, "Worst disagreement ", h("kbd", {}, "N"), " ", h("kbd", {}, "B")),
      ...list("Found too few", "too-few", regions.filter(({ disagreement: z }) => z < 0)), ...list("Found too many", "too-many", regions.filter(({ disagreement: z }) => z > 0)));
  }
  return { section, show, visitNext: () => visit(visited + 1), visitPrevious: () => visit(visited - 1) };
}

/** A field for a place to go to. */
function createPlace({ map, last }) {
  const field = h("input", { id: "goto", placeholder: "x, y", size: 16, "aria-label": "Go to x, y in level-0 pixels" });
  function go() {
    const [x, y] = field.value.split(/[,\s]+/).map(Number);
    if (Number.isFinite(x) && Number.isFinite(y)) map.setView(at(x, y), Math.max(map.getZoom(), last - 1));
  }
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
  return { field, go };
}

function createHelp() {
  const keys = [["C", "cell outlines"], ["P", "probability"], ["K", "coarse classes"], ["D", "disagreement"],
    ["N  B", "next, previous disagreement"], ["H", "predict here"], ["R  E", "draw a polygon, a rectangle"], ["M", "measure"], ["X", "mark a missed cell"], ["Esc", "end drawing"], ["G", "go to x, y"], ["0", "whole slide"], ["1", "full resolution"],
    ["+  −", "zoom"], ["← → ↑ ↓", "move"], ["?", "this list"]];
  const help = document.getElementById("help");
  help.append(h("h2", {}, "Keyboard"),
    h("dl", { class: "stat" }, keys.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
    h("form", { method: "dialog" }, h("button", {}, "Close")));
  return help;
}

/** Keys act wherever the focus is, but for fields that take text or arrows. */
function listenToKeys(keys) {
  document.addEventListener("keydown", (event) => {
    const isField = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName) && event.target.type !== "checkbox";
    if (isField || document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = keys[event.key.toLowerCase()];
    if (action) { event.preventDefault(); action(); }
  });
}

function slideSection(slide) {
  const facts = [`${whole(slide.width)} × ${whole(slide.height)} px`,
    slide.microns_per_pixel ? `${fixed(slide.microns_per_pixel, 3)} µm/px` : "no scale"];
  if (slide.objective_power) facts.push(`${slide.objective_power}×`);
  return h("section", {}, h("h1", {}, slide.name), h("div", { class: "small muted number" }, facts.join(" · ")));
}

function runSection({ choices }) {
  return h("section", {}, h("label", { class: "small muted", for: "run-0" }, "Run"), choices[0],
    h("label", { class: "small muted", for: "run-1" }, "Compare with (swipe)"), choices[1]);
}

export function createPanel(state, view, { layers, runs, predict, tools }) {
  const { slide, keys } = state;
  const stats = createStats(state, runs.threshold);
  const worst = createWorst(state, view);
  const place = createPlace(view);
  const help = createHelp();
  const showHelp = () => help.showModal();
  const isSegmented = slide.runs.length > 0;
  Object.assign(keys, {
    n: worst.visitNext, b: worst.visitPrevious, g: () => place.field.focus(),
    0: () => view.map.fitBounds(view.bounds), 1: () => view.map.setZoom(view.last), "?": showHelp,
  });
  listenToKeys(keys);
  const sections = [
    slideSection(slide),
    slide.notice ? h("p", { class: "error", role: "alert" }, slide.notice) : null,
    isSegmented ? runSection(runs)
      : h("p", { class: "muted" }, "This slide has not been segmented yet. ", h("a", { href: "/jobs" }, "Add a job")),
    stats.section,
    isSegmented ? h("section", {}, h("h2", {}, "Layers"), h("div", { class: "toggle-list" }, layers.rows)) : null,
    tools.section,
    worst.section,
    h("section", {}, h("h2", {}, "Look here"), h("div", { class: "row" }, predict.button, predict.model), predict.text,
      h("div", { class: "row" }, place.field, h("button", { onclick: place.go }, "Go ", h("kbd", {}, "G")),
        h("button", { onclick: showHelp }, "Keys ", h("kbd", {}, "?")))),
  ];
  document.getElementById("side").append(...sections.filter((section) => section !== null));
  return { showRun: () => { stats.show(); worst.show(); } };
}
