"use strict";
{
  const panel = document.getElementById("panel");
  const slot = panel.querySelector("div");
  const place = document.createComment("what the dialog shows");

  const evidence = (hash) => {
    const found = hash.length > 1 && document.getElementById(hash.slice(1));
    return found && found.matches("article.evidence") ? found : null;
  };

  const putBack = () => {
    const shown = slot.firstElementChild;
    if (shown) {
      place.replaceWith(shown);
    }
    return shown;
  };

  const open = (article) => {
    putBack();
    article.replaceWith(place);
    slot.append(article);
    panel.setAttribute("aria-labelledby", article.getAttribute("aria-labelledby"));
    history.replaceState(null, "", `#${article.id}`);
    if (!panel.open) {
      panel.showModal();
    }
    panel.scrollTop = 0;
    for (const timeline of slot.querySelectorAll(".timeline")) {
      const first = timeline.querySelector(".involved rect");
      timeline.scrollLeft = first ? first.x.baseVal.value - 100 : 0;
    }
  };

  panel.addEventListener("close", () => {
    const shown = putBack();
    history.replaceState(null, "", location.href.split("#")[0]);
    document.getElementById(`${shown.id}.cell`).focus();
  });
  panel.querySelector("button").addEventListener("click", () => panel.close());

  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    const article = link && !event.ctrlKey && !event.metaKey && !event.shiftKey && evidence(link.hash);
    if (article) {
      event.preventDefault();
      open(article);
    }
  });
  const follow = () => {
    const article = evidence(location.hash);
    if (article) {
      open(article);
    }
  };
  addEventListener("hashchange", follow);
  follow();
}
