// The tool bar and the keys, the same for studies and readings.

export function bindTools(viewer, { stage, onPrior, on3d, extra = {} }) {
  const help = stage.querySelector("#help");
  const does = {
    fit: () => viewer.fit(),
    window: () => viewer.resetWindows(),
    one: () => viewer.one(),
    prior: () => onPrior?.(),
    mpr: () => on3d(),
    help: () => (help.open ? help.close() : help.showModal()),
  };
  const press = (button) => {
    if (button.dataset.overlay) button.setAttribute("aria-pressed", String(viewer.toggle(button.dataset.overlay)));
    else does[button.dataset.do]();
  };
  for (const button of stage.querySelectorAll(".tools button")) {
    const name = button.dataset.overlay;
    if (name) {
      const has = [...viewer.study.manifest.labels, ...viewer.study.manifest.maps].some((v) => v.name === name);
      button.disabled = !has;
      button.setAttribute("aria-pressed", String(has && viewer.shows[name]));
    }
    if (button.dataset.do === "mpr") button.hidden = !on3d;
    button.addEventListener("click", () => { press(button); button.blur(); });
  }
  const writes = (target) => target.closest?.("textarea, select, input:not([type=range]):not([type=radio]):not([type=checkbox]), dialog");
  document.addEventListener("keydown", (event) => {
    if (writes(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 5, PageUp: -5 }[event.key];
    const button = stage.querySelector(`.tools button[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (steps && event.target.type !== "range" && event.target.type !== "radio") viewer.scroll(steps);
    else if (event.key === " " && event.target.tagName !== "BUTTON") { if (!viewer.bare) { viewer.bare = true; viewer.drawSoon(); } }
    else if (button && !button.disabled && !button.hidden) press(button);
    else if (extra[event.key.toLowerCase()]) extra[event.key.toLowerCase()](event);
    else return;
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " " && viewer.bare) { viewer.bare = false; viewer.drawSoon(); }
  });
}
