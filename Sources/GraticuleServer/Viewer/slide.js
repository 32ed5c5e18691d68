// The slide page: zoom, layers, two runs side by side, and what the network says where one clicks.
import { api, fixed, frame, h, showError, statusChip, whole } from "/viewer/common.js";
import * as L from "/viewer/leaflet.esm.js";

frame();
const side = document.getElementById("side");
const stage = document.querySelector(".stage");
const id = location.pathname.split("/").pop();
const cellColors = ["#00e5d4", "#ffd400"];

/** Level-0 pixels as coordinates: x right, y down. At zoom z the screen shows DeepZoom level z. */
function coordinates(levels) {
  const last = levels - 1;
  return L.extend({}, L.CRS.Simple, {
    transformation: new L.Transformation(1, 0, 1, 0), infinite: true,
    scale: (zoom) => 2 ** (zoom - last), zoom: (scale) => Math.log2(scale) + last,
  });
}

const at = (x, y) => L.latLng(y, x);

/** DeepZoom tiles; those at the right and lower edge are smaller than the others. */
const DeepZoomLayer = L.GridLayer.extend({
  initialize(url, options) {
    this.url = url;
    L.GridLayer.prototype.initialize.call(this, options);
  },
  createTile({ x, y, z }, done) {
    const tile = L.DomUtil.create("div", "tile");
    const image = L.DomUtil.create("img", "", tile);
    const factor = this.getTileSize().x / this.options.nativeSize;
    image.alt = "";
    image.onload = () => {
      image.style.width = `${image.naturalWidth * factor}px`;
      done(null, tile);
    };
    image.onerror = () => done(new Error("tile"), tile);
    image.src = this.url(z, x, y);
    return tile;
  },
});

/** Squares on the slide, drawn tile by tile. */
const RegionLayer = L.GridLayer.extend({
  initialize(regions, color, options) {
    this.regions = regions;
    this.color = color;
    L.GridLayer.prototype.initialize.call(this, options);
  },
  createTile({ x, y, z }) {
    const size = this.getTileSize();
    const tile = L.DomUtil.create("canvas", "");
    tile.width = size.x;
    tile.height = size.y;
    const scale = this._map.options.crs.scale(z);
    const [left, top] = [x * size.x, y * size.y];
    const context = tile.getContext("2d");
    for (const region of this.regions) {
      const [rx, ry, rs] = [region.x * scale - left, region.y * scale - top, region.side * scale];
      if (rx > size.x || ry > size.y || rx + rs < 0 || ry + rs < 0) continue;
      const color = this.color(region);
      if (!color) continue;
      context.fillStyle = color;
      context.fillRect(rx, ry, rs, rs);
    }
    return tile;
  },
});

const classColor = (region) => `hsl(${275 - region.coarse_class * 2} ${55 + region.coarse_class * 4}% ${88 - region.coarse_class * 6.5}%)`;
const disagreementColor = (region) => {
  const z = region.disagreement;
  if (z === null || z === undefined) return null;
  const strength = Math.min(1, Math.abs(z) / 4);
  return z > 0 ? `rgb(209 72 11 / ${strength})` : `rgb(22 103 199 / ${strength})`;
};

let slide;
try {
  slide = await api(`/api/slides/${encodeURIComponent(id)}`);
} catch (error) {
  side.append(h("p"));
  showError(side.lastChild, error);
  throw error;
}
document.title = `${slide.name} – Graticule`;
const last = slide.levels - 1;
const bounds = L.latLngBounds(at(0, 0), at(slide.width, slide.height));
const map = L.map("map", {
  crs: coordinates(slide.levels), minZoom: Math.max(0, last - 12), maxZoom: last + 3, zoomSnap: 0.5, zoomDelta: 1, wheelPxPerZoomLevel: 90,
  attributionControl: false, zoomControl: true, preferCanvas: true, maxBounds: bounds.pad(0.6),
});
const tileOptions = { tileSize: slide.tile_size, nativeSize: slide.tile_size, maxNativeZoom: last, minNativeZoom: 0, maxZoom: last + 3, bounds, keepBuffer: 3, noWrap: true };
new DeepZoomLayer((z, x, y) => `/slides/${slide.id}_files/${z}/${x}_${y}.jpeg`, tileOptions).addTo(map);
map.on("zoomend", () => map.getContainer().classList.toggle("sharp", map.getZoom() > last));

// Runs: the first is shown, a second can be compared with it.
const shown = [null, null];
for (const [i, name] of ["first", "second"].entries()) {
  const pane = map.createPane(name);
  pane.style.zIndex = 410 + i;
  map.createPane(`${name}-overlay`).style.zIndex = 405 + i;
}
const paneNames = ["first", "second"];
const layerState = { probability: [false, 0.6], cells: [true, 1], classes: [false, 0.45], disagreement: [false, 0.7] };
let threshold = 0;
const wanted = new URLSearchParams(location.search);

class RunView {
  constructor(run, index) {
    this.run = run;
    this.index = index;
    const pane = `${paneNames[index]}-overlay`;
    this.probability = new DeepZoomLayer((z, x, y) => `/api/slides/${slide.id}/probability/${z}/${x}_${y}.png?run=${run.id}`, { ...tileOptions, pane, opacity: layerState.probability[1] });
    this.regions = [];
    this.classes = new RegionLayer([], classColor, { pane, opacity: layerState.classes[1] });
    this.disagreement = new RegionLayer([], disagreementColor, { pane, opacity: layerState.disagreement[1] });
    this.renderer = L.canvas({ pane: paneNames[index], padding: 0.3 });
    this.cells = L.geoJSON(null, {
      coordsToLatLng: ([x, y]) => at(x, y), renderer: this.renderer, pane: paneNames[index],
      style: (feature) => this.style(feature),
      pointToLayer: (feature, point) => L.circleMarker(point, { renderer: this.renderer, pane: paneNames[index], radius: Math.min(26, 4 + Math.sqrt(feature.properties.count)) }),
    }).bindTooltip((layer) => this.tooltip(layer.feature.properties), { sticky: true });
    this.histogram = null;
    this.refresh = this.refresh.bind(this);
    map.on("moveend", this.refresh);
  }

  style({ properties: p }) {
    const color = cellColors[this.index];
    const hidden = p.count === undefined && p.probability < threshold;
    return p.count === undefined
      ? { color, weight: map.getZoom() >= last ? 2 : 1.4, opacity: hidden ? 0 : layerState.cells[1], fill: !hidden, fillOpacity: 0.001 }
      : { color, weight: 1.5, opacity: layerState.cells[1], fillColor: color, fillOpacity: 0.35 * layerState.cells[1] };
  }

  tooltip(p) {
    const text = p.count === undefined ? `${p.area_um2.toFixed(0)} µm² · probability ${p.probability.toFixed(2)}` : `${whole(p.count)} lymphocytes here; zoom in to see each`;
    return h("span", {}, text);
  }

  async load() {
    const [histogram, regions] = await Promise.all([
      api(`/api/slides/${slide.id}/histogram?run=${this.run.id}`), this.run.regions ? api(`/api/slides/${slide.id}/regions?run=${this.run.id}`) : []]);
    this.histogram = histogram;
    this.regions = regions;
    this.classes.regions = regions;
    this.disagreement.regions = regions;
  }

  show() {
    for (const name of Object.keys(layerState)) {
      const [isOn, opacity] = layerState[name];
      const layer = this[name];
      if (isOn && !map.hasLayer(layer)) layer.addTo(map);
      if (!isOn && map.hasLayer(layer)) layer.remove();
      if (isOn && name !== "cells") layer.setOpacity(opacity);
    }
    if (layerState.cells[0]) this.refresh(); else this.cells.clearLayers();
  }

  restyle() { this.cells.setStyle((feature) => this.style(feature)); }

  async refresh() {
    if (!layerState.cells[0]) return;
    const view = map.getBounds().pad(0.15);
    const box = [view.getWest(), view.getNorth(), view.getEast(), view.getSouth()];
    // The y axis points down, so Leaflet's north is the lower number only after sorting.
    const bbox = [box[0], Math.min(box[1], box[3]), box[2], Math.max(box[1], box[3])].map((value) => value.toFixed(1)).join(",");
    this.request?.abort();
    this.request = new AbortController();
    try {
      const features = await api(`/api/slides/${slide.id}/cells?run=${this.run.id}&bbox=${bbox}&limit=4000`, { signal: this.request.signal });
      this.cells.clearLayers();
      this.cells.addData(features);
      stage.dataset[`cells${this.index}`] = String(features.features.length);
    } catch (error) {
      if (error.name !== "AbortError") notice(error.message);
    }
  }

  remove() {
    map.off("moveend", this.refresh);
    for (const name of Object.keys(layerState)) this[name].remove();
  }
}

// The panel at the side.
const where = document.getElementById("where");
function notice(text) { where.textContent = text; }
const stats = h("section");
const worst = h("section");
const count = h("div", { class: "big", id: "count" });
const slider = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, id: "threshold", "aria-label": "Least probability" });
const sliderText = h("span", { class: "number small" }, "0.00");
slider.addEventListener("input", () => {
  threshold = Number(slider.value);
  sliderText.textContent = threshold.toFixed(2);
  recount();
  for (const view of shown) view?.restyle();
});

function recount() {
  const view = shown[0];
  if (!view?.histogram) return;
  const cells = view.histogram[Math.round(threshold * 100)];
  const tissue = view.run.tissue_square_millimeters;
  count.replaceChildren(whole(cells), h("span", { class: "muted small" }, ` lymphocytes${tissue ? `, ${whole(cells / tissue)} per mm²` : ""}`));
}

const toggles = {};
function layerRow(name, title, key, color) {
  const check = h("input", { type: "checkbox", id: `layer-${name}`, "aria-keyshortcuts": key });
  const opacity = h("input", { type: "range", min: 0.05, max: 1, step: 0.05, value: layerState[name][1], "aria-label": `${title}: opacity` });
  check.checked = layerState[name][0];
  const apply = () => {
    layerState[name] = [check.checked, Number(opacity.value)];
    for (const view of shown) { view?.show(); if (name === "cells") view?.restyle(); }
    link();
  };
  check.addEventListener("change", apply);
  opacity.addEventListener("input", apply);
  toggles[key.toLowerCase()] = () => { check.checked = !check.checked; apply(); };
  return h("div", { class: "layer" }, check, h("label", { for: check.id }, h("span", { class: "swatch", "data-color": color }), title, " ", h("kbd", {}, key)), opacity);
}

const choices = ["Run", "Compare with"].map((title, index) => {
  const select = h("select", { id: `run-${index}`, "aria-label": title });
  if (index === 1) select.append(h("option", { value: "" }, "nothing"));
  for (const run of slide.runs) select.append(h("option", { value: run.id }, `${run.model} · run ${run.id}${run.status === "done" ? "" : ` (${run.status})`}`));
  select.addEventListener("change", () => choose(index, Number(select.value) || null));
  return select;
});

function showStats() {
  const run = shown[0]?.run;
  if (!run) { stats.replaceChildren(); return; }
  const rows = [["Tissue", `${fixed(run.tissue_square_millimeters)} mm²`], ["Covered by cells", `${fixed((run.covered_fraction ?? 0) * 100, 1)} %`],
    ["Mean area", `${fixed(run.mean_area_square_microns, 1)} µm²`], ["Nearest neighbour index", fixed(run.nearest_neighbor_index)], ["Seam score", fixed(run.seam_score)],
    ["Flagged squares, unreadable tiles", `${run.flagged_squares}, ${run.unreadable_tiles}`]];
  stats.replaceChildren(h("h2", {}, "Result ", statusChip(run.status)), count,
    h("label", { class: "row small muted", for: "threshold" }, "Probability at least ", sliderText), slider,
    h("dl", { class: "stat" }, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
  recount();
}

let worstIndex = -1;
function showWorst() {
  const regions = (shown[0]?.regions ?? []).filter((region) => region.disagreement !== null && region.disagreement !== undefined).slice(0, 100);
  if (!regions.length) { worst.replaceChildren(); return; }
  worst.replaceChildren(h("h2", {}, "Worst disagreement ", h("kbd", {}, "N"), " ", h("kbd", {}, "B")),
    h("p", { class: "small muted row" }, "Coarse label against the network: class, expected → found, deviations."),
    h("ol", { class: "worst", id: "worst" }, regions.map((region, i) => h("li", {}, h("button", { onclick: () => visit(i) },
      h("span", {}, `cl. ${region.coarse_class}`), h("span", {}, `${(region.expected * 100).toFixed(1)} → ${(region.predicted * 100).toFixed(1)} %`),
      h("b", {}, `${region.disagreement > 0 ? "+" : "−"}${Math.abs(region.disagreement).toFixed(1)}`))))));
}

const mark = L.rectangle([[0, 0], [0, 0]], { color: "#6a2c91", weight: 3, fill: false, interactive: false });
function visit(index) {
  const regions = shown[0]?.regions ?? [];
  if (!regions.length) return;
  worstIndex = (index + regions.length) % regions.length;
  const region = regions[worstIndex];
  mark.setBounds(L.latLngBounds(at(region.x, region.y), at(region.x + region.side, region.y + region.side))).addTo(map);
  map.setView(at(region.x + region.side / 2, region.y + region.side / 2), last);
}

async function choose(index, runID) {
  shown[index]?.remove();
  shown[index] = null;
  const run = slide.runs.find((candidate) => candidate.id === runID);
  if (run) {
    const view = new RunView(run, index);
    shown[index] = view;
    try { await view.load(); } catch (error) { notice(error.message); }
    if (shown[index] !== view) return;
    view.show();
  }
  showSwipe();
  if (index === 0) { showStats(); showWorst(); }
  link();
}

// Swipe: the first run left of the bar, the second right of it.
const swipe = document.getElementById("swipe");
let split = 0.5;
function showSwipe() {
  const isComparing = shown[0] !== null && shown[1] !== null;
  swipe.classList.toggle("hidden", !isComparing);
  clip();
}
function clip() {
  const size = map.getSize();
  swipe.style.left = `${split * size.x}px`;
  const [nw, se] = [map.containerPointToLayerPoint([0, 0]), map.containerPointToLayerPoint(size)];
  const middle = nw.x + split * size.x;
  const isComparing = shown[0] !== null && shown[1] !== null;
  for (const [i, name] of paneNames.entries()) {
    const [from, to] = i === 0 ? [nw.x, middle] : [middle, se.x];
    const rect = isComparing ? `rect(${nw.y}px, ${to}px, ${se.y}px, ${from}px)` : "";
    map.getPane(name).style.clip = rect;
    map.getPane(`${name}-overlay`).style.clip = rect;
  }
}
map.on("move zoom resize", clip);
swipe.addEventListener("pointerdown", (event) => {
  swipe.setPointerCapture(event.pointerId);
  const move = (next) => { split = Math.max(0.02, Math.min(0.98, (next.clientX - stage.getBoundingClientRect().left) / stage.clientWidth)); clip(); };
  swipe.addEventListener("pointermove", move);
  swipe.addEventListener("pointerup", () => swipe.removeEventListener("pointermove", move), { once: true });
});
swipe.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
  if (step) { split = Math.max(0.02, Math.min(0.98, split + step)); clip(); event.stopPropagation(); }
});

// Predict here.
const predictButton = h("button", { id: "predict", "aria-pressed": "false" }, "Predict here ", h("kbd", {}, "H"));
const predictText = h("p", { class: "small muted", role: "status", id: "prediction" }, "The network on the 512 px that you click.");
const predictModel = h("select", { "aria-label": "Model" });
const predicted = L.layerGroup().addTo(map);
let isPredicting = false;
function togglePredict() {
  isPredicting = !isPredicting;
  predictButton.setAttribute("aria-pressed", String(isPredicting));
  map.getContainer().classList.toggle("predicting", isPredicting);
}
predictButton.addEventListener("click", togglePredict);
toggles.h = togglePredict;
map.on("click", async ({ latlng }) => {
  if (!isPredicting) return;
  const size = 512 * Math.max(0.25, 0.5 / (slide.microns_per_pixel ?? 0.5));
  predictText.textContent = "Computing …";
  try {
    const answer = await api("/api/predict", { body: { slide: slide.id, x: latlng.lng - size / 2, y: latlng.lat - size / 2, size, model: predictModel.value || null } });
    const { frame: f, cells, seconds, mean_probability: mean } = answer.prediction;
    predicted.clearLayers();
    predicted.addLayer(L.rectangle(L.latLngBounds(at(f.x, f.y), at(f.x + f.width, f.y + f.height)), { color: "#111", dashArray: "6 5", weight: 1.5, fill: false, interactive: false }));
    predicted.addLayer(L.geoJSON(answer.features, { coordsToLatLng: ([x, y]) => at(x, y), style: { color: "#ff3df2", weight: 2, fillOpacity: 0.12 } })
      .bindTooltip((layer) => h("span", {}, `${layer.feature.properties.area_um2.toFixed(0)} µm² · probability ${layer.feature.properties.probability.toFixed(2)}`), { sticky: true }));
    predictText.textContent = `${whole(cells)} lymphocytes, mean probability ${mean.toFixed(3)}, in ${seconds.toFixed(2)} s.`;
  } catch (error) {
    predictText.textContent = error.message;
  }
});

// Go to a place.
const place = h("input", { id: "goto", placeholder: "x, y", size: 16, "aria-label": "Go to x, y in level-0 pixels" });
function go() {
  const [x, y] = place.value.split(/[,\s]+/).map(Number);
  if (Number.isFinite(x) && Number.isFinite(y)) map.setView(at(x, y), Math.max(map.getZoom(), last - 1));
}
place.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });

// Scale, place and overview.
const scale = document.getElementById("scale");
const line = h("div", { class: "barline" });
const lineText = h("span");
scale.append(line, lineText);
function drawScale() {
  const perPixel = (slide.microns_per_pixel ?? 0) / map.options.crs.scale(map.getZoom());
  scale.classList.toggle("hidden", !perPixel);
  if (!perPixel) return;
  const most = 130 * perPixel;
  const base = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((factor) => factor * base).find((value) => value <= most) ?? base;
  line.style.width = `${length / perPixel}px`;
  const magnification = 10 / perPixel;
  lineText.textContent = `${length >= 1000 ? `${length / 1000} mm` : `${length} µm`} · ${magnification >= 1 ? magnification.toFixed(magnification < 10 ? 1 : 0) : magnification.toPrecision(2)}×`;
}
map.on("zoom zoomend", drawScale);
map.on("mousemove", ({ latlng }) => notice(`x ${whole(latlng.lng)}  y ${whole(latlng.lat)}`));

const minimap = document.getElementById("minimap");
const thumbnail = h("img", { src: `/slides/${slide.id}/thumbnail.jpeg`, alt: "Overview" });
const box = h("div", { class: "frame" });
minimap.append(thumbnail, box);
function drawFrame() {
  const view = map.getBounds();
  const [w, hgt] = [thumbnail.clientWidth / slide.width, thumbnail.clientHeight / slide.height];
  const clamp = (value, most) => Math.max(0, Math.min(most, value));
  const [x0, x1] = [clamp(view.getWest(), slide.width), clamp(view.getEast(), slide.width)];
  const ys = [view.getNorth(), view.getSouth()].map((y) => clamp(y, slide.height)).sort((a, b) => a - b);
  box.style.left = `${4 + x0 * w}px`;
  box.style.top = `${4 + ys[0] * hgt}px`;
  box.style.width = `${(x1 - x0) * w}px`;
  box.style.height = `${(ys[1] - ys[0]) * hgt}px`;
}
thumbnail.addEventListener("load", drawFrame);
map.on("move zoomend", drawFrame);
minimap.addEventListener("click", (event) => {
  const rect = thumbnail.getBoundingClientRect();
  map.panTo(at(((event.clientX - rect.left) / rect.width) * slide.width, ((event.clientY - rect.top) / rect.height) * slide.height));
});

// The address bar holds the view, so that it can be sent to a colleague.
function link() {
  const centre = map.getCenter();
  const layers = Object.keys(layerState).filter((name) => layerState[name][0]).join("+");
  const runs = shown.map((view) => view?.run.id ?? "").join("+");
  history.replaceState(null, "", `?runs=${runs}&layers=${layers}#${centre.lng.toFixed(1)},${centre.lat.toFixed(1)},${map.getZoom()}`);
}
map.on("moveend", link);

const help = document.getElementById("help");
help.append(h("h2", {}, "Keyboard"), h("dl", { class: "stat" }, [["C", "cell outlines"], ["P", "probability"], ["K", "coarse classes"], ["D", "disagreement"],
  ["N  B", "next, previous disagreement"], ["H", "predict here"], ["G", "go to x, y"], ["0", "whole slide"], ["1", "full resolution"], ["+  −", "zoom"], ["← → ↑ ↓", "move"], ["?", "this list"]]
  .flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])), h("form", { method: "dialog" }, h("button", {}, "Close")));
Object.assign(toggles, { n: () => visit(worstIndex + 1), b: () => visit(worstIndex - 1), g: () => place.focus(), 0: () => map.fitBounds(bounds), 1: () => map.setZoom(last), "?": () => help.showModal() });
document.addEventListener("keydown", (event) => {
  if (["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName) && event.target.type !== "checkbox" || event.ctrlKey || event.metaKey || event.altKey) return;
  const action = toggles[event.key.toLowerCase()];
  if (action) { event.preventDefault(); action(); }
});

for (const name of (wanted.get("layers") ?? "").split(/[+ ]/).filter(Boolean)) if (layerState[name]) layerState[name][0] = true;
if (wanted.has("layers") && !wanted.get("layers").includes("cells")) layerState.cells[0] = false;
side.append(
  h("section", {}, h("h1", {}, slide.name), h("div", { class: "small muted number" }, `${whole(slide.width)} × ${whole(slide.height)} px`
    + (slide.microns_per_pixel ? ` · ${fixed(slide.microns_per_pixel, 3)} µm/px` : " · no scale") + (slide.objective_power ? ` · ${slide.objective_power}×` : ""))),
  ...(slide.notice ? [h("p", { class: "error", role: "alert" }, slide.notice)] : []),
  slide.runs.length ? h("section", {}, h("label", { class: "small muted", for: "run-0" }, "Run"), choices[0], h("label", { class: "small muted", for: "run-1" }, "Compare with (swipe)"), choices[1])
    : h("p", { class: "muted" }, "This slide has not been segmented yet. ", h("a", { href: "/jobs" }, "Add a job")),
  stats,
  slide.runs.length ? h("section", {}, h("h2", {}, "Layers"), h("div", { class: "toggle-list" }, layerRow("cells", "Cells", "C", "cells"), layerRow("probability", "Probability", "P", "probability"),
    layerRow("classes", "Coarse classes", "K", "classes"), layerRow("disagreement", "Disagreement", "D", "disagreement"))) : null,
  worst,
  h("section", {}, h("h2", {}, "Look here"), h("div", { class: "row" }, predictButton, predictModel), predictText, h("div", { class: "row" }, place, h("button", { onclick: go }, "Go ", h("kbd", {}, "G")), h("button", { onclick: () => help.showModal() }, "Keys ", h("kbd", {}, "?")))));

const [x, y, zoom] = location.hash.slice(1).split(",").map(Number);
if ([x, y, zoom].every(Number.isFinite) && location.hash) map.setView(at(x, y), zoom); else map.fitBounds(bounds);
drawScale();
const named = (wanted.get("runs") ?? "").split(/[+ ]/).map(Number);
const first = slide.runs.find((run) => run.id === named[0]) ?? slide.runs[0];
if (first) { choices[0].value = first.id; await choose(0, first.id); }
if (named[1]) { choices[1].value = named[1]; await choose(1, named[1]); }
try {
  const models = await api("/api/models");
  predictModel.append(...models.map((name) => h("option", { value: name }, name)));
  predictModel.classList.toggle("hidden", models.length < 2);
  predictButton.disabled = !models.length;
  if (!models.length) predictText.textContent = "No model is at hand: start the service with --models.";
} catch (error) {
  predictText.textContent = error.message;
}
/** For the tests: a place on the slide as a place on the page. */
window.graticule = { map, pagePoint: (px, py) => { const p = map.latLngToContainerPoint(at(px, py)); const r = map.getContainer().getBoundingClientRect(); return [p.x + r.left, p.y + r.top]; } };
document.body.dataset.ready = "yes";
