// Of each piece of text that is to be seen, and of the edge of each bar, the contrast with what is behind it.
() => {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return (channels(color)[3] ?? 1) === 1 ? color : behind(element.parentElement);
  };
  const ratio = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const found = [];
  const add = (what, element, color) => found.push([what, ratio(color, behind(element))]);
  for (const element of document.querySelectorAll("body, body *")) {
    const style = getComputedStyle(element);
    const own = [...element.childNodes].filter((one) => one.nodeType === 3 && one.data.trim());
    const isDrawn = element.closest("svg") && element.matches("text");
    if (own.length && element.checkVisibility() && (isDrawn || !element.closest("svg, script, style"))) {
      add(own[0].data.trim(), element, isDrawn ? style.fill : style.color);
    }
    if (element.matches(".call rect") && element.checkVisibility()) {
      add(null, element, style.stroke);
    }
  }
  return found;
}
