// What a run shows on the map: outlines of cells, probability, coarse classes and disagreement; and the switches for them.
import { api, h, whole } from "/viewer/common.js";
import * as L from "/viewer/leaflet.esm.js";
import { DeepZoomLayer, pointAt, sides } from "/viewer/slide-map.js";

/** A pane for each of the two runs, so that the swipe can clip them. */
export const paneNames = ["first", "second"];
const cellColors = ["#00e5d4", "#ffd400"];

/** Squares on the slide, drawn tile by tile. */
const RegionLayer = L.GridLayer.extend({
  initialize(color, options) {
    this.regions = [];
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

const classColor = ({ coarse_class: c }) => `hsl(${275 - c * 2} ${55 + c * 4}% ${88 - c * 6.5}%)`;

function disagreementColor({ disagreement: z }) {
  if (z === null || z === undefined) return null;
  const strength = Math.min(1, Math.abs(z) / 4);
  return z > 0 ? `rgb(209 72 11 / ${strength})` : `rgb(22 103 199 / ${strength})`;
}

/** What is said of a cell where the pointer is. */
export function cellText({ area_um2: area, probability }) {
  return `${area.toFixed(0)} µm² · probability ${probability.toFixed(2)}`;
}

/** One run on the map. A feature with a count stands for many cells: further out there is no room for each. */
export class RunView {
  constructor(state, view, run, index) {
    Object.assign(this, { state, map: view.map, notice: view.notice, last: view.last, run, index, regions: [], histogram: null });
    const pane = `${paneNames[index]}-overlay`;
    const options = (name) => ({ pane, opacity: state.layers[name][1] });
    this.path = (what) => `/api/slides/${state.slide.id}/${what}?run=${run.id}`;
    this.probability = new DeepZoomLayer((z, x, y) => this.path(`probability/${z}/${x}_${y}.png`), { ...view.tileOptions, ...options("probability") });
    this.classes = new RegionLayer(classColor, options("classes"));
    this.disagreement = new RegionLayer(disagreementColor, options("disagreement"));
    this.cells = this.makeCells(paneNames[index]);
    this.refresh = this.refresh.bind(this);
    this.map.on("moveend", this.refresh);
  }

  makeCells(pane) {
    const renderer = L.canvas({ pane, padding: 0.3 });
    return L.geoJSON(null, {
      coordsToLatLng: pointAt, renderer, pane, style: (feature) => this.style(feature),
      pointToLayer: ({ properties }, point) => L.circleMarker(point, { renderer, pane, radius: Math.min(26, 4 + Math.sqrt(properties.count)) }),
    }).bindTooltip(({ feature: { properties: p } }) =>
      h("span", {}, p.count === undefined ? cellText(p) : `${whole(p.count)} lymphocytes here; zoom in to see each`), { sticky: true });
  }

  style({ properties: p }) {
    const color = cellColors[this.index];
    const opacity = this.state.layers.cells[1];
    if (p.count !== undefined) return { color, weight: 1.5, opacity, fillColor: color, fillOpacity: 0.35 * opacity };
    const hidden = p.probability < this.state.threshold;
    // Filled, if only just, so that the pointer finds a cell from within.
    return { color, weight: this.map.getZoom() >= this.last ? 2 : 1.4, opacity: hidden ? 0 : opacity, fill: !hidden, fillOpacity: 0.001 };
  }

  async load() {
    const [histogram, regions] = await Promise.all([api(this.path("histogram")), this.run.regions ? api(this.path("regions")) : []]);
    this.histogram = histogram;
    this.regions = this.classes.regions = this.disagreement.regions = regions;
  }

  show() {
    for (const [name, [isOn, opacity]] of Object.entries(this.state.layers)) {
      const layer = this[name];
      if (isOn && !this.map.hasLayer(layer)) layer.addTo(this.map);
      if (!isOn && this.map.hasLayer(layer)) layer.remove();
      if (isOn && name !== "cells") layer.setOpacity(opacity);
    }
    if (this.state.layers.cells[0]) this.refresh(); else this.cells.clearLayers();
  }

  restyle() { this.cells.setStyle((feature) => this.style(feature)); }

  /** Asks for the cells in view; what was asked for an earlier view is no longer wanted. */
  async refresh() {
    if (!this.state.layers.cells[0]) return;
    const box = sides(this.map.getBounds().pad(0.15)).map((value) => value.toFixed(1)).join(",");
    this.request?.abort();
    this.request = new AbortController();
    try {
      const features = await api(`${this.path("cells")}&bbox=${box}&limit=4000`, { signal: this.request.signal });
      this.cells.clearLayers();
      this.cells.addData(features);
      document.querySelector(".stage").dataset[`cells${this.index}`] = String(features.features.length);
    } catch (error) {
      if (error.name !== "AbortError") this.notice(error.message);
    }
  }

  remove() {
    this.map.off("moveend", this.refresh);
    for (const name of Object.keys(this.state.layers)) this[name].remove();
  }
}

/** A switch with its key, and the layer's opacity. */
function layerRow(state, view, name, title, key) {
  const [isOn, value] = state.layers[name];
  const check = h("input", { type: "checkbox", id: `layer-${name}`, "aria-keyshortcuts": key });
  const opacity = h("input", { type: "range", min: 0.05, max: 1, step: 0.05, value, "aria-label": `${title}: opacity` });
  check.checked = isOn;
  const apply = () => {
    state.layers[name] = [check.checked, Number(opacity.value)];
    for (const run of state.shown) { run?.show(); if (name === "cells") run?.restyle(); }
    view.link();
  };
  check.addEventListener("change", apply);
  opacity.addEventListener("input", apply);
  state.keys[key.toLowerCase()] = () => { check.checked = !check.checked; apply(); };
  return h("div", { class: "layer" }, check,
    h("label", { for: check.id }, h("span", { class: "swatch", "data-color": name }), title, " ", h("kbd", {}, key)), opacity);
}

export function createLayers(state, view) {
  for (const [i, name] of paneNames.entries()) {
    view.map.createPane(name).style.zIndex = 410 + i;
    view.map.createPane(`${name}-overlay`).style.zIndex = 405 + i;
  }
  // A slide without a run has nothing to switch, by key or otherwise.
  const rows = !state.slide.runs.length ? [] : [["cells", "Cells", "C"], ["probability", "Probability", "P"],
    ["classes", "Coarse classes", "K"], ["disagreement", "Disagreement", "D"]].map((row) => layerRow(state, view, ...row));
  return { rows };
}
