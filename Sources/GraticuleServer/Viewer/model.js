import { api, duration, fixed, frame, h, plot, showError, whole } from "/viewer/common.js";

frame();
const name = decodeURIComponent(location.pathname.split("/").pop());
const [title, lead, job, curves, card, preview] = ["title", "lead", "job", "curves", "card", "preview"].map((id) => document.getElementById(id));
title.textContent = name;
document.title = `${name} – Graticule`;
const isEnded = (status) => ["done", "done with failures", "failed", "stopped"].includes(status);
let source = null;
let shownPreview = null;

function showCurves(found) {
  if (!found.curves.length) { curves.replaceChildren(); return; }
  const end = Math.max(...found.curves.flat().map(([step]) => step), 1);
  const values = found.curves.flat().map(([, loss]) => loss);
  const low = Math.min(0, ...values);
  // A step or two at the start may be far above the rest.
  const sorted = [...values].sort((a, b) => a - b);
  const top = (sorted[Math.floor(sorted.length * 0.98)] ?? 1) * 1.1 - low || 1;
  const lines = found.curves.map((points, i) => [i === found.curves.length - 1 ? "model" : "earlier", points.map(([step, loss]) => [step, Math.min(top, loss - low)])]);
  curves.replaceChildren(h("section", { class: "panel" }, h("h2", {}, "Loss"),
    plot("Loss by step", [end, top], ["Step", "Loss"], lines, [], 5, low),
    h("p", { class: "small muted" }, found.curves.length > 1 ? `The latest network is drawn in colour; the ${found.curves.length - 1} before it are grey. The last one learns from the others.` : "")));
}

function showCard(found) {
  if (!found.is_finished) { card.replaceChildren(); return; }
  const v = found.validation;
  const stat = (term, value) => [h("dt", {}, term), h("dd", {}, value)];
  card.replaceChildren(h("section", { class: "panel" }, h("h2", {}, "What it learnt from"),
    h("dl", { class: "stat" }, [stat("Squares or regions", whole(found.squares)), stat("Slides", whole(found.slides.length)),
      stat("Cells end at", `probability ${fixed(found.threshold)}`),
      v ? [stat("Found against counted, held out", `correlation ${fixed(v.correlation)}`), stat("Mean difference, share of pixels", fixed(v.absolute_error, 3))] : stat("Held out", "too few squares")].flat(3)),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "Class"), h("th", { class: "number" }, "η"), h("th", { class: "number" }, "ρ"))),
      h("tbody", {}, found.coarse_classes.map((text, i) => h("tr", {}, h("td", {}, text), h("td", { class: "number" }, fixed(found.means[i], 3)), h("td", { class: "number" }, fixed(found.deviations[i], 3)))))),
    h("div", { class: "row" }, h("a", { class: "button primary", href: `/jobs?model=${encodeURIComponent(name)}` }, "Segment slides"),
      h("a", { class: "button", href: "/count" }, "Count the next ten"))));
}

function showPreview(found) {
  if (found.preview === null || found.preview === undefined) { preview.replaceChildren(); return; }
  const key = `${found.curves.length}-${found.preview}`;
  if (key === shownPreview) return;
  shownPreview = key;
  preview.replaceChildren(h("section", { class: "panel" }, h("h2", {}, `Held-out squares at step ${whole(found.preview)}`),
    h("p", { class: "small muted" }, "Above the tissue with what is found outlined, below the probability, white 0 to violet 1."),
    h("div", { class: "scrollx" }, h("img", { src: `/api/models/${encodeURIComponent(name)}/preview.png?at=${key}`, alt: "Squares with the network's outlines and probabilities" }))));
}

async function refresh() {
  try {
    const found = await api(`/api/models/${encodeURIComponent(name)}`);
    showCurves(found);
    showCard(found);
    showPreview(found);
    return found;
  } catch (error) {
    return { error };
  }
}

function follow(latest) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Training" });
  const line = h("div", { class: "small muted number", role: "status" }, "waiting for jobs before it …");
  const stop = h("button", { onclick: async () => {
    stop.disabled = true;
    try { await api(`/api/jobs/${latest.id}`, { method: "DELETE" }); } catch (error) { showError(line, error); }
  } }, "Stop");
  job.replaceChildren(h("section", { class: "panel" }, h("div", { class: "row spread" }, h("b", {}, "Training"), stop), bar, line));
  lead.textContent = "It goes on where it stopped if this page is closed or the service is started anew.";
  source = new EventSource(`/api/jobs/${latest.id}/events`);
  let seen = 0;
  source.onmessage = (event) => {
    const p = JSON.parse(event.data);
    if (isEnded(p.status)) { source.close(); load(); return; }
    if (!p.steps) return;
    const done = ((p.network - 1) * p.steps + p.step) / (p.networks * p.steps);
    bar.value = done;
    line.textContent = `network ${p.network} of ${p.networks}, step ${whole(p.step)} of ${whole(p.steps)}, loss ${fixed(p.loss)}, ${duration(p.seconds_left)} left`;
    if (Date.now() - seen > 4000) { seen = Date.now(); refresh(); }
  };
  source.onerror = () => { line.textContent = "the service does not answer; trying again …"; };
}

async function load() {
  source?.close();
  const jobs = await api("/api/jobs").catch(() => []);
  const latest = jobs.find((candidate) => candidate.kind === "train" && candidate.model === name);
  const found = await refresh();
  if (latest && !isEnded(latest.status)) { follow(latest); return; }
  job.replaceChildren();
  if (found.is_finished) {
    lead.textContent = "A trained model. It stands in every list of models.";
    const warning = latest?.slides[0]?.message;
    if (warning) job.replaceChildren(h("section", { class: "panel" }, h("p", { class: "error", role: "alert" }, `It is hardly of use: ${warning}.`)));
    return;
  }
  if (!latest) { showError(lead, found.error ?? new Error("its training has not ended")); return; }
  lead.textContent = "";
  const reason = latest.slides[0]?.message ?? latest.message ?? "its training was stopped";
  const retry = h("button", { class: "primary", onclick: async () => {
    try { await api(`/api/jobs/${latest.id}/retry`, { body: {} }); load(); } catch (error) { showError(lead, error); }
  } }, "Go on with the training");
  job.replaceChildren(h("section", { class: "panel" }, h("p", { class: "error" }, latest.status === "stopped" ? "The training was stopped." : `The training failed: ${reason}.`), retry));
}
await load();
