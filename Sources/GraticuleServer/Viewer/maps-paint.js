// What networks found, painted: a canvas for each patch. New weights paint it anew without asking the network.
import { api } from "/viewer/common.js";
import { rectangle, sides } from "/viewer/slide-map.js";
import * as L from "/viewer/leaflet.esm.js";

/** Patches that are kept; the oldest go first. */
const mostPatches = 64;
/** The side of what a click maps, in metres; in pixels where those are not known. */
const clickSide = 256;
/** The most pixels of a side of it. */
const mostSide = 2048;

/** Two bytes a value, the lower first, as every machine with a browser has them. */
const values = (text) => new Uint16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
/** Red, green, blue and opaque as one number, the lower byte first. */
const packed = (text) => (255 << 24 | parseInt(text.slice(5, 7), 16) << 16 | parseInt(text.slice(3, 5), 16) << 8 | parseInt(text.slice(1, 3), 16)) >>> 0;

/** Paints the likeliest label of each pixel; of equals the first. */
function repaint({ canvas, found, planes }, weights) {
  const { width, height, labels } = found;
  const factors = Float64Array.from(labels, (label) => weights[label.name] ?? 1);
  const colors = Uint32Array.from(labels, (label) => packed(label.color));
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const out = new Uint32Array(picture.data.buffer);
  const pixels = width * height;
  for (let i = 0; i < pixels; i += 1) {
    if (!planes[i]) continue;
    let best = 0;
    let most = -1;
    for (let label = 0, at = i; label < factors.length; label += 1, at += pixels) {
      const value = (planes[at] - 1) * factors[label];
      if (value > most) { best = label; most = value; }
    }
    out[i] = colors[best];
  }
  context.putImageData(picture, 0, 0);
}

export function createPaint(state, map, notice) {
  const patches = [];
  let listener = () => {};
  let asked = 0;
  /** Raised by what makes answers on their way worthless, for each side. */
  const generation = [0, 0];
  /** Patches that are still painted with earlier weights. */
  let stale = [];

  function add(found, sideIndex) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [found.width, found.height];
    const bounds = rectangle(found.x, found.y, found.width, found.height);
    const patch = { canvas, found, bounds, planes: values(found.probabilities), side: sideIndex };
    repaint(patch, state.weights);
    patch.overlay = new CanvasOverlay(canvas, bounds, { pane: sideIndex ? "right" : "left" }).addTo(map);
    patches.push(patch);
    while (patches.length > mostPatches) patches.shift().overlay.remove();
  }

  /** Asks every model that is shown about a window of the image. */
  async function predict(x, y, width, height) {
    const models = state.models.map((name, index) => [name, index]).filter(([name]) => name);
    if (!models.length) return listener("No model is at hand: start the service with --models DIR.");
    asked += 1;
    const own = asked;
    const begun = [...generation];
    listener("Computing …");
    const start = performance.now();
    try {
      const answers = await Promise.all(models.map(([model]) => api(`${state.path}/predict`, { body: { model, x, y, width, height } })));
      // A model may have been exchanged meanwhile, or all been cleared.
      answers.forEach((found, i) => { if (generation[models[i][1]] === begun[models[i][1]]) add(found, models[i][1]); });
      const [{ width: across, height: down, warning }] = answers;
      if (own === asked) listener(`${across} × ${down} px in ${((performance.now() - start) / 1000).toFixed(2)} s.${warning ? ` ${warning}.` : ""}`);
    } catch (error) {
      if (own === asked) listener(`${error.message}.`, true);
    }
    notice.dataset.predicted = String(own);
  }

  /** Columns and rows of what a click maps. */
  function clickPixels() {
    return (state.image.metres ?? [1, 1]).map((metres) => Math.max(16, Math.min(mostSide, Math.round(clickSide / metres))));
  }

  /** Paints what is on the screen at once, and the rest frame by frame, so that a slider never waits for what nobody sees. */
  function work() {
    const shown = map.getBounds();
    const start = performance.now();
    const visible = stale.filter((patch) => shown.intersects(patch.bounds));
    if (visible.length) {
      visible.forEach((patch) => repaint(patch, state.weights));
      stale = stale.filter((patch) => !visible.includes(patch));
      notice.dataset.milliseconds = (performance.now() - start).toFixed(1);
    } else {
      repaint(stale.shift(), state.weights);
    }
    if (stale.length) requestAnimationFrame(work);
  }

  return {
    patches,
    /** Predicts around a place. */
    click(column, row) {
      if (column < 0 || row < 0 || column >= state.image.width || row >= state.image.height) return;
      const [width, height] = clickPixels();
      predict(Math.round(column - width / 2), Math.round(row - height / 2), width, height);
    },
    /** What a click maps, in words. */
    clickText() {
      const [width, height] = clickPixels();
      const { metres } = state.image;
      return metres ? `${Math.round(width * metres[0])} × ${Math.round(height * metres[1])} m` : `${width} × ${height} px`;
    },
    /** The labels of what is mapped, each name once; of one side, or of both. */
    labels(sideIndex = null) {
      const known = new Map();
      for (const { side, found } of patches) if (sideIndex === null || side === sideIndex) for (const label of found.labels) known.set(label.name, label);
      return [...known.values()];
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
    repaint() {
      if (!stale.length && patches.length) requestAnimationFrame(work);
      stale = [...patches];
    },
    /** Takes the patches of one side away, or all. */
    clear(sideIndex = null) {
      for (const side of [0, 1]) if (sideIndex === null || side === sideIndex) generation[side] += 1;
      stale = stale.filter(({ side }) => sideIndex !== null && side !== sideIndex);
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
