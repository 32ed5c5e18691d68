// The map of a slide: its tiles, scale, overview, the place under the pointer, and the view in the address bar.
import { h, whole } from "/viewer/common.js";
import * as L from "/viewer/leaflet.esm.js";

/** Level-0 pixels as Leaflet's places. */
export const at = (x, y) => L.latLng(y, x);
export const rectangle = (x, y, width, height) => L.latLngBounds(at(x, y), at(x + width, y + height));
export const pointAt = ([x, y]) => at(x, y);

/** Left, top, right and bottom. The y axis points down, so Leaflet's north is the lower number only after sorting. */
export function sides(bounds) {
  const [top, bottom] = [bounds.getNorth(), bounds.getSouth()].sort((a, b) => a - b);
  return [bounds.getWest(), top, bounds.getEast(), bottom];
}

/** Level-0 pixels as coordinates: x right, y down. At zoom z the screen shows DeepZoom level z. */
function coordinates(last) {
  return L.extend({}, L.CRS.Simple, {
    transformation: new L.Transformation(1, 0, 1, 0), infinite: true,
    scale: (zoom) => 2 ** (zoom - last), zoom: (scale) => Math.log2(scale) + last,
  });
}

/** DeepZoom tiles; those at the right and lower edge are smaller than the others. */
export const DeepZoomLayer = L.GridLayer.extend({
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

/** An empty map of an image whose last level has its own pixels. */
export function makeMap(last, bounds) {
  const map = L.map("map", {
    crs: coordinates(last), minZoom: Math.max(0, last - 12), maxZoom: last + 3, zoomSnap: 0.5, zoomDelta: 1, wheelPxPerZoomLevel: 90,
    attributionControl: false, zoomControl: true, preferCanvas: true, maxBounds: bounds.pad(0.6),
  });
  map.on("zoomend", () => map.getContainer().classList.toggle("sharp", map.getZoom() > last));
  return map;
}

/** A bar of the longest of 1, 2, 5, 10 … units that is at most 130 px. `text` words a length, given the units of a pixel on the screen. */
function addBar(map, unitsPerPixel, text) {
  const scale = document.getElementById("scale");
  const line = h("div", { class: "barline" });
  const words = h("span");
  scale.append(line, words);
  scale.classList.toggle("hidden", !unitsPerPixel);
  if (!unitsPerPixel) return;
  map.on("zoom zoomend viewreset", () => {
    const perPixel = unitsPerPixel / map.options.crs.scale(map.getZoom());
    const most = 130 * perPixel;
    const base = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((factor) => factor * base).find((value) => value <= most) ?? base;
    line.style.width = `${length / perPixel}px`;
    words.textContent = text(length, perPixel);
  });
}

/** µm, and the magnification. */
function addScale(slide, map) {
  addBar(map, slide.microns_per_pixel, (length, perPixel) => {
    const magnification = 10 / perPixel;
    return `${length >= 1000 ? `${length / 1000} mm` : `${length} µm`} · `
      + `${magnification >= 1 ? magnification.toFixed(magnification < 10 ? 1 : 0) : magnification.toPrecision(2)}×`;
  });
}

/** Metres on the ground. */
export function addMetres(metres, map) {
  addBar(map, metres, (length) => (length >= 1000 ? `${length / 1000} km` : `${length} m`));
}

/** The whole slide with a frame around what is on the map; a click goes there. */
function addOverview(slide, map) {
  const thumbnail = h("img", { src: `/slides/${slide.id}/thumbnail.jpeg`, alt: "Overview" });
  const frame = h("div", { class: "frame" });
  const overview = document.getElementById("minimap");
  overview.append(thumbnail, frame);
  const draw = () => {
    const [perX, perY] = [thumbnail.clientWidth / slide.width, thumbnail.clientHeight / slide.height];
    const clamp = (value, most) => Math.max(0, Math.min(most, value));
    const [left, top, right, bottom] = sides(map.getBounds()).map((value, i) => clamp(value, i % 2 ? slide.height : slide.width));
    // 4 px: the padding of the overview.
    frame.style.left = `${4 + left * perX}px`;
    frame.style.top = `${4 + top * perY}px`;
    frame.style.width = `${(right - left) * perX}px`;
    frame.style.height = `${(bottom - top) * perY}px`;
  };
  thumbnail.addEventListener("load", draw);
  map.on("move zoomend", draw);
  overview.addEventListener("click", (event) => {
    const box = thumbnail.getBoundingClientRect();
    map.panTo(at(((event.clientX - box.left) / box.width) * slide.width, ((event.clientY - box.top) / box.height) * slide.height));
  });
}

/** Writes the view into the address bar, so that it can be sent to a colleague. */
function writeAddress({ layers, shown, threshold, weight, split, cell }, map) {
  const centre = map.getCenter();
  const on = Object.keys(layers).filter((name) => layers[name][0]).join("+");
  const runs = shown.map((run) => run?.run.id ?? "").join("+");
  const opacities = Object.values(layers).map(([, opacity]) => Math.round(100 * opacity)).join("+");
  const more = [threshold === null ? "" : `&threshold=${threshold}`, weight === 1 ? "" : `&weight=${weight}`, shown[1] ? `&swipe=${split.toFixed(3)}` : "", cell ? `&cell=${cell}` : ""].join("");
  history.replaceState(null, "", `?runs=${runs}&layers=${on}&opacities=${opacities}${more}#${centre.lng.toFixed(1)},${centre.lat.toFixed(1)},${map.getZoom()}`);
}

/** In words, where coarse classes or disagreement are shown: what the label of the region says, and what the network finds in it. */
function regionText({ layers, shown }, x, y) {
  const run = shown[0];
  if (!run?.regions?.length || !(layers.classes[0] || layers.disagreement[0])) return "";
  const side = run.regions[0].side;
  // The place of each region, so that moving the pointer over a hundred thousand of them costs nothing.
  run.places ??= new Map(run.regions.map((region) => [`${Math.floor((region.x + side / 2) / side)},${Math.floor((region.y + side / 2) / side)}`, region]));
  const region = [0, 1, -1].flatMap((dx) => [0, 1, -1].map((dy) => run.places.get(`${Math.floor(x / side) + dx},${Math.floor(y / side) + dy}`)))
    .find((r) => r && x >= r.x && y >= r.y && x < r.x + r.side && y < r.y + r.side);
  if (!region) return "";
  const label = region.coarse_class === 0 ? "label says none" : `label says class ${region.coarse_class}, ${(region.expected * 100).toFixed(0)} % expected`;
  return `  ${label}; ${region.predicted === null || region.predicted === undefined ? "the network was not asked" : `the network covers ${(region.predicted * 100).toFixed(0)} %`}`;
}

export function createMap(state) {
  const { slide } = state;
  const last = slide.levels - 1;
  const bounds = rectangle(0, 0, slide.width, slide.height);
  const map = makeMap(last, bounds);
  const tileOptions = {
    tileSize: slide.tile_size, nativeSize: slide.tile_size, maxNativeZoom: last, minNativeZoom: 0, maxZoom: last + 3,
    bounds, keepBuffer: 3, noWrap: true,
  };
  new DeepZoomLayer((z, x, y) => `/slides/${slide.id}_files/${z}/${x}_${y}.jpeg`, tileOptions).addTo(map);
  addScale(slide, map);
  addOverview(slide, map);
  const where = document.getElementById("where");
  const notice = (text) => { where.textContent = text; };
  const link = () => writeAddress(state, map);
  map.on("mousemove", ({ latlng: { lng: x, lat: y } }) => notice(`x ${whole(x)}  y ${whole(y)}${regionText(state, x, y)}`));
  map.on("moveend", link);
  /** The view of the address, or the whole slide. */
  function begin() {
    const [x, y, zoom] = location.hash.slice(1).split(",").map(Number);
    if ([x, y, zoom].every(Number.isFinite)) map.setView(at(x, y), zoom); else map.fitBounds(bounds);
  }
  return { map, last, bounds, tileOptions, notice, link, begin };
}
