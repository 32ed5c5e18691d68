// Predict here: what the network says of the place that one clicks.
import { api, h, whole } from "/viewer/common.js";
import * as L from "/viewer/leaflet.esm.js";
import { cellText } from "/viewer/slide-layers.js";
import { pointAt, rectangle } from "/viewer/slide-map.js";

/** The frame that the network saw, and the cells in it. */
function draw(group, { prediction: { frame: f }, features }) {
  group.clearLayers();
  group.addLayer(L.rectangle(rectangle(f.x, f.y, f.width, f.height),
    { color: "#111", dashArray: "6 5", weight: 1.5, fill: false, interactive: false }));
  group.addLayer(L.geoJSON(features, { coordsToLatLng: pointAt, style: { color: "#ff3df2", weight: 2, fillOpacity: 0.12 } })
    .bindTooltip((layer) => h("span", {}, cellText(layer.feature.properties)), { sticky: true }));
}

export function createPredict(state, { map }) {
  const { slide } = state;
  const button = h("button", { id: "predict", "aria-pressed": "false", onclick: toggle }, "Predict here ", h("kbd", {}, "H"));
  const text = h("p", { class: "small muted", role: "status", id: "prediction" }, "The network on the 512 px that you click.");
  const model = h("select", { "aria-label": "Model" });
  const predicted = L.layerGroup().addTo(map);
  let isPredicting = false;
  let followed = null;

  function toggle() {
    isPredicting = !isPredicting;
    button.setAttribute("aria-pressed", String(isPredicting));
    map.getContainer().classList.toggle("predicting", isPredicting);
  }

  async function predict({ latlng }) {
    if (!isPredicting) return;
    // 512 px of the network, which works at 0.5 µm, but no less than 128 of the slide.
    const size = 512 * Math.max(0.25, 0.5 / (slide.microns_per_pixel ?? 0.5));
    text.textContent = "Computing …";
    try {
      const [x, y] = [latlng.lng - size / 2, latlng.lat - size / 2];
      const answer = await api("/api/predict", { body: { slide: slide.id, x, y, size, model: model.value || null } });
      draw(predicted, answer);
      const { cells, seconds, mean_probability: mean } = answer.prediction;
      text.textContent = `${whole(cells)} lymphocytes, mean probability ${mean.toFixed(3)}, in ${seconds.toFixed(2)} s.`;
    } catch (error) {
      text.textContent = error.message;
    }
  }

  /** Asks which models there are; a choice is shown where there is one. */
  async function begin() {
    try {
      const models = await api("/api/models");
      model.append(...models.map((name) => h("option", { value: name }, name)));
      model.classList.toggle("hidden", models.length < 2);
      follow(followed);
      button.disabled = !models.length;
      if (!models.length) text.replaceChildren("No model is at hand: ", h("a", { href: "/count" }, "count squares to train one"), ".");
    } catch (error) {
      text.textContent = error.message;
    }
  }

  /** The model of the run that is shown, where it is at hand; others can be chosen. */
  function follow(name) {
    followed = name;
    if ([...model.options].some((option) => option.value === name)) model.value = name;
  }

  state.keys.h = toggle;
  map.on("click", predict);
  return { button, model, text, begin, follow };
}
