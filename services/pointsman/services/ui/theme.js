// Runs before the page is drawn, so that the chosen theme does not flash.
(() => {
  const KEY = "pointsman.theme";
  let chosen = null;
  try { chosen = localStorage.getItem(KEY); } catch { /* storage is off: the system's theme it is */ }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const root = document.documentElement;
      const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
      const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
      root.dataset.theme = next;
      try { localStorage.setItem(KEY, next); } catch { /* kept for this page only */ }
    });
  });
})();
