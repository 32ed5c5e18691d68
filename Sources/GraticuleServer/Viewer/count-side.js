// Beside the square: what counts as a lymphocyte, progress, agreement of readers, training, and the next squares.

import { api, fixed, h, plot, s, showError, whole } from "/viewer/common.js";

const cell = (title, ...shapes) => h("figure", { class: "example" },
  s("svg", { viewBox: "0 0 60 60", role: "img", "aria-label": title }, s("rect", { width: 60, height: 60, rx: 6, fill: "#f0dbe8" }), ...shapes),
  h("figcaption", {}, title));

/** Drawings, not photographs: 60 units are 20 µm. */
export const guide = () => h("details", { class: "panel", open: localStorage.getItem("guide") !== "closed",
  ontoggle: (event) => localStorage.setItem("guide", event.target.open ? "open" : "closed") },
  h("summary", {}, h("b", {}, "What counts")),
  h("div", { class: "examples" },
    cell("lymphocyte: round, dark, about 7 µm", s("circle", { cx: 30, cy: 30, r: 13, fill: "#e3c4dc" }), s("circle", { cx: 30, cy: 30, r: 10.5, fill: "#3f2a6b" })),
    cell("not: large, pale, with nucleoli", s("ellipse", { cx: 30, cy: 30, rx: 19, ry: 14, fill: "#8f7ab5" }), s("circle", { cx: 25, cy: 28, r: 2.6, fill: "#4a2f73" }), s("circle", { cx: 36, cy: 33, r: 2.2, fill: "#4a2f73" })),
    cell("not: spindle", s("ellipse", { cx: 30, cy: 30, rx: 24, ry: 4.5, fill: "#4b3577", transform: "rotate(-25 30 30)" })),
    cell("not: lobed, as granulocytes", s("circle", { cx: 24, cy: 28, r: 6, fill: "#3f2a6b" }), s("circle", { cx: 36, cy: 27, r: 6, fill: "#3f2a6b" }), s("circle", { cx: 31, cy: 36, r: 5, fill: "#3f2a6b" }))),
  h("p", { class: "small" }, "Click each lymphocyte whose middle lies in the frame; click a dot to remove it. Where the middle lies on the edge: on the ",
    h("b", {}, "solid"), " sides (top, left) it counts, on the ", h("b", {}, "dashed"), " sides it does not."),
  h("p", { class: "small muted" }, h("kbd", {}, "Enter"), " done, next  ", h("kbd", {}, "⌫"), " undo  ", h("kbd", {}, "N"), " ", h("kbd", {}, "P"), " next, back  ",
    h("kbd", {}, "S"), " skip  ", h("kbd", {}, "+"), " ", h("kbd", {}, "−"), " zoom  ", h("kbd", {}, "←↑↓→"), " cursor  ", h("kbd", {}, "Space"), " dot"));

/** What was typed stays when the panels are drawn anew. */
const typed = {};

/** Chooses squares: the first ones, or ten more where a model learns most. */
export function proposals(squares, models, hasHeatmaps, reload) {
  const message = h("p", { class: "small muted", role: "status" }, typed.told ?? "");
  const model = h("select", { "aria-label": "Model" }, h("option", { value: "" }, "spread over all tissue"), ...models.map((name) => h("option", { value: name }, `where ${name} is unsure`)));
  if (models.length) model.value = models.at(-1);
  const count = h("input", { type: "number", min: 1, max: 1000, value: typed.count ?? (squares.length ? 10 : 100), "aria-label": "How many squares", class: "narrow", oninput: (event) => { typed.count = event.target.value; } });
  const buttons = [];
  const propose = async (body) => {
    for (const button of buttons) button.disabled = true;
    message.className = "small muted";
    message.textContent = "Looking at the slides … this takes about a second for a slide.";
    try {
      const { added, left_out: leftOut } = await api("/api/squares/propose", { body });
      delete typed.count;
      typed.told = `${added} squares were added.${leftOut.length ? ` Left out: ${leftOut.slice(0, 3).join("; ")}${leftOut.length > 3 ? ` and ${leftOut.length - 3} more` : ""}.` : ""}`;
      await reload();
    } catch (error) {
      showError(message, error);
    }
    for (const button of buttons) button.disabled = false;
  };
  buttons.push(h("button", { id: "propose", class: squares.length ? null : "primary", onclick: () => propose({ count: Number(typed.count ?? count.value), ...(model.value ? { model: model.value } : {}) }) }, "Choose squares"));
  if (hasHeatmaps && !squares.some((square) => square.by_class)) {
    buttons.push(h("button", { id: "propose-classes", onclick: () => propose({ count: 50, by_class: true }) }, "Five regions of each heatmap class"));
  }
  return h("section", { class: "panel" }, h("h2", {}, squares.length ? "Count more" : "Choose squares"),
    h("div", { class: "row" }, count, model), h("div", { class: "row" }, buttons), message);
}

export function training(squares, models, hasHeatmaps, isReadOnly) {
  const counted = squares.filter((square) => square.status === "counted" || square.others > 0).length;
  const message = h("p", { class: "small muted", role: "status" });
  let number = 1;
  while (models.includes(`counted-${number}`)) number += 1;
  const name = h("input", { id: "model-name", value: typed.name ?? `counted-${number}`, "aria-label": "Name of the model", size: 18, oninput: (event) => { typed.name = event.target.value; } });
  const both = hasHeatmaps ? h("label", { class: "row small" }, h("input", { type: "checkbox", id: "with-heatmaps" }), "learn from the heatmaps too") : null;
  const start = h("button", { id: "train", class: "primary", disabled: counted < 10 || isReadOnly, onclick: async () => {
    start.disabled = true;
    try {
      const steps = new URLSearchParams(location.search).get("steps");
      await api("/api/train", { body: { model: name.value, uses_heatmaps: both?.querySelector("input").checked ?? false, ...(steps ? { steps: Number(steps) } : {}) } });
      location.assign(`/models/${encodeURIComponent(name.value.trim())}`);
    } catch (error) {
      showError(message, error);
      start.disabled = false;
    }
  } }, "Train");
  return h("section", { class: "panel" }, h("h2", {}, "Train"),
    h("p", { class: "small muted" }, counted < 10 ? `${whole(counted)} squares are counted; ten are the least, a hundred are enough.`
      : counted < 100 ? `${whole(counted)} squares are counted. A hundred are enough; training from fewer shows where it stands.`
      : `${whole(counted)} squares are counted: enough to train.`),
    h("div", { class: "row" }, name, start), both, message);
}

/** Intraclass correlation, and each two readers' differences over their means (Bland–Altman). */
export async function agreement() {
  const found = await api("/api/squares/agreement");
  if (!found.count) return null;
  const pairs = found.pairs.map((pair) => {
    const points = pair.points;
    const top = Math.max(5, ...points.map(([mean]) => mean)) * 1.05;
    const reach = Math.max(2, Math.abs(pair.lower_limit ?? 0), Math.abs(pair.upper_limit ?? 0), ...points.map(([, difference]) => Math.abs(difference))) * 1.1;
    const line = (value) => [[0, value + reach], [top, value + reach]];
    const curves = [["ideal", line(0)], ["model", line(pair.bias)]];
    if (pair.lower_limit !== null && pair.lower_limit !== undefined) curves.push(["dark", line(pair.lower_limit)], ["dark", line(pair.upper_limit)]);
    const chart = plot(`Differences of ${pair.first} and ${pair.second}`, [top, 2 * reach], ["mean of both counts", "difference"], curves,
      points.map(([mean, difference]) => [mean, difference + reach]), 5, -reach);
    return h("div", {}, h("p", { class: "small" }, `${pair.first} − ${pair.second}: ${fixed(pair.bias, 1)} on average over ${pair.count} squares`
      + (pair.lower_limit === null || pair.lower_limit === undefined ? "" : `, 95 % between ${fixed(pair.lower_limit, 1)} and ${fixed(pair.upper_limit, 1)}`)), chart);
  });
  return h("section", { class: "panel", id: "agreement" }, h("h2", {}, "Agreement of readers"),
    h("p", { class: "small" }, `${found.count} squares counted by two or more. Intraclass correlation ${fixed(found.intraclass_correlation, 2)}`
      + (found.reader_error === null || found.reader_error === undefined ? "" : `; a reader's error is ${fixed(100 * found.reader_error, 0)} % of a count.`)), pairs);
}

/** η ± ρ by class, once regions of a heatmap's classes were counted. */
export async function priors() {
  const { means, deviations, counted, message } = await api("/api/squares/priors");
  if (!counted.some((count) => count > 0)) return null;
  const top = Math.ceil(Math.max(0.1, ...means.map((mean, i) => mean + (deviations[i] ?? 0))) * 20) / 20;
  const curves = [];
  if (deviations.length) {
    curves.push(["area", [...means.map((m, i) => [i, m + deviations[i]]), ...means.map((m, i) => [i, Math.max(0, m - deviations[i])]).reverse()], true]);
  }
  const known = means.map((mean, i) => [i, mean]).filter(([i]) => counted[i] > 0);
  curves.push(["model", known]);
  return h("details", { class: "panel", id: "priors" }, h("summary", {}, h("b", {}, "Priors of the heatmap's classes")),
    plot("Priors by class", [means.length - 1, top], ["Coarse class", "Share of pixels"], curves, known, means.length - 1),
    h("p", { class: "small muted" }, message ? "The priors are ready once every class is counted." : "graticule priors --results FILE --output priors.json makes the priors."));
}
