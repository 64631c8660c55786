// A picture of a digit becomes the 28x28 that a network trained on MNIST expects, as in mnist_small's read.py.

import {border, boxMean, boxSide, changed, cropped, digitParts, enlarged, extremes, grid, inked, inkLevels,
        inkStrength, inner, maskBox, mostOf, padded, shrunk, sumOf, thickness, usualStrokes, within,
        withoutRules} from './ink.js';

const LOOKED_THROUGH = 2**18, LOOKED_AT = 96, MOST_PARTS = 24, FILE_NOISE = 16;

export class NoDigit extends Error { // its message is Python's
  several = this.message.includes('several');
}

// ---- MNIST's frame

function moments({w, v}) { // total, and that weighted by row and by column
  let total = 0, rows = 0, columns = 0;
  v.forEach((o, i) => {
    total += o;
    rows += o*Math.floor(i/w);
    columns += o*(i%w);
  });
  return [total, [rows, columns]];
}

const inkBox = ink => maskBox(changed(ink, o => o > 0 ? 1 : 0));

function isFramed(ink) {
  if (ink.h !== 28 || ink.w !== 28 || !mostOf(ink.v)) return false;
  const side = boxSide(inkBox(ink)), [total, sums] = moments(ink);
  return side >= 19 && side <= 20 && sums.every(o => Math.abs(o - 14*total) <= total);
}

// The rows of a grid as n rows, by the share of each that lies in each, h times as large; the result is turned round.
function averaged({h, w, v}, n) {
  const out = grid(w, n, new Float64Array(w*n)); // up to 255 times the pixels of the grid
  for (let x = 0; x < w; x++) {
    let before = 0, sum = 0, row = 0;
    for (let i = 0; i < n; i++) {
      const at = (i + 1)*h, whole = Math.floor(at/n);
      while (row < whole) sum += v[row++*w + x];
      const upTo = sum*n + (whole < h ? v[whole*w + x] : 0)*(at%n);
      out.v[x*n + i] = upTo - before;
      before = upTo;
    }
  }
  return out;
}

// Ink from 0 to 255 as an image in MNIST's form.
export function frameDigit(ink) {
  if (isFramed(ink)) return ink;
  const box = inkBox(ink), larger = Math.ceil(40/boxSide(box));
  ink = enlarged(cropped(ink, box), larger, true);
  const {h, w} = ink, side = Math.max(h, w);
  const [rows, columns] = [h, w].map(o => Math.max(1, Math.floor((40*o + side)/(2*side))));
  const small = averaged(averaged(ink, rows), columns).v.map(o => Math.floor((o + Math.floor(h*w/2))/(h*w)));
  const half = Math.floor(mostOf(small)/2), sharper = o => Math.floor((11*o - half)/10);
  const made = grid(rows, columns, larger > 1 ? small.map(o => within(0, sharper(o), 255)) : small);
  const [total, sums] = moments(made);
  if (!total) throw new NoDigit('there is too little ink to frame');
  const [top, left] = [rows, columns].map((n, i) =>
    within(0, 14 - Math.floor((2*sums[i] + total)/(2*total)), 28 - n));
  const out = grid(28, 28);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) out.v[(top + y)*28 + left + x] = made.v[y*columns + x];
  return out;
}

// ---- Where the digit is

// Ink that may be a digit, in grey levels of dark ink on light paper.
function lookedFor(levels, closed) {
  const {h, w} = levels, longer = Math.max(h, w);
  const [strength, ruled] = withoutRules(inkStrength(levels, Math.floor(longer/4) + 1, closed));
  const found = {closed, strength, ruled, side: 0, large: false, inside: false}, mask = inked(strength);
  if (!mask || !mostOf(mask.v)) return found;
  const {digit, parts, several} = digitParts(mask), [paper, , ink] = inkLevels(strength);
  const box = maskBox(digit), [x0, y0, x1, y1] = box;
  const shadow = 4*sumOf(border(digit)) >= h + w && (4*(x1 - x0) < 3*w || 4*(y1 - y0) < 3*h);
  const side = parts > MOST_PARTS || shadow ? 0 : boxSide(box);
  return {...found, digit, several, box, side, contrast: ink - paper, sheet: 5*thickness(digit) > 2*16*boxSide(box),
          large: side >= 4 && side*40 >= longer, fills: x1 - x0 === w || y1 - y0 === h,
          inside: Math.min(x0, y0) > 0 && x1 < w && y1 < h};
}

function findInk(levels) { // with open edges or, where it touches them, with closed ones
  const found = lookedFor(levels, false);
  return found.large && found.inside ? found : lookedFor(levels, true);
}

// Whether what is dark is the ink, where something was found both ways.
function isInk(dark, light, levels) {
  if (dark.contrast > 3*light.contrast || light.contrast > 3*dark.contrast) return dark.contrast > light.contrast;
  const {h, w, v} = levels;
  if (dark.fills || light.fills) return sumOf(border(levels))*h*w > sumOf(v)*2*(h + w);
  if (dark.sheet !== light.sheet) return light.sheet;
  const mean = boxMean(levels, Math.floor(Math.max(h, w)/4)).v;
  return v.reduce((sum, o, i) => sum + (o - mean[i] >> 4)**3, 0) <= 0;
}

const lightened = levels => changed(levels, o => 4080 - o);

function throughPicture(picture) {
  const {h, w} = picture;
  let k = 1;
  while (Math.floor(w/k)*Math.floor(h/k) > LOOKED_THROUGH) k++;
  if (Math.min(h, w) < k) throw new NoDigit(`there is no digit in a picture of ${w}×${h} pixels`);
  let grey = shrunk(picture, [0, 0, w, h], k);
  if (Math.max(grey.h, grey.w) >= LOOKED_AT) grey = boxMean(grey, 1);
  const dark = findInk(grey), light = findInk(lightened(grey));
  if (!dark.large && !light.large)
    throw new NoDigit('there is no digit in the picture: it is blank, or there are only specks');
  const isDark = dark.large && light.large ? isInk(dark, light, grey) : dark.large, found = isDark ? dark : light;
  if (found.several) throw new NoDigit('there are several digits in the picture: cut out one');
  return {grey, strength: found.strength, digit: found.digit, k, isDark, found};
}

// ---- Its strokes

function closeBy(picture, {k, isDark, found}) {
  const [x0, y0, x1, y1] = found.box.map(o => o*k), whole = found.side*k;
  const less = Math.max(1, Math.floor(whole/LOOKED_AT)), f = Math.ceil(LOOKED_AT/whole);
  const more = Math.floor(whole/2) + 2*k;
  const left = Math.max(0, x0 - more), top = Math.max(0, y0 - more);
  const box = [left, top, Math.min(picture.w, x1 + more), Math.min(picture.h, y1 + more)];
  let near = shrunk(picture, box, less);
  if (!isDark) near = lightened(near);
  near = f > 1 ? enlarged(near, f) : boxMean(near, 1);
  const side = Math.floor(whole*f/less);
  const bare = inkStrength(near, Math.floor(found.closed ? side*3/8 : side/4), found.closed);
  const [strength] = withoutRules(bare, found.ruled.map(o => o ? 1 : bare.h*9));
  const mask = inked(strength), {w} = strength;
  const around = extremes(found.digit, 1 + Math.floor(2*less/k));
  const place = (i, from, n) => Math.min(Math.floor((Math.floor(i*less/f) + from)/k), n - 1);
  const there = i => around.v[place(Math.floor(i/w), top, around.h)*around.w + place(i%w, left, around.w)];
  const kept = mask && changed(mask, (o, i) => o && there(i));
  if (!kept || !mostOf(kept.v)) throw new NoDigit('there is no digit in the picture: what may be one is too weak');
  return {close: strength, strokes: inner(digitParts(padded(kept, 1)).digit, 1)};
}

// What happens to a picture, a grid of bytes, step by step. Throws `NoDigit` if there is none, or several.
export function digitSteps(picture) {
  if (picture.h === 28 && picture.w === 28) {
    const quiet = changed(picture, o => o > FILE_NOISE ? o : 0);
    if (isFramed(picture) || isFramed(quiet)) return {ink: picture, image: picture};
  }
  const {grey, strength, digit, ...seen} = throughPicture(picture), {close, strokes} = closeBy(picture, seen);
  const ink = changed(usualStrokes(cropped(strokes, maskBox(strokes))), o => 255*o);
  return {grey, strength, digit, close, strokes, ink, image: frameDigit(ink)};
}
