/* Airflow shows these pages in a frame: they take its theme, and links to Airflow's own pages leave the frame. */
(() => {
  const root = document.documentElement, framed = parent !== self;
  const airflow = () => { try { return framed ? parent.document : null } catch { return null } };
  const theme = () => root.classList.toggle("dark", airflow()
    ? airflow().documentElement.classList.contains("dark") : matchMedia("(prefers-color-scheme: dark)").matches);
  theme();
  if (airflow()) new MutationObserver(theme).observe(airflow().documentElement, {attributes: true, attributeFilter: ["class"]});
  document.addEventListener("click", event => {
    const link = event.target.closest("a[data-airflow]"), page = airflow();
    if (!link || !page || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault(); /* the frame's sandbox lets no link out of it, but one of the page around it may be clicked */
    const out = page.createElement("a");
    out.href = new URL(link.dataset.airflow, page.baseURI).href;
    page.body.append(out); out.click(); out.remove();
  });
})();
