// The bar between two things that are compared: what is left of it, and what is right of it.

/**
 * `panes`: the names of the map's panes on the left, and of those on the right. `isComparing`: whether there are two things; `moved`: called
 * when the bar is at another place. Call `show` when what is compared changes.
 */
export function createSwipe(state, map, { panes, isComparing, moved }) {
  const swipe = document.getElementById("swipe");
  const stage = document.querySelector(".stage");
  function clip() {
    const size = map.getSize();
    swipe.style.left = `${state.split * size.x}px`;
    swipe.setAttribute("aria-valuenow", String(Math.round(100 * state.split)));
    const [nw, se] = [map.containerPointToLayerPoint([0, 0]), map.containerPointToLayerPoint(size)];
    const middle = nw.x + state.split * size.x;
    for (const [i, names] of panes.entries()) {
      const [from, to] = i === 0 ? [nw.x, middle] : [middle, se.x];
      const rect = isComparing() ? `rect(${nw.y}px, ${to}px, ${se.y}px, ${from}px)` : "";
      for (const name of names) map.getPane(name).style.clip = rect;
    }
  }
  function moveTo(share) {
    state.split = Math.max(0.02, Math.min(0.98, share));
    clip();
    moved();
  }
  map.on("move zoom resize", clip);
  swipe.addEventListener("pointerdown", (event) => {
    swipe.setPointerCapture(event.pointerId);
    const move = (next) => moveTo((next.clientX - stage.getBoundingClientRect().left) / stage.clientWidth);
    swipe.addEventListener("pointermove", move);
    swipe.addEventListener("pointerup", () => swipe.removeEventListener("pointermove", move), { once: true });
  });
  swipe.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    // The map must not move as well.
    if (step) { moveTo(state.split + step); event.stopPropagation(); }
  });
  return { show() {
    swipe.classList.toggle("hidden", !isComparing());
    if (map._loaded) clip();
  } };
}
