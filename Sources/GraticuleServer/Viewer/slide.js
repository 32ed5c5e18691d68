// The slide page: what the modules share, and the order in which they begin.
import { api, frame, h, showError } from "/viewer/common.js";
import { createLayers } from "/viewer/slide-layers.js";
import { at, createMap } from "/viewer/slide-map.js";
import { createPanel } from "/viewer/slide-panel.js";
import { createPredict } from "/viewer/slide-predict.js";
import { createRuns } from "/viewer/slide-runs.js";

/** The slide of the address; a failure is the page's only content. */
async function loadSlide() {
  try {
    return await api(`/api/slides/${encodeURIComponent(location.pathname.split("/").pop())}`);
  } catch (error) {
    const message = h("p");
    document.getElementById("side").append(message);
    showError(message, error);
    throw error;
  }
}

/** Layers by name: whether they are on, and their opacity. The address names those that are on. */
function wantedLayers(wanted) {
  const layers = { probability: [false, 0.6], cells: [true, 1], classes: [false, 0.45], disagreement: [false, 0.7] };
  const named = wanted.get("layers");
  for (const name of (named ?? "").split(/[+ ]/).filter(Boolean)) if (layers[name]) layers[name][0] = true;
  if (named !== null && !named.includes("cells")) layers.cells[0] = false;
  return layers;
}

frame();
const slide = await loadSlide();
document.title = `${slide.name} – Graticule`;
// Read before the map begins, which writes its own address.
const wanted = new URLSearchParams(location.search);
const state = {
  slide,
  layers: wantedLayers(wanted),
  /** The runs on the map: one, and a second to compare it with. */
  shown: [null, null],
  /** The least probability of a cell that is shown and counted. */
  threshold: 0,
  /** What each key does. */
  keys: {},
};
const view = createMap(state);
const layers = createLayers(state, view);
const runs = createRuns(state, view, () => panel.showRun());
const predict = createPredict(state, view);
const panel = createPanel(state, view, { layers, runs, predict });

view.begin();
await runs.begin((wanted.get("runs") ?? "").split(/[+ ]/).map(Number));
await predict.begin();

/** For the tests: a place on the slide as a place on the page. */
function pagePoint(x, y) {
  const point = view.map.latLngToContainerPoint(at(x, y));
  const box = view.map.getContainer().getBoundingClientRect();
  return [point.x + box.left, point.y + box.top];
}
window.graticule = { map: view.map, pagePoint };
document.body.dataset.ready = "yes";
