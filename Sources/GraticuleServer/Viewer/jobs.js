import { api, duration, frame, h, showError, statusChip, whole } from "/viewer/common.js";

frame();
const [model, slides, start, message, list] = ["model", "slides", "start", "message", "list"].map((id) => document.getElementById(id));
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
    line.textContent = p.slide
      ? `${p.slide}: tile ${whole(p.tiles_done)} of ${whole(p.tiles)}, ${whole(p.cells)} lymphocytes, ${p.tiles_per_second.toFixed(1)} tiles/s, ${duration(p.seconds_left)} left for this slide`
      : p.status === "queued" ? "waiting" : "starting …";
  };
  source.onerror = () => { line.textContent = "the service does not answer; trying again …"; };
}

function row(job) {
  const ended = isEnded(job.status);
  const done = job.slides.filter((slide) => slide.status !== "queued").length;
  const failures = job.slides.filter((slide) => slide.status === "failed");
  const finished = job.slides.filter((slide) => slide.status === "done").length;
  const line = h("div", { class: "small muted number" }, ended ? `${finished} of ${job.slides.length} slides done${job.message ? ` – ${job.message}` : ""}` : "…");
  const bar = h("progress", { max: Math.max(1, job.slides.length), value: done, "aria-label": `Job ${job.id}` });
  const act = async (event, path, method) => {
    event.target.disabled = true;
    try { await api(path, method === "POST" ? { body: {} } : { method }); } catch (error) { showError(message, error); }
    show();
  };
  const panel = h("section", { class: "panel job", "data-job": job.id },
    h("div", { class: "row spread" }, h("div", { class: "row" }, h("b", {}, `Job ${job.id}`), statusChip(job.status), h("span", { class: "muted small" }, `${job.model} · ${new Date(job.created_at).toLocaleString()}`)),
      !ended ? h("button", { onclick: (event) => act(event, `/api/jobs/${job.id}`, "DELETE") }, "Stop")
        : finished < job.slides.length ? h("button", { onclick: (event) => act(event, `/api/jobs/${job.id}/retry`, "POST") }, "Retry what is not done") : null),
    ended ? null : bar, line,
    failures.map((slide) => h("div", { class: "error small" }, `${slide.slide}: ${slide.message}`)));
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
    list.replaceChildren(...jobs.slice(0, 50).map((job) => rows.get(job.id) ?? row(job)));
    if (!jobs.length) list.append(h("p", { class: "muted" }, "No jobs yet."));
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

try {
  const [models, entries] = await Promise.all([api("/api/models"), api("/api/slides")]);
  model.append(...models.map((name) => h("option", { value: name }, name)));
  slides.append(...entries.filter((slide) => slide.id).map((slide, i) => h("option", { value: slide.id, selected: i === 0 }, slide.name)));
  start.disabled = !models.length;
  if (!models.length) message.textContent = "No model is at hand: start the service with --models.";
} catch (error) {
  showError(message, error);
}
show();
