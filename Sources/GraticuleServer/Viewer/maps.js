// The map of land: an image in its own projection, its coarse classes, and what networks find where one clicks.
import { api, frame, h, showError } from "/viewer/common.js";
import { createPaint } from "/viewer/maps-paint.js";
import { createPanel, imageChoice } from "/viewer/maps-panel.js";
import { addMetres, at, makeMap, rectangle, DeepZoomLayer } from "/viewer/slide-map.js";
import { createSwipe } from "/viewer/swipe.js";
import * as L from "/viewer/leaflet.esm.js";

frame();
const wanted = new URLSearchParams(location.search);
const side = document.getElementById("side");

/** What the service has, and the image of the address or the first; where that fails, others can be chosen. */
async function load() {
  let there = null;
  let name = null;
  try {
    there = await api("/api/maps");
    name = there.images.includes(wanted.get("image")) ? wanted.get("image") : there.images[0];
    return { there, image: await api(`/api/maps/${encodeURIComponent(name)}`) };
  } catch (error) {
    const message = h("p");
    if (there) side.append(h("section", {}, h("h2", {}, "Land"), imageChoice(there.images, name)));
    side.append(message);
    showError(message, error);
    throw error;
  }
}

const within = (text, least, most, otherwise) => {
  const value = text === null || text === "" ? NaN : Number(text);
  return value >= least && value <= most ? value : otherwise;
};

const { there, image } = await load();
document.title = `${image.name} – Graticule`;
const models = wanted.getAll("model");
const state = {
  there,
  image,
  /** As many decimals of coordinates as tell pixels apart. */
  digits: Math.max(1, Math.min(9, Math.ceil(-Math.log10(Math.hypot(image.transform?.[1] ?? 1, image.transform?.[4] ?? 0))) + 1)),
  path: `/api/maps/${encodeURIComponent(image.name)}`,
  /** Layers by name: whether they are on, and their opacity. */
  layers: { image: [true, 1], coarse: [false, 0.6], truth: [false, 0.7], network: [true, 0.75] },
  /** The models on the left and on the right of the bar; the second may be none. */
  models: [there.models.includes(models[0]) ? models[0] : there.models[0] ?? null, there.models.includes(models[1]) ? models[1] : null],
  /** The factor of each label by its name. */
  weights: Object.fromEntries((wanted.get("weights") ?? "").split(",").map((part) => part.split("=")).filter(([, value]) => within(value, 0, 64) !== undefined)
    .map(([name, value]) => [name, Number(value)])),
  split: within(wanted.get("swipe"), 0.02, 0.98, 0.5),
};
const named = wanted.get("layers")?.split(" ");
Object.entries(state.layers).forEach(([name, layer], i) => {
  if (named) layer[0] = named.includes(name);
  layer[1] = within(wanted.get("opacities")?.split(" ")[i], 5, 100, layer[1] * 100) / 100;
});

const last = image.levels - 1;
const bounds = rectangle(0, 0, image.width, image.height);
const map = makeMap(last, bounds);
addMetres(image.metres?.[0], map);

const tileOptions = {
  tileSize: image.tile_size, nativeSize: image.tile_size, maxNativeZoom: last, minNativeZoom: 0, maxZoom: last + 3, bounds, keepBuffer: 3, noWrap: true,
};
for (const [i, name] of ["left", "right"].entries()) map.createPane(name).style.zIndex = 420 + i;
const tiles = {};
for (const [i, name] of ["image", "coarse", "truth"].entries()) {
  if (name !== "image" && !image[name]) continue;
  map.createPane(name).style.zIndex = 300 + i;
  tiles[name] = new DeepZoomLayer((z, x, y) => `/maps/${encodeURIComponent(image.name)}/${name}/${z}/${x}_${y}.${name === "image" ? "jpeg" : "png"}`,
    { ...tileOptions, pane: name });
}

const where = document.getElementById("where");
const paint = createPaint(state, map, where);
const swipe = createSwipe(state, map, { panes: [["left"], ["right"]], isComparing: () => Boolean(state.models[1]), moved: () => link() });

/** Shows what is on, and how strongly. */
function showLayers() {
  for (const [name, layer] of Object.entries(tiles)) {
    const [isOn, opacity] = state.layers[name];
    map.getPane(name).style.opacity = opacity;
    if (isOn) layer.addTo(map); else layer.remove();
  }
  const [isOn, opacity] = state.layers.network;
  for (const pane of ["left", "right"]) {
    map.getPane(pane).style.opacity = opacity;
    map.getPane(pane).style.display = isOn ? "" : "none";
  }
  swipe.show();
  link();
}

/** Writes the view into the address bar, so that it can be sent to a colleague. */
function link() {
  if (!map._loaded) return;
  const centre = map.getCenter();
  const query = new URLSearchParams({ image: image.name });
  for (const model of state.models.filter(Boolean)) query.append("model", model);
  query.set("layers", Object.keys(state.layers).filter((name) => state.layers[name][0]).join(" "));
  query.set("opacities", Object.values(state.layers).map(([, opacity]) => Math.round(100 * opacity)).join(" "));
  const weights = Object.entries(state.weights).filter(([, value]) => value !== 1).map(([name, value]) => `${name}=${value}`).join(",");
  if (weights) query.set("weights", weights);
  if (state.models[1]) query.set("swipe", state.split.toFixed(3));
  history.replaceState(null, "", `?${query}#${centre.lng.toFixed(1)},${centre.lat.toFixed(1)},${map.getZoom()}`);
}

/** Where a pixel lies in the image's CRS. */
function place(column, row) {
  const c = image.transform;
  return c ? [c[0] + c[1] * column + c[2] * row, c[3] + c[4] * column + c[5] * row] : null;
}

map.on("mousemove", ({ latlng: { lng: column, lat: row } }) => {
  const ground = place(column, row);
  where.textContent = `${ground ? `x ${ground[0].toFixed(state.digits)}  y ${ground[1].toFixed(state.digits)}  ` : ""}pixel ${Math.floor(column)}, ${Math.floor(row)}`;
});
map.on("moveend", link);

const panel = createPanel(state, map, { paint, showLayers, link, swipe });
map.on("click", ({ latlng: { lng: column, lat: row } }) => {
  panel.showPlace(Math.floor(column), Math.floor(row));
  paint.click(column, row);
});

showLayers();
const [x, y, zoom] = location.hash.slice(1).split(",").map(Number);
if ([x, y, zoom].every(Number.isFinite)) map.setView(at(x, y), zoom); else map.fitBounds(bounds);

/** For the tests: a pixel of the image as a place on the page. */
function pagePoint(column, row) {
  const point = map.latLngToContainerPoint(at(column, row));
  const box = map.getContainer().getBoundingClientRect();
  return [point.x + box.left, point.y + box.top];
}
window.graticule = { map, pagePoint, paint, state };
document.body.dataset.ready = "yes";
