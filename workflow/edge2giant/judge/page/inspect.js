"use strict";
// Filters live in the address (#category=math&change=down&least=1&order=change), so that a view can be linked to;
// #q85 leads to one question. Text of models is never touched here: the page holds it as escaped text.
(() => {
  const main = document.querySelector("main");
  const articles = [...main.querySelectorAll("article")];
  const fields = ["category", "change", "least", "order"].map((id) => document.getElementById(id));
  const empty = { category: "", change: "", least: "0", order: "" };

  const fits = (article, wanted) => {
    const known = article.dataset.change !== "";
    const change = known ? Number(article.dataset.change) : 0;
    const least = Number(wanted.least) || 0;
    const kinds = {
      "": true,
      down: known && change < 0,
      up: known && change > 0,
      moved: known && change !== 0,
      same: known && change === 0,
      none: !known,
    };
    return (wanted.category === "" || article.dataset.category === wanted.category)
      && Boolean(kinds[wanted.change]) && (least === 0 || (known && Math.abs(change) >= least));
  };

  const sorted = (order) => {
    const weight = (article) => (article.dataset.change === "" ? Infinity : Number(article.dataset.change));
    return order === "change" ? [...articles].sort((a, b) => weight(a) - weight(b)) : articles;
  };

  const wanted = () => Object.fromEntries(fields.map((field) => [field.id, field.value]));

  const show = () => {
    const now = wanted();
    const chosen = articles.filter((article) => fits(article, now));
    articles.forEach((article) => { article.hidden = !chosen.includes(article); });
    main.append(...sorted(now.order));
    document.getElementById("count").textContent = `${chosen.length} of ${articles.length} questions`;
  };

  const fromAddress = () => {
    const hash = location.hash.slice(1);
    if (/^q\d+$/.test(hash)) {
      const article = document.getElementById(hash);
      if (article) {
        show();
        article.hidden = false;
        article.scrollIntoView();
      }
      return;
    }
    const given = new URLSearchParams(hash);
    fields.forEach((field) => { field.value = given.get(field.id) ?? empty[field.id]; });
    fields.forEach((field) => { if (field.selectedIndex === -1) field.value = ""; });
    show();
  };

  const toAddress = () => {
    const now = wanted();
    const given = new URLSearchParams(Object.entries(now).filter(([id, value]) => value !== empty[id]));
    history.replaceState(null, "", `#${given}`);
    show();
  };

  document.getElementById("filters").hidden = false;
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  fields.forEach((field) => field.addEventListener("input", toAddress));
  addEventListener("hashchange", fromAddress);
  show();
  fromAddress();
})();
