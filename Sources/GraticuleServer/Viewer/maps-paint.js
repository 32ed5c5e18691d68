// What networks found, painted: a canvas for each patch. New weights paint it anew without asking the network.
import { api } from "/viewer/common.js";
import { rectangle, sides } from "/viewer/slide-map.js";
import * as L from "/viewer/leaflet.esm.js";

/** Patches that are kept; the oldest go first. */
const mostPatches = 64;
/** The side of what a click predicts, in metres, and in pixels where those are not known. */
const clickSide = 256;

/** Two bytes a value, the lower first, as every machine with a browser has them. */
const values = (text) => new Uint16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
const color = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));

/** Paints the likeliest label of each pixel; of equals the first. */
function repaint({ canvas, found, planes }, weights) {
  const { width, height, labels } = found;
  const factors = labels.map((label) => weights[label.name] ?? 1);
  const colors = labels.map((label) => color(label.color));
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const pixels = width * height;
  for (let i = 0; i < pixels; i += 1) {
    if (!planes[i]) continue;
    let best = 0;
    let most = -1;
    for (let label = 0; label < factors.length; label += 1) {
      const value = (planes[label * pixels + i] - 1) * factors[label];
      if (value > most) { best = label; most = value; }
    }
    picture.data.set(colors[best], 4 * i);
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

export function createPaint(state, map, notice) {
  const patches = [];
  let listener = () => {};
  let asked = 0;

  function add(found, sideIndex) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [found.width, found.height];
    const patch = { canvas, found, planes: values(found.probabilities), side: sideIndex, model: state.models[sideIndex] };
    repaint(patch, state.weights);
    patch.overlay = new CanvasOverlay(canvas, rectangle(found.x, found.y, found.width, found.height), { pane: sideIndex ? "right" : "left" }).addTo(map);
    patches.push(patch);
    while (patches.length > mostPatches) patches.shift().overlay.remove();
  }

  /** Asks every model that is shown about a window of the image. */
  async function predict(x, y, width, height) {
    const models = state.models.map((name, index) => [name, index]).filter(([name]) => name);
    if (!models.length) return listener("No model is at hand: start the service with --models DIR.");
    asked += 1;
    const own = asked;
    listener("Computing …");
    const start = performance.now();
    try {
      const answers = await Promise.all(models.map(([model]) => api(`${state.path}/predict`, { body: { model, x, y, width, height } })));
      // A model may have been exchanged meanwhile.
      answers.forEach((found, i) => { if (state.models[models[i][1]] === models[i][0]) add(found, models[i][1]); });
      const [{ width: across, height: down, warning }] = answers;
      if (own === asked) listener(`${across} × ${down} px in ${((performance.now() - start) / 1000).toFixed(2)} s.${warning ? ` ${warning}.` : ""}`);
    } catch (error) {
      if (own === asked) listener(`${error.message}.`, true);
    }
    notice.dataset.predicted = String(own);
  }

  const clickPixels = () => Math.max(16, Math.round(clickSide / (state.image.metres ?? 1)));

  return {
    patches,
    /** Predicts around a place. */
    click(column, row) {
      if (column < 0 || row < 0 || column >= state.image.width || row >= state.image.height) return;
      const side = clickPixels();
      predict(Math.round(column - side / 2), Math.round(row - side / 2), side, side);
    },
    /** What is on the screen, in pixels of the image: x, y, width, height; null where it is beside the image. */
    view() {
      const [left, top, right, bottom] = sides(map.getBounds());
      const [x, y] = [Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top))];
      const [width, height] = [Math.min(state.image.width, Math.ceil(right)) - x, Math.min(state.image.height, Math.ceil(bottom)) - y];
      return width > 0 && height > 0 ? [x, y, width, height] : null;
    },
    predict,
    /** Paints all patches with the weights as they are. */
    repaint() { for (const patch of patches) repaint(patch, state.weights); },
    /** Takes the patches of one side away, or all. */
    clear(sideIndex = null) {
      for (const patch of patches.filter(({ side }) => sideIndex === null || side === sideIndex)) {
        patch.overlay.remove();
        patches.splice(patches.indexOf(patch), 1);
      }
    },
    onText(listening) { listener = listening; },
  };
}

/** A canvas that lies on the map like an image. */
const CanvasOverlay = L.ImageOverlay.extend({
  initialize(canvas, bounds, options) {
    this.canvas = canvas;
    L.ImageOverlay.prototype.initialize.call(this, "", bounds, options);
  },
  _initImage() {
    this._image = this.canvas;
    this._image.classList.add("leaflet-image-layer", "leaflet-zoom-animated", "sharp-canvas");
  },
});
