import { api, date, duration, frame, h, showError, statusChip, whole } from "/viewer/common.js";

frame();
const [model, slides, start, message, list, filter, unsegmented] = ["model", "slides", "start", "message", "list", "filter", "unsegmented"].map((id) => document.getElementById(id));
let entries = [];
const streams = new Map();
const isEnded = (status) => ["done", "done with failures", "failed", "stopped"].includes(status);

function follow(job, line, bar) {
  const source = new EventSource(`/api/jobs/${job.id}/events`);
  streams.set(job.id, source);
  source.onmessage = (event) => {
    const p = JSON.parse(event.data);
    if (isEnded(p.status)) {
      source.close();
      streams.delete(job.id);
      show();
      return;
    }
    bar.max = Math.max(1, p.slides);
    bar.value = p.slides_done + (p.tiles ? p.tiles_done / p.tiles : 0);
    if (p.steps) {
      bar.max = 1;
      bar.value = ((p.network - 1) * p.steps + p.step) / (p.networks * p.steps);
      line.textContent = `network ${p.network} of ${p.networks}, step ${whole(p.step)} of ${whole(p.steps)}, ${duration(p.seconds_left)} left`;
      return;
    }
    line.textContent = p.slide
      ? `${p.slide}: tile ${whole(p.tiles_done)} of ${whole(p.tiles)}, ${whole(p.cells)} lymphocytes, ${p.tiles_per_second.toFixed(1)} tiles/s, ${duration(p.seconds_left)} left for this slide`
      : p.status === "queued" ? "waiting" : "starting …";
  };
  source.onerror = () => { line.textContent = "the service does not answer; trying again …"; };
}

function row(job) {
  const ended = isEnded(job.status);
  const isTraining = job.kind === "train";
  const done = job.slides.filter((slide) => slide.status !== "queued").length;
  const failures = job.slides.filter((slide) => slide.status === "failed");
  const finished = job.slides.filter((slide) => slide.status === "done").length;
  const line = h("div", { class: "small muted number" }, ended ? (isTraining ? (finished ? "trained" : "") : `${finished} of ${job.slides.length} slides done${job.message ? ` – ${job.message}` : ""}`) : "…");
  const bar = h("progress", { max: Math.max(1, job.slides.length), value: done, "aria-label": `Job ${job.id}` });
  const act = async (event, path, method) => {
    event.target.disabled = true;
    try { await api(path, method === "POST" ? { body: {} } : { method }); } catch (error) { showError(message, error); }
    show();
  };
  const panel = h("section", { class: "panel job", "data-job": job.id },
    h("div", { class: "row spread" }, h("div", { class: "row" }, h("b", {}, `Job ${job.id}`), statusChip(job.status), h("span", { class: "muted small" }, isTraining ? "training of " : "", h("a", { href: `/models/${encodeURIComponent(job.model)}` }, job.model), ` · ${date(job.created_at)}`)),
      !ended ? h("button", { onclick: (event) => act(event, `/api/jobs/${job.id}`, "DELETE") }, "Stop")
        : finished < job.slides.length ? h("button", { onclick: (event) => act(event, `/api/jobs/${job.id}/retry`, "POST") }, "Retry what is not done") : null),
    ended ? null : bar, line,
    isTraining ? null : h("div", { class: "row small" }, job.slides.filter((slide) => slide.status === "done").slice(0, 8).map((slide) => {
      const entry = entries.find((candidate) => candidate.name === slide.slide && candidate.id);
      return entry ? h("a", { href: `/view/${entry.id}` }, slide.slide) : null;
    })),
    failures.map((slide) => h("div", { class: "error small" }, isTraining ? slide.message : `${slide.slide}: ${slide.message}`)));
  // A browser has six connections to a service: one stream is enough, for the job at work.
  if (!ended && streams.size === 0) follow(job, line, bar);
  else if (!ended) line.textContent = "waiting";
  return panel;
}

async function show() {
  try {
    const jobs = await api("/api/jobs");
    for (const source of streams.values()) source.close();
    streams.clear();
    // The oldest open job is the one at work; it comes first in the queue.
    const open = jobs.filter((job) => !isEnded(job.status)).reverse();
    const rows = new Map(open.map((job) => [job.id, row(job)]));
    const wanted = filter.value.trim().toLowerCase();
    const matches = (job) => !wanted || `${job.id} ${job.kind} ${job.model} ${job.status} ${job.slides.map((slide) => slide.slide).join(" ")}`.toLowerCase().includes(wanted);
    const shown = jobs.filter(matches).slice(0, 50);
    list.replaceChildren(...shown.map((job) => rows.get(job.id) ?? row(job)));
    if (!shown.length) list.append(h("p", { class: "muted" }, jobs.length ? "No job matches." : "No jobs yet."));
  } catch (error) {
    showError(message, error);
  }
}

start.addEventListener("click", async () => {
  const wanted = [...slides.selectedOptions].map((option) => option.value);
  start.disabled = true;
  try {
    const job = await api("/api/jobs", { body: { model: model.value, slides: wanted } });
    message.className = "small muted";
    message.textContent = `Job ${job.id} is in the queue.`;
    show();
  } catch (error) {
    showError(message, error);
  }
  start.disabled = false;
});

filter.addEventListener("input", show);
/** Chooses the slides that this model has not segmented. */
unsegmented.addEventListener("click", () => {
  const done = new Set(entries.filter((slide) => slide.runs.some((run) => run.status === "done" && run.model === model.value)).map((slide) => slide.id));
  for (const option of slides.options) option.selected = !done.has(option.value);
  message.className = "small muted";
  message.textContent = `${slides.selectedOptions.length} slides that ${model.value} has not segmented.`;
});

try {
  const [models, found] = await Promise.all([api("/api/models"), api("/api/slides")]);
  entries = found;
  model.append(...models.map((name) => h("option", { value: name }, name)));
  const asked = new URLSearchParams(location.search).get("model");
  if (models.includes(asked)) model.value = asked;
  slides.append(...entries.filter((slide) => slide.id).map((slide, i) => h("option", { value: slide.id, selected: i === 0 }, slide.name)));
  start.disabled = !models.length;
  if (!models.length) message.replaceChildren("No model is at hand: ", h("a", { href: "/count" }, "count squares to train one"), ", or start the service with --models.");
} catch (error) {
  showError(message, error);
}
show();
