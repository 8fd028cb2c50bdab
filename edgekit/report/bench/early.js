// Before the first paint: there is a script, and this is the theme that was chosen last time.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const theme = localStorage.getItem("edgekit-theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch {
    // No storage for this page: the system decides.
  }
})();
