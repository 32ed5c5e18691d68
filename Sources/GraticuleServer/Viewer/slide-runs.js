// The runs of a slide: which is shown, which is compared with it by a swipe, and from which probability on a cell counts.
import { h, whole } from "/viewer/common.js";
import { paneNames, RunView } from "/viewer/slide-layers.js";
import { createSwipe } from "/viewer/swipe.js";

/** The slider recounts at once, from the run's histogram. It begins where the run's own cells end: lower there are none. */
function createThreshold(state, view) {
  const count = h("div", { class: "big", id: "count" });
  const text = h("span", { class: "number small" });
  const slider = h("input", { type: "range", min: 0, max: 1, step: 0.01, id: "threshold", "aria-label": "Least mean probability of a cell" });
  const area = h("dl", { class: "stat" });
  function recount() {
    const [shown] = state.shown;
    if (!shown?.histogram) return;
    const own = shown.run.threshold;
    const at = state.threshold ?? own;
    slider.min = Math.floor(own * 100) / 100;
    slider.value = at;
    text.textContent = `${at.toFixed(at > 0.99 ? 4 : 2)}${at <= own ? ", the run's own" : ""}`;
    const bin = Math.max(0, Math.min(100, Math.round(at * 100)));
    const isAll = at <= own;
    const cells = shown.histogram.cells[isAll ? 0 : bin];
    const covered = shown.histogram.area_square_microns[isAll ? 0 : bin];
    const tissue = shown.run.tissue_square_millimeters;
    const density = isAll ? shown.run.cells_per_square_millimeter : tissue ? cells / tissue : null;
    count.replaceChildren(whole(cells), h("span", { class: "muted small" }, ` lymphocytes${density ? `, ${whole(density)} per mm²` : ""}`));
    const rows = [["Covered by cells", tissue ? `${((covered / tissue / 1e6) * 100).toFixed(1)} %` : "–"], ["Mean area", cells ? `${(covered / cells).toFixed(1)} µm²` : "–"],
      ["Nearest neighbour index", isAll ? shown.run.nearest_neighbor_index?.toFixed(2) ?? "–" : "of all cells only"]];
    area.replaceChildren(...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }
  slider.addEventListener("input", () => {
    state.threshold = Number(slider.value);
    recount();
    for (const run of state.shown) run?.restyle();
    view.link();
  });
  return { count, text, slider, area, recount };
}

function runOption(run) {
  return h("option", { value: run.id }, `${run.model} · run ${run.id}${run.status === "done" ? "" : ` (${run.status})`}`);
}

/** `firstChanged` is called when another run, or none, is the first. */
export function createRuns(state, view, firstChanged) {
  const { slide, shown } = state;
  const { show: showSwipe } = createSwipe(state, view.map, {
    panes: paneNames.map((name) => [name, `${name}-overlay`]), isComparing: () => shown.every((run) => run !== null), moved: () => view.link(),
  });

  async function choose(index, runID) {
    shown[index]?.remove();
    shown[index] = null;
    const run = slide.runs.find((candidate) => candidate.id === runID);
    if (run) {
      const chosen = new RunView(state, view, run, index);
      shown[index] = chosen;
      try { await chosen.load(); } catch (error) { view.notice(error.message); }
      // Another was chosen meanwhile.
      if (shown[index] !== chosen) return;
      chosen.show();
    }
    showSwipe();
    if (index === 0) firstChanged();
    view.link();
  }

  const choices = ["Run", "Compare with"].map((title, index) => {
    const nothing = index === 1 ? h("option", { value: "" }, "nothing") : null;
    return h("select", {
      id: `run-${index}`, "aria-label": title, onchange: (event) => choose(index, Number(event.target.value) || null),
    }, nothing, slide.runs.map(runOption));
  });

  /** The runs that the address names; without, the first one. */
  async function begin([firstID, secondID]) {
    const first = slide.runs.find((run) => run.id === firstID) ?? slide.runs[0];
    if (first) { choices[0].value = first.id; await choose(0, first.id); }
    if (secondID) { choices[1].value = secondID; await choose(1, secondID); }
  }
  return { choices, threshold: createThreshold(state, view), begin };
}
