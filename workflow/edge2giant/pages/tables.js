(async () => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark", dark.matches);
  dark.addEventListener("change", follow);
  follow();

  const { jQuery } = await import(URL.createObjectURL(new Blob([LIBRARY], { type: "text/javascript" })));
  const numeric = (head) => head.classList.contains("number");
  const filter = (head) => (numeric(head) ? "searchNumber" : head.classList.contains("choice") ? "searchList" : "searchText");
  const controls = (head) => [
    { extend: "order", text: `Sort by ${head.textContent}` },
    { extend: "dropdown", text: `Filter by ${head.textContent}`, icon: "search", content: [filter(head)] },
  ];
  for (const table of document.querySelectorAll("table.grid")) {
    const heads = [...table.tHead.rows[0].cells];
    const page = Number(table.dataset.page);
    const rows = table.tBodies[0].rows.length;
    const many = rows > page, some = rows > 5;
    jQuery(table).DataTable({
      autoWidth: false,
      order: [],
      ordering: { indicators: false, handler: false },
      pageLength: page,
      lengthMenu: [10, 25, 50, 100, { label: "all", value: -1 }],
      columnDefs: heads.map((head, target) => {
        const orderable = !head.classList.contains("link");
        return { targets: target, type: numeric(head) ? "num" : "string", columnControl: orderable ? controls(head) : [], orderable };
      }),
      layout: {
        topStart: some ? { search: { text: "_INPUT_", placeholder: "Search this table" } } : null,
        topEnd: many ? "pageLength" : null,
        bottomStart: some ? "info" : null,
        bottomEnd: many ? "paging" : null,
      },
    });
    const wrapper = table.closest(".dt-container");
    wrapper.querySelector("input[type=search]")?.setAttribute("aria-label", `Search: ${table.dataset.name}`);
    const scroller = wrapper.querySelector(".dt-layout-table > div") ?? table.parentElement;
    scroller.tabIndex = 0;
    scroller.setAttribute("role", "region");
    scroller.setAttribute("aria-label", table.dataset.name);
  }
  // Paging has made the page shorter since the browser went to the fragment.
  await Promise.allSettled([...document.images].map((image) => image.decode()));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
})();
