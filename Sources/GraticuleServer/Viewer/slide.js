// The slide page: what the modules share, and the order in which they begin.
import { api, frame, h, showError } from "/viewer/common.js";
import { createLayers } from "/viewer/slide-layers.js";
import { at, createMap } from "/viewer/slide-map.js";
import { createPanel } from "/viewer/slide-panel.js";
import { createPredict } from "/viewer/slide-predict.js";
import { createRuns } from "/viewer/slide-runs.js";
import { createTools } from "/viewer/slide-tools.js";

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
  // Opacities in hundredths, in the order of the layers.
  const layers = { probability: [false, 0.6], cells: [true, 1], classes: [false, 0.45], disagreement: [false, 0.7] };
  const named = wanted.get("layers");
  for (const name of (named ?? "").split(/[+ ]/).filter(Boolean)) if (layers[name]) layers[name][0] = true;
  if (named !== null && !named.includes("cells")) layers.cells[0] = false;
  const opacities = (wanted.get("opacities") ?? "").split(/[+ ]/).map(Number);
  Object.values(layers).forEach((layer, i) => { if (opacities[i] >= 5 && opacities[i] <= 100) layer[1] = opacities[i] / 100; });
  return layers;
}

const within = (text, least, most) => {
  const value = text === null || text === "" ? NaN : Number(text);
  return value >= least && value <= most ? value : null;
};

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
  /** The least probability of a cell that is shown and counted; null for where the run's cells end. */
  threshold: within(wanted.get("threshold"), 0, 1) ?? null,
  /** How many times as common lymphocytes are taken to be, for what is painted. */
  weight: within(wanted.get("weight"), 1 / 16, 16) ?? 1,
  /** Where the bar between two runs is. */
  split: within(wanted.get("swipe"), 0.02, 0.98) ?? 0.5,
  /** The cell that the address names. */
  cell: Number(wanted.get("cell")) || null,
  /** What each key does. */
  keys: {},
};
const view = createMap(state);
const layers = createLayers(state, view);
const runs = createRuns(state, view, () => { panel.showRun(); predict.follow(state.shown[0]?.run.model); });
const predict = createPredict(state, view);
const tools = createTools(state, view);
const panel = createPanel(state, view, { layers, runs, predict, tools });

view.begin();
await runs.begin((wanted.get("runs") ?? "").split(/[+ ]/).map(Number));
await predict.begin();
await tools.begin();

/** For the tests: a place on the slide as a place on the page. */
function pagePoint(x, y) {
  const point = view.map.latLngToContainerPoint(at(x, y));
  const box = view.map.getContainer().getBoundingClientRect();
  return [point.x + box.left, point.y + box.top];
}
window.graticule = { map: view.map, pagePoint };
document.body.dataset.ready = "yes";
