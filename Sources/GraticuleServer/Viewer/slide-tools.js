// Regions, distances and marks: drawn on the map, stored with the reader's name, and exported.
import { api, fixed, h, whole } from "/viewer/common.js";
import * as L from "/viewer/leaflet.esm.js";
import { at, pointAt, sides } from "/viewer/slide-map.js";
import { cellText } from "/viewer/slide-layers.js";

const markColors = { wrong: "#ff5a36", missing: "#3d8bff", region: "#6a2c91" };

/** Regions whose cells are counted when a slide is opened, the latest. */
const mostCounted = 30;

/** Saves text or a picture as a file. */
function download(name, type, content) {
  const link = h("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Draws corner by corner; a double click, Enter or a click on the first corner ends it. */
function createDrawing(map, onEnd) {
  const line = L.polyline([], { color: "#111", weight: 2, dashArray: "5 5", interactive: false });
  let mode = null;
  let points = [];
  const redraw = (end) => line.setLatLngs([...points, ...(end ? [end] : [])].map(pointAt));
  function begin(next) {
    mode = next;
    points = [];
    redraw();
    map.getContainer().classList.toggle("predicting", mode !== null);
    if (mode) { line.addTo(map); map.doubleClickZoom.disable(); } else { line.remove(); setTimeout(() => map.doubleClickZoom.enable(), 300); }
  }
  function end() {
    const [ended, drawn] = [mode, points];
    begin(null);
    if (ended === "box" && drawn.length === 2) {
      const [[x0, y0], [x1, y1]] = drawn;
      if (x0 !== x1 && y0 !== y1) onEnd("region", [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]);
      return;
    }
    if (ended && drawn.length >= (ended === "region" ? 3 : ended === "measure" ? 2 : 1)) onEnd(ended, drawn);
  }
  map.on("click", ({ latlng, containerPoint }) => {
    if (!mode) return;
    const last = points.at(-1);
    // The second click of a double click is no corner of its own.
    if (last && map.latLngToContainerPoint(pointAt(last)).distanceTo(containerPoint) < 4) { end(); return; }
    if (mode === "region" && points.length > 2 && map.latLngToContainerPoint(pointAt(points[0])).distanceTo(containerPoint) < 9) { end(); return; }
    points.push([latlng.lng, latlng.lat]);
    redraw();
    if (mode === "missing" || (["measure", "box"].includes(mode) && points.length === 2)) end();
  });
  map.on("mousemove", ({ latlng: { lng: x, lat: y } }) => {
    if (!mode || !points.length) return;
    const [[x0, y0]] = points;
    if (mode === "box") line.setLatLngs([[x0, y0], [x, y0], [x, y], [x0, y], [x0, y0]].map(pointAt)); else redraw([x, y]);
  });
  return { begin, end, isOn: () => mode !== null, mode: () => mode };
}

export function createTools(state, view) {
  const { slide, keys } = state;
  const { map } = view;
  const marks = L.layerGroup().addTo(map);
  const measured = L.layerGroup().addTo(map);
  const text = h("p", { class: "small muted", role: "status", id: "tool" }, "Draw a region for its count, or measure a distance.");
  const list = h("ul", { class: "marks-list" });
  let annotations = [];
  const run = () => state.shown[0]?.run;
  const least = () => state.threshold ?? 0;

  function reader() {
    const known = localStorage.getItem("counter");
    if (known) return known;
    const name = prompt("Your name, which is stored with what you draw")?.trim();
    if (name) localStorage.setItem("counter", name);
    return name || null;
  }

  async function store(kind, points, extra = {}) {
    const by = reader();
    if (!by) { text.textContent = "Nothing was stored: it needs your name."; return; }
    try {
      await api(`/api/slides/${slide.id}/annotations`, { body: { kind, points: points.map(([x, y]) => [Math.round(x * 10) / 10, Math.round(y * 10) / 10]), by, ...extra } });
      await begin();
    } catch (error) {
      text.textContent = error.message;
    }
  }

  async function measure(points) {
    measured.clearLayers();
    const [[x0, y0], [x1, y1]] = points;
    const pixels = Math.hypot(x1 - x0, y1 - y0);
    const words = slide.microns_per_pixel ? `${fixed(pixels * slide.microns_per_pixel, 1)} µm` : `${fixed(pixels, 1)} px`;
    measured.addLayer(L.polyline(points.map(pointAt), { color: "#111", weight: 2.5 }).bindTooltip(words, { permanent: true }));
    text.textContent = `${words} from end to end.`;
  }

  /** The count of a region, in words. */
  async function areaText(points) {
    if (!run()) return "not segmented yet";
    const found = await api(`/api/slides/${slide.id}/area?run=${run().id}&min_probability=${least()}&polygon=${points.flat().map((value) => value.toFixed(1)).join(",")}`);
    const density = found.cells_per_square_millimeter;
    return `${whole(found.cells)} lymphocytes on ${fixed(found.square_millimeters, 3)} mm²${density === null || density === undefined ? "" : `, ${whole(density)} per mm²`}`;
  }

  const drawing = createDrawing(map, (mode, points) => {
    for (const button of Object.values(buttons)) button.setAttribute("aria-pressed", "false");
    if (mode === "measure") measure(points);
    else store(mode, points).then(() => { if (mode === "missing") toggle("missing"); });
  });
  const hints = { region: "Click corner by corner; a double click ends the region.", box: "Click two opposite corners.", measure: "Click where it begins and where it ends.", missing: "Click the middle of the cell that was missed." };
  function toggle(mode) {
    const next = drawing.mode() === mode ? null : mode;
    drawing.begin(next);
    for (const [name, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", String(name === next));
    text.textContent = next ? hints[next] : "";
  }
  const button = (mode, title, key) => h("button", { "aria-pressed": "false", id: `tool-${mode}`, onclick: () => toggle(mode) }, title, " ", h("kbd", {}, key));
  const buttons = { region: button("region", "Polygon", "R"), box: button("box", "Rectangle", "E"), measure: button("measure", "Measure", "M"), missing: button("missing", "Missed cell", "X") };
  Object.assign(keys, { r: () => toggle("region"), e: () => toggle("box"), m: () => toggle("measure"), x: () => toggle("missing"), escape: () => { drawing.begin(null); measured.clearLayers(); for (const b of Object.values(buttons)) b.setAttribute("aria-pressed", "false"); }, enter: () => drawing.end() });

  /** A click on a cell: what it is, a link to it, and a way to say that it is none. */
  state.onCell = (feature, event) => {
    if (drawing.isOn() || map.getContainer().classList.contains("predicting")) return;
    const p = feature.properties;
    state.cell = p.id;
    view.link();
    L.popup().setLatLng(event.latlng).setContent(h("div", { class: "cellcard" }, h("p", {}, cellText(p)),
      h("div", { class: "row" }, h("button", { onclick: (click) => { navigator.clipboard?.writeText(location.href); click.target.textContent = "Copied"; } }, "Copy link"),
        h("button", { id: "mark-wrong", onclick: () => { map.closePopup(); store("wrong", [[p.x, p.y]], { cell: p.id }); } }, "Is no lymphocyte")))).openOn(map);
    map.once("popupclose", () => { state.cell = null; view.link(); });
    L.DomEvent.stop(event);
  };

  async function draw() {
    marks.clearLayers();
    // Each count is a question to the service: the others stand in the list without one.
    const counted = new Set(annotations.filter(({ geometry }) => geometry.type === "Polygon").slice(-mostCounted));
    const items = await Promise.all(annotations.map(async (annotation) => {
      const { geometry, properties: p } = annotation;
      const isRegion = geometry.type === "Polygon";
      const color = markColors[p.kind];
      const shape = isRegion ? L.polygon(geometry.coordinates[0].map(pointAt), { color, weight: 2.5, fillOpacity: 0.05 })
        : L.circleMarker(pointAt(geometry.coordinates), { radius: 9, color, weight: 3, fill: false });
      const title = isRegion && !counted.has(annotation) ? "region" : isRegion ? await areaText(geometry.coordinates[0].slice(0, -1)).catch((error) => error.message) : p.kind === "wrong" ? "no lymphocyte" : "missed lymphocyte";
      marks.addLayer(shape.bindTooltip(h("span", {}, `${title} – ${p.reader}`), { sticky: true }));
      const go = () => (isRegion ? map.fitBounds(shape.getBounds()) : map.setView(pointAt(geometry.coordinates), view.last + 1));
      return h("li", {}, h("button", { class: "plain", onclick: go }, h("span", { class: "swatch", "data-color": `mark-${p.kind}` }), title), h("span", { class: "muted small" }, p.reader),
        h("button", { class: "small", "aria-label": `Remove: ${title}`, onclick: () => remove(p.id) }, "×"));
    }));
    list.replaceChildren(...items);
  }

  async function remove(id) {
    try { await api(`/api/annotations/${id}`, { method: "DELETE" }); await begin(); } catch (error) { text.textContent = error.message; }
  }

  /** What is on the screen, as a file. */
  async function exportView(format) {
    try {
      const box = sides(map.getBounds()).map((value) => value.toFixed(1)).join(",");
      const cells = run() ? await api(`/api/slides/${slide.id}/cells?run=${run().id}&bbox=${box}&limit=20000&min_probability=${least()}`) : { features: [], clustered: false };
      if (cells.clustered) throw new Error("there are more than 20,000 cells on the screen: zoom in, or use graticule export");
      const name = `${slide.name}-view`;
      if (format === "GeoJSON") {
        download(`${name}.geojson`, "application/geo+json", JSON.stringify({ type: "FeatureCollection", features: [...cells.features, ...annotations] }));
      } else {
        const rows = cells.features.map(({ properties: p }) => [p.id, p.x, p.y, p.area_um2, p.probability].join(","));
        download(`${name}.csv`, "text/csv", ["id,x,y,area_um2,probability", ...rows].join("\n") + "\n");
      }
    } catch (error) {
      text.textContent = error.message;
    }
  }

  /** The picture on the screen: slide, layers and outlines as they are drawn. */
  function exportPicture() {
    const stage = map.getContainer().getBoundingClientRect();
    const ratio = devicePixelRatio || 1;
    const canvas = h("canvas", { width: stage.width * ratio, height: stage.height * ratio });
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, stage.width, stage.height);
    for (const part of map.getContainer().querySelectorAll(".leaflet-pane img, .leaflet-pane canvas")) {
      const box = part.getBoundingClientRect();
      if (!box.width || (part.tagName === "IMG" && !part.complete)) continue;
      let opacity = 1;
      for (let element = part; element !== map.getContainer(); element = element.parentElement) opacity *= Number(getComputedStyle(element).opacity);
      context.globalAlpha = opacity;
      context.drawImage(part, box.left - stage.left, box.top - stage.top, box.width, box.height);
    }
    canvas.toBlob((blob) => download(`${slide.name}-view.png`, "image/png", blob));
  }

  async function begin() {
    try {
      annotations = (await api(`/api/slides/${slide.id}/annotations`)).features;
      await draw();
    } catch (error) {
      text.textContent = error.message;
    }
  }

  const section = h("section", {}, h("h2", {}, "Draw and measure"), h("div", { class: "row" }, Object.values(buttons)), text, list,
    h("div", { class: "row small" }, h("span", { class: "muted" }, "Export the view:"), h("button", { onclick: () => exportView("GeoJSON") }, "GeoJSON"), h("button", { onclick: () => exportView("CSV") }, "CSV"), h("button", { onclick: exportPicture }, "PNG")));
  return { section, begin, draw };
}
