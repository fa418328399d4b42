// What axe leaves open on a page: the contrast of every text, drawn ones too, against what is painted behind it; the sizes of targets;
// whether focus and choice can be seen; what moves; and how much wider than its window the page is.
(forced) => {
  const faint = [];
  const small = [];
  const unseen = [];
  const chosen = [];

  const channels = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
    return colour.startsWith("color(") ? [255 * r, 255 * g, 255 * b, a] : [r, g, b, a];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((c, i) => c * a + below[i] * (1 - a));
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, two) => {
    const [high, low] = [luminance(one), luminance(two)].sort((m, n) => n - m);
    return (high + 0.05) / (low + 0.05);
  };

  /** The shape of a drawing that was painted last where an element has its middle. */
  const shapeUnder = (svg, el) => {
    const box = el.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const holds = (b) => b.x <= x && x <= b.right && b.y <= y && y <= b.bottom;
    const before = (shape) => shape.compareDocumentPosition(el) & Node.DOCUMENT_POSITION_FOLLOWING;
    return [...svg.querySelectorAll("rect, circle")].findLast((s) => getComputedStyle(s).fill !== "none" && before(s) && holds(s.getBoundingClientRect()));
  };
  const behind = (el) => {
    const svg = el.closest("svg");
    const shape = svg && el !== svg ? shapeUnder(svg, el) : undefined;
    if (shape) return channels(getComputedStyle(shape).fill).slice(0, 3);
    const layers = [];
    for (let up = svg ?? el; up && layers.at(-1)?.[3] !== 1; up = up.parentElement) layers.push(channels(getComputedStyle(up).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };

  const visible = { opacityProperty: true, visibilityProperty: true };
  const shown = (el) => el.checkVisibility(visible) && !el.closest(".away, [disabled], option, noscript") && el.getBoundingClientRect().width > 0;
  const named = (el) => `${el.tagName.toLowerCase()}.${el.getAttribute("class") ?? ""} "${(el.getAttribute("aria-label") ?? el.textContent).trim().slice(0, 40)}"`;
  const stage = document.querySelector("dialog[open]") ?? document.body;

  let read = 0;
  const texts = document.createTreeWalker(stage, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const el = node.parentElement;
    if (!node.data.trim() || !shown(el)) continue;
    read += 1;
    const style = getComputedStyle(el);
    const ground = behind(el);
    const ratio = contrast(over(channels(el.closest("svg") ? style.fill : style.color), ground), ground);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5) && !forced) faint.push(`${ratio.toFixed(2)} ${named(el)} on ${ground}`); // forced colours are not told by the style
  }

  const active = [...stage.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")].filter(shown);
  const isInText = (el) => el.matches("a") && getComputedStyle(el).display === "inline" && el.parentElement.textContent.trim() !== el.textContent.trim();
  for (const el of [...active, ...stage.querySelectorAll("[role=option]")]) {
    const target = el.matches("[type=checkbox], [type=radio]") ? (el.closest("label") ?? el) : el;
    const { width, height } = target.getBoundingClientRect();
    if (!isInText(el) && Math.min(width, height) < 23.9) small.push(`${width.toFixed(0)}x${height.toFixed(0)} ${named(el)}`);
  }

  const before = document.activeElement;
  for (const el of active) {
    el.focus({ preventScroll: true });
    if (document.activeElement !== el) continue;
    const style = getComputedStyle(el);
    const box = el.matches("g") ? getComputedStyle(el.querySelector("rect")) : null;
    const outline = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
    const width = box ? parseFloat(box.strokeWidth) : outline;
    const ground = behind(el.parentElement);
    const ratio = contrast(over(channels(box ? box.stroke : style.outlineColor), ground), ground);
    if (width < 2 || ratio < 3) unseen.push(`${width} px, ${ratio.toFixed(2)}: ${named(el)}`);
  }
  before?.focus?.({ preventScroll: true });

  if (forced) {
    const picked = [...stage.querySelectorAll("[aria-selected=true], [aria-pressed=true]")].filter(shown); // their backgrounds are gone
    for (const el of picked) if (parseFloat(getComputedStyle(el).outlineWidth) < 2 || getComputedStyle(el).outlineStyle === "none") chosen.push(named(el));
  }
  const { scrollWidth, clientWidth } = document.documentElement;
  return { read, faint, small, unseen, chosen, moving: document.getAnimations().length, wide: scrollWidth - clientWidth };
}
