import { api, fixed, frame, h, plot, showError, whole } from "/viewer/common.js";

frame();
const list = document.getElementById("list");
const key = (name, color) => h("span", { class: "small" }, h("span", { class: "swatch", "data-color": color }), name);

try {
  const evaluations = await api("/api/evaluations");
  if (!evaluations.length) list.append(h("p", { class: "muted" }, "No patch set has been scored yet: graticule evaluate does that."));
  for (const { overview: o, roc, darkness_roc: dark, reliability } of evaluations) {
    list.append(h("section", { class: "panel evaluation" },
      h("h2", {}, `${o.patch_set} · ${o.model}`),
      h("p", { class: "number" }, h("b", {}, `AUC ${fixed(o.auc, 3)}`), ` (95 % ${fixed(o.auc_lower, 3)}–${fixed(o.auc_upper, 3)}) · darkness alone ${fixed(o.darkness_auc, 3)} · `
        + `calibration error ${fixed(o.calibration_error, 3)} · ${whole(o.positives)} lymphocytes, ${whole(o.negatives)} others · ${o.method}`),
      h("div", { class: "two" },
        h("figure", {}, plot("ROC curve", [1, 1], ["False positive rate", "True positive rate"],
          [["ideal", [[0, 0], [1, 1]]], ["dark", dark], ["model", roc]]), h("figcaption", { class: "row" }, key("Model", "accent"), key("Darkness alone", "warn"))),
        h("figure", {}, plot("Reliability", [1, 1], ["Mean probability", "Share of lymphocytes"],
          [["ideal", [[0, 0], [1, 1]]], ["model", reliability.map((bin) => [bin.mean_probability, bin.frequency])]],
          reliability.map((bin) => [bin.mean_probability, bin.frequency])), h("figcaption", { class: "small muted" }, "Are probabilities frequencies? On the dashed line they are.")))));
  }
} catch (error) {
  list.append(h("p"));
  showError(list.lastChild, error);
}
