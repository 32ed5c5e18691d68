// What a run shows on the map: outlines of cells, probability, coarse classes and disagreement; and the switches for them.
import { api, h, whole } from "/viewer/common.js";
import * as L from "/viewer/leaflet.esm.js";
import { DeepZoomLayer, pointAt, rectangle, sides } from "/viewer/slide-map.js";

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

/** Pale to dark green: tissue is pink and violet, and green is told from both, by the colour-blind too by its lightness. */
const classColor = ({ coarse_class: c }) => `hsl(${95 + c * 6} ${45 + c * 3}% ${88 - c * 7.5}%)`;

/** From transparent over teal to yellow, as the service paints probabilities; v from 0 to 1. */
function paint(v, pixels, i) {
  if (v <= 0.02) { pixels[i + 3] = 0; return; }
  pixels[i] = 255 * v * v;
  pixels[i + 1] = 130 + 105 * v;
  pixels[i + 2] = 136 - 80 * v;
  pixels[i + 3] = 255 * Math.sqrt(v);
}

/** Cells on a mm² that get the strongest colour of the density map. */
const fullDensity = 4000;

function densityColor(perSquareMillimeter) {
  const pixel = [0, 0, 0, 0];
  paint(Math.min(1, perSquareMillimeter / fullDensity), pixel, 0);
  return `rgb(${pixel.slice(0, 3).map(Math.round).join(" ")} / ${(pixel[3] / 255) * 0.85})`;
}

/** Probability tiles that can be painted anew with another weight of the label, without the network: p' = w p / (w p + 1 − p). */
const ProbabilityLayer = DeepZoomLayer.extend({
  weight: 1,
  createTile({ x, y, z }, done) {
    const tile = L.DomUtil.create("div", "tile");
    const canvas = L.DomUtil.create("canvas", "", tile);
    const image = new Image();
    const factor = this.getTileSize().x / this.options.nativeSize;
    image.onload = () => {
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      canvas.style.width = `${image.naturalWidth * factor}px`;
      canvas.style.display = "block";
      tile.source = image;
      tile.isProbability = z >= this.options.firstProbability;
      this.paintTile(tile);
      done(null, tile);
    };
    image.onerror = () => done(new Error("tile"), tile);
    image.src = this.url(z, x, y);
    return tile;
  },
  paintTile(tile) {
    const canvas = tile.firstChild;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(tile.source, 0, 0);
    if (this.weight === 1 || !tile.isProbability) return;
    const data = context.getImageData(0, 0, canvas.width, canvas.height);
    const pixels = data.data;
    for (let i = 0; i < pixels.length; i += 4) {
      const p = (pixels[i + 3] / 255) ** 2;
      if (p > 0) paint((this.weight * p) / (this.weight * p + 1 - p), pixels, i);
    }
    context.putImageData(data, 0, 0);
  },
  setWeight(weight) {
    this.weight = weight;
    for (const { el } of Object.values(this._tiles)) if (el.source) this.paintTile(el);
  },
});

function disagreementColor({ disagreement: z }) {
  if (z === null || z === undefined) return null;
  const strength = Math.min(1, Math.abs(z) / 4);
  return z > 0 ? `rgb(209 72 11 / ${strength})` : `rgb(22 103 199 / ${strength})`;
}

/** What is said of a cell where the pointer is. */
export function cellText({ id, area_um2: area, probability }) {
  return `${id === undefined ? "" : `cell ${id} · `}${area.toFixed(0)} µm² · probability ${probability.toFixed(2)}`;
}

/** One run on the map. A feature with a count stands for many cells: further out there is no room for each. */
export class RunView {
  constructor(state, view, run, index) {
    Object.assign(this, { state, map: view.map, notice: view.notice, last: view.last, run, index, regions: [], histogram: null });
    const pane = `${paneNames[index]}-overlay`;
    const options = (name) => ({ pane, opacity: state.layers[name][1] });
    this.path = (what) => `/api/slides/${state.slide.id}/${what}?run=${run.id}`;
    // Farther out than 1.1 µm a pixel, the tiles show the share that cells cover, which has no weight.
    const firstProbability = view.last - Math.log2(1.1 / (state.slide.microns_per_pixel ?? 0.5));
    this.probability = new ProbabilityLayer((z, x, y) => this.path(`probability/${z}/${x}_${y}.png`), { ...view.tileOptions, ...options("probability"), firstProbability });
    this.probability.weight = state.weight;
    this.classes = new RegionLayer(classColor, options("classes"));
    this.disagreement = new RegionLayer(disagreementColor, options("disagreement"));
    this.cells = this.makeCells(paneNames[index]);
    this.refresh = this.refresh.bind(this);
    this.map.on("moveend", this.refresh);
  }

  makeCells(pane) {
    const renderer = L.canvas({ pane, padding: 0.3 });
    const layer = L.geoJSON(null, {
      coordsToLatLng: pointAt, renderer, pane, style: (feature) => this.style(feature),
      pointToLayer: ({ properties: { x, y, side } }) => L.rectangle(rectangle(x, y, side, side), { renderer, pane }),
      onEachFeature: (feature, path) => {
        if (feature.properties.count !== undefined) return;
        path.on("mouseover", () => path.setStyle({ color: "#ffffff", weight: 3.5 }));
        path.on("mouseout", () => path.setStyle(this.style(feature)));
        path.on("click", (event) => this.state.onCell?.(feature, event));
      },
    });
    return layer.bindTooltip(({ feature: { properties: p } }) =>
      h("span", {}, p.count === undefined ? cellText(p) : `${whole(this.density(p))} lymphocytes per mm² here; zoom in to see each`), { sticky: true });
  }

  /** Cells per mm² of a square of the density map. */
  density({ count, side }) {
    const microns = this.state.slide.microns_per_pixel;
    return microns ? (count / (side * microns) ** 2) * 1e6 : count;
  }

  style({ properties: p }) {
    const color = cellColors[this.index];
    const opacity = this.state.layers.cells[1];
    if (p.count !== undefined) return { stroke: false, fill: true, fillColor: densityColor(this.density(p)), fillOpacity: opacity };
    const hidden = p.probability < this.state.threshold;
    const isMeant = p.id === this.state.cell;
    // Filled, if only just, so that the pointer finds a cell from within.
    return { color: isMeant ? "#ff3df2" : color, weight: isMeant ? 4 : this.map.getZoom() >= this.last ? 2 : 1.4, opacity: hidden ? 0 : opacity, fill: !hidden, fillOpacity: 0.001 };
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
    // Where a cell is a dot, outlines run into each other: a density map then.
    const microns = (this.state.slide.microns_per_pixel ?? 0.5) * 2 ** (this.last - this.map.getZoom());
    const limit = microns > 4 ? 1 : 4000;
    this.request?.abort();
    this.request = new AbortController();
    try {
      const features = await api(`${this.path("cells")}&bbox=${box}&limit=${limit}`, { signal: this.request.signal });
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

const legends = {
  cells: "An outline a cell; zoomed out, a density map: transparent none, teal some, yellow 4,000 per mm² and more.",
  probability: "How likely each pixel is lymphocyte: transparent 0, teal ½, yellow 1. Zoomed out, the share that cells cover.",
  classes: "The heatmap's own label: pale none, dark green near certain.",
  disagreement: "Blue: the label says more than the network finds. Orange: the network finds more. Stronger is farther apart.",
};

/** The weight of the label lymphocyte against the other: what the network would paint if it were rarer, or more common. */
function weightRow(state, view) {
  const text = h("span", { class: "number small" });
  const slider = h("input", { type: "range", min: -4, max: 4, step: 0.25, value: Math.log2(state.weight), id: "weight", "aria-label": "Weight of lymphocyte" });
  function apply() {
    state.weight = 2 ** Number(slider.value);
    text.textContent = `× ${state.weight < 10 ? state.weight.toPrecision(2) : Math.round(state.weight)}`;
    for (const run of state.shown) run?.probability.setWeight(state.weight);
    view.link();
  }
  slider.addEventListener("input", apply);
  text.textContent = `× ${state.weight.toPrecision(2)}`;
  return h("div", { class: "layer" }, h("span", { class: "box" }), h("label", { for: "weight" }, "Weight of lymphocyte ", text), slider,
    h("div", { class: "legend small muted" }, "Repaints the probability layer, zoomed in, as if lymphocytes were so many times as common."));
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
    h("label", { for: check.id }, title, " ", h("kbd", {}, key)), opacity,
    h("div", { class: "legend small muted" }, h("span", { class: "swatch wide", "data-color": name }), legends[name]));
}

export function createLayers(state, view) {
  for (const [i, name] of paneNames.entries()) {
    view.map.createPane(name).style.zIndex = 410 + i;
    view.map.createPane(`${name}-overlay`).style.zIndex = 405 + i;
  }
  // A slide without a run has nothing to switch, by key or otherwise.
  const rows = !state.slide.runs.length ? [] : [["cells", "Cells", "C"], ["probability", "Probability", "P"],
    ["classes", "Coarse classes", "K"], ["disagreement", "Disagreement", "D"]]
    .filter(([name]) => state.slide.runs.some((run) => run.regions) || !["classes", "disagreement"].includes(name)).map((row) => layerRow(state, view, ...row));
  if (rows.length) rows.splice(2, 0, weightRow(state, view));
  return { rows };
}
