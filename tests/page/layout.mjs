// What is looked for on every screen: nothing outside it, nothing cut off, nothing one upon another, and
// letters that can be told from what is behind them (WCAG 2.2, 1.4.3). Runs in the page.

/** @returns {string[]} what is wrong, in words */
export function look() {
  const wrong = [];
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width + 1) wrong.push(`the page is ${document.documentElement.scrollWidth - width} px wider than the screen`);
  const name = (el) => `<${el.tagName.toLowerCase()}${el.dataset?.test ? ` ${el.dataset.test}` : ''}${typeof el.className === 'string' && el.className ? ` .${el.className.trim().split(/\s+/).join('.')}` : ''}> “${(el.getAttribute('aria-label') ?? el.innerText ?? '').trim().slice(0, 40)}”`;
  const top = document.querySelector('dialog[open]') ?? document.body;
  const isSeen = (el) => {
    if (!el.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
    const box = el.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) return false;
    for (let it = el.parentElement; it; it = it.parentElement) {
      const style = getComputedStyle(it);
      if (/(auto|scroll|hidden|clip)/.test(style.overflow + style.overflowX + style.overflowY)) {
        const outer = it.getBoundingClientRect();
        if (box.bottom <= outer.top + 1 || box.top >= outer.bottom - 1 || box.right <= outer.left + 1 || box.left >= outer.right - 1) return false;
      }
    }
    if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= width) return false;
    // What lies under a sheet or pane that covers all of it is not seen.
    const hit = document.elementFromPoint(Math.min(Math.max(box.left + box.width / 2, 0), width - 1), Math.min(Math.max(box.top + box.height / 2, 0), innerHeight - 1));
    return !hit || el.contains(hit) || hit.contains(el);
  };
  /** The part of an element's box that what scrolls around it lets through. */
  const clipped = (el) => {
    const { left, top: above, right, bottom } = el.getBoundingClientRect();
    const box = { left, top: above, right, bottom };
    for (let it = el.parentElement; it; it = it.parentElement) {
      const style = getComputedStyle(it);
      if (!/(auto|scroll|hidden|clip)/.test(style.overflowX + style.overflowY)) continue;
      const outer = it.getBoundingClientRect();
      box.left = Math.max(box.left, outer.left);
      box.right = Math.min(box.right, outer.right);
      box.top = Math.max(box.top, outer.top);
      box.bottom = Math.min(box.bottom, outer.bottom);
    }
    return box;
  };
  const controls = [...top.querySelectorAll('button, a[href], input, select, textarea, [role=button], [role=option], [role=menuitem]')].filter(isSeen);
  for (const el of controls) {
    const box = el.getBoundingClientRect();
    const scrolls = (it) => it && (/(auto|scroll)/.test(getComputedStyle(it).overflowX) || scrolls(it.parentElement));
    if ((box.right > width + 1 || box.left < -1) && !scrolls(el.parentElement)) wrong.push(`${name(el)} reaches out of the screen`);
    const style = getComputedStyle(el);
    const isField = /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName);
    const cuts = style.overflow !== 'visible' && style.textOverflow !== 'ellipsis';
    if (!isField && cuts && el.scrollWidth > el.clientWidth + 2 && el.clientWidth > 0) wrong.push(`${name(el)} is cut off`);
  }
  for (const [at, one] of controls.entries()) {
    const a = clipped(one);
    for (const other of controls.slice(at + 1)) {
      if (one.contains(other) || other.contains(one)) continue;
      const b = clipped(other);
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across <= 2 || down <= 2) continue;
      const [x, y] = [Math.max(a.left, b.left) + across / 2, Math.max(a.top, b.top) + down / 2];
      const hit = document.elementFromPoint(x, y);
      // Where another lies upon both, neither is in the other's way.
      if (hit && !(one.contains(hit) || other.contains(hit))) continue;
      wrong.push(`${name(one)} and ${name(other)} lie one upon the other`);
    }
  }
  const rgb = (text) => {
    const m = /rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)/.exec(text);
    return m ? [Number(m[1]), Number(m[2]), Number(m[3]), m[4] === undefined ? 1 : Number(m[4])] : null;
  };
  const over = (front, back) => front.slice(0, 3).map((it, at) => it * front[3] + back[at] * (1 - front[3])).concat(1);
  const behind = (el) => {
    const layers = [];
    for (let it = el; it; it = it.parentElement) {
      const colour = rgb(getComputedStyle(it).backgroundColor);
      if (!colour) return null;
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((back, it) => over(it, back), [255, 255, 255, 1]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((it) => (it / 255 <= 0.03928 ? it / 255 / 12.92 : ((it / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const seen = new Set();
  for (const el of top.querySelectorAll('*')) {
    const words = [...el.childNodes].filter((it) => it.nodeType === 3 && it.textContent.trim()).map((it) => it.textContent.trim()).join(' ');
    if (!words || el.closest('[disabled], [aria-disabled=true], .emoji, svg') || !isSeen(el)) continue;
    const style = getComputedStyle(el);
    const [front, back] = [rgb(style.color), behind(el)];
    if (!front || !back) continue;
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const [x, y] = [light(over(front, back)), light(back)];
    const ratio = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
    const key = `${style.color} ${back} ${needed}`;
    if (ratio < needed - 0.01 && !seen.has(key)) {
      seen.add(key);
      wrong.push(`${name(el)}: its letters stand out by ${ratio.toFixed(2)} to 1, needed are ${needed}`);
    }
  }
  return wrong;
}
