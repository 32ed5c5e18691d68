// The panel beside the map of land: images, layers, models, weights, legend, and what is known of a place.
import { api, h, sentence } from "/viewer/common.js";

const titles = { image: "Image", coarse: "Coarse classes", truth: "True labels", network: "Network" };
/** Weights go from an eighth to eight, in quarters of a doubling. */
const steps = 12;

const swatch = (color) => {
  const box = h("span", { class: "swatch" });
  box.style.background = color;
  return box;
};

function legend(classes, shown = classes) {
  return h("div", { class: "legend small" }, shown.map(({ name, color }) => h("div", {}, swatch(color), name)));
}

/** Which image is shown; another one keeps models, layers and weights. */
export function imageChoice(names, shown) {
  const images = h("select", { id: "image", "aria-label": "Image", onchange: () => {
    const query = new URLSearchParams(location.search);
    query.set("image", images.value);
    location.assign(`?${query}`);
  } }, names.map((name) => h("option", { value: name, selected: name === shown }, name)));
  return images;
}

export function createPanel(state, map, { paint, showLayers, link, swipe }) {
  const { there, image, digits } = state;
  const side = document.getElementById("side");
  const text = h("p", { class: "small muted", role: "status", id: "prediction" },
    there.models.length ? `Click on the map: the network maps ${paint.clickText()} around.` : "No model is at hand: start the service with --models DIR.");
  paint.onText((message, isError = false) => {
    text.classList.toggle("error", isError);
    text.textContent = sentence(message);
  });

  const images = imageChoice(there.images, image.name);
  const facts = h("p", { class: "small muted" }, `${image.width} × ${image.height} px, ${image.bands} bands; ${image.crs ?? "without a CRS"}`);

  // Layers
  function layer(name) {
    const own = state.layers[name];
    const box = h("input", { type: "checkbox", id: `layer-${name}`, checked: own[0], onchange: () => { own[0] = box.checked; showLayers(); } });
    const opacity = h("input", { type: "range", min: 5, max: 100, value: Math.round(own[1] * 100), "aria-label": `Opacity of ${titles[name]}`, id: `opacity-${name}`,
      oninput: () => { own[1] = opacity.value / 100; showLayers(); } });
    return h("div", { class: "layer" }, box, h("label", { for: `layer-${name}` }, titles[name]), opacity,
      image[name] ? h("details", { class: "legend" }, h("summary", { class: "small muted" }, "Legend"), legend(image[name])) : null);
  }
  const layers = ["image", "coarse", "truth", "network"].filter((name) => name === "image" || name === "network" || image[name]);

  // Models
  function model(index) {
    const choice = h("select", { id: `model-${index}`, onchange: () => {
      state.models[index] = choice.value || null;
      paint.clear(index);
      showWeights();
      swipe.show();
      link();
    } }, index ? h("option", { value: "" }, "none") : null,
    there.models.map((name) => h("option", { value: name, selected: name === state.models[index] }, name)));
    choice.disabled = !there.models.length;
    return choice;
  }

  // Weights
  const sliders = h("div", { id: "weights", class: "toggle-list" });
  let shownLabels = "";
  function showWeights() {
    const labels = paint.labels();
    const names = labels.map(({ name }) => name).join();
    if (names === shownLabels) return;
    shownLabels = names;
    sliders.replaceChildren(...labels.map(({ name, color }) => {
      const number = h("output", { class: "number small" });
      const write = () => { const value = state.weights[name] ?? 1; number.textContent = `× ${value >= 1 ? value.toFixed(1) : value.toFixed(2)}`; };
      const range = h("input", { type: "range", min: -steps, max: steps, step: 1, id: `weight-${name}`,
        value: Math.round(Math.log2(state.weights[name] ?? 1) * 4), oninput: () => {
          state.weights[name] = Math.round(2 ** (range.value / 4) * 1000) / 1000;
          write();
          paint.repaint();
          link();
        } });
      write();
      return h("div", { class: "weight" }, h("label", { for: `weight-${name}` }, swatch(color), name), range, number);
    }), labels.length ? h("button", { class: "small", onclick: () => {
      state.weights = {};
      shownLabels = "";
      showWeights();
      paint.repaint();
      link();
    } }, "All equal") : "");
  }

  // Actions
  async function predictView() {
    const view = paint.view();
    if (!view) return;
    await paint.predict(...view);
    showWeights();
  }
  function download() {
    const view = paint.view();
    if (!view || !state.models[0]) return;
    // The weights of labels that this model has.
    const weights = paint.labels(0).filter(({ name }) => (state.weights[name] ?? 1) !== 1).map(({ name }) => `${name}=${state.weights[name]}`).join(",");
    const query = new URLSearchParams({ model: state.models[0], x: view[0], y: view[1], width: view[2], height: view[3], ...(weights ? { weights } : {}) });
    return `${state.path}/map.tif?${query}`;
  }
  const save = h("button", { id: "download", onclick: async () => {
    const address = download();
    if (!address) return;
    // Asked for first: a refusal is said here, and not on a page of its own.
    text.textContent = "Computing …";
    let file;
    try {
      const response = await fetch(address);
      if (response.status === 401) location.assign("/login");
      if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? `the service answered ${response.status}`);
      file = await response.blob();
    } catch (error) {
      text.classList.add("error");
      const message = error instanceof TypeError ? "the service does not answer" : error.message;
      text.textContent = `${sentence(message)}.`;
      return;
    }
    text.classList.remove("error");
    const url = URL.createObjectURL(file);
    h("a", { href: url, download: `${image.name.replace(/\.[^.]*$/, "")}-map.tif` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    text.textContent = "What is on the screen, as the left model maps it with these weights, is saved.";
  } }, "Save view as GeoTIFF");

  const knowledge = h("dl", { class: "stat", id: "place" });
  side.replaceChildren(
    h("section", {}, h("h2", {}, "Land"), images, facts),
    h("section", {}, h("h2", {}, "Layers"), ...layers.map(layer)),
    h("section", {}, h("h2", {}, "Models"), h("label", { class: "small muted", for: "model-0" }, "Model"), model(0),
      h("label", { class: "small muted", for: "model-1" }, "Compare with (swipe)"), model(1), text,
      h("div", { class: "row" }, h("button", { id: "predict-view", onclick: predictView }, "Map the view"), save,
        h("button", { onclick: () => paint.clear() }, "Clear"))),
    h("section", {}, h("h2", {}, "Weights"), h("p", { class: "small muted" }, "How many times as likely a label is taken to be. What is mapped already changes at once."), sliders),
    h("section", {}, h("h2", {}, "Place"), knowledge),
    h("section", {}, h("div", { class: "row" }, h("button", { onclick: async ({ target }) => {
      // Without https browsers give no clipboard.
      try { await navigator.clipboard.writeText(location.href); target.textContent = "Copied"; } catch { target.textContent = "Copy it from the address bar"; }
    } }, "Copy link"))));
  new MutationObserver(showWeights).observe(document.getElementById("where"), { attributes: true, attributeFilter: ["data-predicted"] });

  return {
    /** What is known of a pixel. */
    async showPlace(column, row) {
      try {
        const place = await api(`${state.path}/place?column=${column}&row=${row}`);
        const rows = [["Pixel", `${column}, ${row}`],
          ["Coordinates", place.x === undefined ? null : `${place.x.toFixed(digits)}, ${place.y.toFixed(digits)}`],
          ["Latitude, longitude", place.latitude === undefined || place.longitude === undefined ? null : `${place.latitude.toFixed(6)}, ${place.longitude.toFixed(6)}`],
          ["Coarse class", place.coarse], ["True label", place.truth]];
        knowledge.replaceChildren(...rows.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
      } catch (error) {
        knowledge.replaceChildren(h("dt", {}, `${error.message}.`));
      }
    },
  };
}
