// Finding a digit in a picture, decision by decision as in mnist_small's ink.py: all on integers.
// A grid is {h, w, v}: v holds h*w whole numbers, row by row; a mask's are 0 and 1.

export function grid(h, w, v = new Int32Array(h*w)) {
  return {h, w, v};
}

const div = (a, b) => Math.floor(a/b); // exact: whole numbers below 2**52
export const within = (low, v, high) => Math.min(Math.max(v, low), high);

export function turned({h, w, v}) {
  const out = grid(w, h);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) out.v[x*h + y] = v[y*w + x];
  return out;
}

export function padded({h, w, v}, n, value = 0) {
  const out = grid(h + 2*n, w + 2*n);
  if (value) out.v.fill(value);
  for (let y = 0; y < h; y++) out.v.set(v.subarray(y*w, y*w + w), (y + n)*out.w + n);
  return out;
}

export function cropped({w, v}, [x0, y0, x1, y1]) {
  const out = grid(y1 - y0, x1 - x0);
  for (let y = y0; y < y1; y++) out.v.set(v.subarray(y*w + x0, y*w + x1), (y - y0)*out.w);
  return out;
}

export const inner = (a, n) => cropped(a, [n, n, a.w - n, a.h - n]); // the reverse of `padded`

export function changed({h, w, v}, f) {
  const out = grid(h, w);
  for (let i = 0; i < h*w; i++) out.v[i] = f(v[i], i);
  return out;
}


export function sumOf(v) {
  let sum = 0;
  for (let i = 0; i < v.length; i++) sum += v[i];
  return sum;
}

export function mostOf(v) { // of numbers from 0 on
  let most = 0;
  for (let i = 0; i < v.length; i++) if (v[i] > most) most = v[i];
  return most;
}

export function leastOf(v) {
  let least = Infinity;
  for (let i = 0; i < v.length; i++) if (v[i] < least) least = v[i];
  return least;
}

const indexOfMost = v => v.indexOf(mostOf(v));

// ---- Grey levels, from 0 to 4,080

// A part of a picture of bytes, shrunk by sums over k*k pixels.
export function shrunk({w, v}, [x0, y0, x1, y1], k) {
  const out = grid(div(y1 - y0, k), div(x1 - x0, k));
  for (let y = 0; y < out.h*k; y++)
    for (let x = 0; x < out.w*k; x++) out.v[div(y, k)*out.w + div(x, k)] += v[(y0 + y)*w + x0 + x];
  return changed(out, o => div(o*16, k*k));
}

// A grid enlarged in straight lines, or a grid of bytes along Catmull and Rom's cubics.
export function enlarged(a, f, sharp = false) {
  const n = 2*f, whole = sharp ? 2*n**3 : n;
  for (let axis = 0; axis < 2; axis++) {
    const out = grid(a.w, a.h*f, new Float64Array(a.w*a.h*f)); // turned round
    for (let row = 0; row < out.w; row++) {
      const at = 2*row + 1 - f, i = div(at, n), t = at - i*n; // in units of 1/n
      const weights = sharp
        ? [t*(n - t)*(t - n), 3*t**3 - 5*n*t*t + 2*n**3, t*(n*n + 4*n*t - 3*t*t), t*t*(t - n)] : [0, n - t, t, 0];
      weights.forEach((weight, k) => {
        const from = within(0, i + k - 1, a.h - 1)*a.w;
        if (weight) for (let x = 0; x < a.w; x++) out.v[x*out.w + row] += a.v[from + x]*weight;
      });
    }
    a = out;
  }
  return changed(a, o => within(0, div(o, whole*whole), sharp ? 255 : Infinity));
}

// The mean around each pixel, of (2*r+1)**2 pixels, or fewer at the border.
export function boxMean(a, r) {
  const {h, w} = a, rows = new Float64Array((h + 1)*w), sums = new Float64Array(w + 1), out = grid(h, w);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) rows[(y + 1)*w + x] = rows[y*w + x] + a.v[y*w + x];
  for (let y = 0; y < h; y++) {
    const top = Math.max(y - r, 0), end = Math.min(y + r + 1, h);
    for (let x = 0; x < w; x++) sums[x + 1] = sums[x] + rows[end*w + x] - rows[top*w + x];
    for (let x = 0; x < w; x++) {
      const left = Math.max(x - r, 0), right = Math.min(x + r + 1, w);
      out.v[y*w + x] = div(sums[right] - sums[left], (end - top)*(right - left));
    }
  }
  return out;
}

// ---- Paper

// The greatest value, or the least, in a window of 2*r+1 along each row; the result is turned round.
// Blocks as long as the window are looked through from both ends, which meet in each window.
function extremesAlong({h, w, v}, r, least) {
  const n = 2*r + 1, wide = Math.ceil((w + 2*r)/n)*n, out = grid(w, h), sign = least ? -1 : 1;
  const line = new Int32Array(wide), from = new Int32Array(wide), to = new Int32Array(wide);
  for (let y = 0; y < h; y++) {
    line.fill(sign*v[y*w], 0, r).fill(sign*v[y*w + w - 1], r + w);
    for (let x = 0; x < w; x++) line[r + x] = sign*v[y*w + x];
    for (let block = 0; block < wide; block += n) {
      for (let i = block, most = line[i]; i < block + n; i++) from[i] = most = line[i] > most ? line[i] : most;
      for (let i = block + n - 1, most = line[i]; i >= block; i--) to[i] = most = line[i] > most ? line[i] : most;
    }
    for (let x = 0; x < w; x++) out.v[x*h + y] = sign*(to[x] > from[x + n - 1] ? to[x] : from[x + n - 1]);
  }
  return out;
}

export function extremes(a, r, least = false) {
  return extremesAlong(extremesAlong(a, r, least), r, least);
}

// How much darker than its paper each pixel is.
export function inkStrength(levels, r, closed) {
  const around = closed ? levels : padded(levels, r, leastOf(levels.v));
  const filled = extremes(extremes(around, r), r, true), paper = closed ? filled : inner(filled, r);
  return changed(paper, (o, i) => o - levels.v[i]);
}

// ---- Threshold

function histogram(v) { // how often each number is there
  const out = new Int32Array(mostOf(v) + 1);
  for (let i = 0; i < v.length; i++) out[v[i]]++;
  return out;
}

function ranked(counts, i) { // the i-th number in rising order
  let value = 0;
  for (let before = counts[0]; before <= i; before += counts[++value]);
  return value;
}

// The mean of the upper class by Otsu's method, on 256 steps, above `noise`; the products need BigInt.
export function otsuLevel(counts, noise) {
  const most = counts.length - 1, steps = new Array(256).fill(0), step = o => div(o*255, most);
  let n = 0, total = 0, best = 0n, size = 1n, at = -1, below = 0, moment = 0, sum = 0, upper = 0;
  for (let o = noise + 1; o <= most; o++) {
    steps[step(o)] += counts[o];
    n += counts[o];
    total += counts[o]*step(o);
  }
  for (let i = 0; i < 255; i++) {
    below += steps[i];
    moment += i*steps[i];
    if (below === 0 || below === n || steps[i] === 0) continue; // where nothing is added, nothing gets better
    const between = BigInt(moment*n - total*below)**2n, share = BigInt(below*(n - below));
    if (between*size > best*share) [best, size, at] = [between, share, i];
  }
  for (let o = noise + 1; o <= most; o++)
    if (step(o) > at) {
      upper += counts[o];
      sum += counts[o]*o;
    }
  return div(sum, upper);
}

// The levels of paper, of the most that noise reaches, and of ink; null if nothing stands out.
export function inkLevels({v}) {
  const counts = histogram(v), low = ranked(counts, div(v.length, 20)), paper = ranked(counts, div(v.length, 4));
  const noise = paper + 5*(paper - low) + 32;
  return noise < counts.length - 1 ? [paper, noise, otsuLevel(counts, noise)] : null;
}

// The pixels that are nearer to ink than to paper; null if nothing stands out.
export function inked(strength) {
  const levels = inkLevels(strength);
  if (!levels) return null;
  const least = Math.max(levels[1], div(levels[0] + levels[2], 2));
  return changed(strength, o => o > least ? 1 : 0);
}

// ---- Rules

// For each cell, the length of the longest path of cells that leads to it, from the left or from the right.
function reach({h, w, v}, backwards) {
  const out = grid(h, w), step = backwards ? -1 : 1;
  for (let i = 0, x = backwards ? w - 1 : 0; i < w; i++, x += step)
    for (let y = 0; y < h; y++) {
      if (!v[y*w + x]) continue;
      let longest = 0;
      for (let o = Math.max(y - 1, 0); i && o <= Math.min(y + 1, h - 1); o++)
        longest = Math.max(longest, out.v[o*w + x - step]);
      out.v[y*w + x] = longest + 1;
    }
  return out;
}

// The pixels of a mask that belong to lines from left to right, and how many such lines there are.
export function rulePixels(mask) {
  const {h, w, v} = mask, n = div(w, 5), flags = grid(h, w);
  if (n < 8) return [flags, 0];
  const few = grid(h, n), cells = grid(h, n);
  for (let y = 0; y < h; y++)
    for (let x = 0, i = y*w; x < n; x++, i += 5)
      few.v[y*n + x] = v[i] + v[i + 1] + v[i + 2] + v[i + 3] + v[i + 4] >= 3 ? 1 : 0;
  for (let y = 0; y < h; y++)
    for (let x = 0, i = y*n; x < n; x++, i++)
      cells.v[i] = few.v[i] | (x > 0 && x < n - 1 ? few.v[i - 1] & few.v[i + 1] : 0);
  const left = reach(cells, false), right = reach(cells, true), starts = new Array(n).fill(0);
  const on = changed(cells, (o, i) => o && 4*(left.v[i] + right.v[i] - 1) >= 3*n ? 1 : 0);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < n; x++) if (on.v[y*n + x] && !(y && on.v[(y - 1)*n + x])) starts[x]++;
    for (let x = 0; x < w; x++) flags.v[y*w + x] = on.v[y*n + Math.min(div(x, 5), n - 1)] & v[y*w + x];
  }
  return [flags, starts.sort((a, b) => a - b)[div(n, 2)]];
}

// Pixels in `flags` take the lesser of the nearest others above and below.
function bridged(strength, flags) {
  const {h, w, v} = strength, out = grid(h, w, v.slice()), thick = Math.max(3, div(h, 16));
  for (let x = 0; x < w; x++)
    for (let y = 0; y < h; y++) {
      if (!flags.v[y*w + x]) continue;
      const top = y;
      while (y + 1 < h && flags.v[(y + 1)*w + x]) y++;
      if (y - top + 1 > thick) continue;
      const least = Math.min(top ? v[(top - 1)*w + x] : 0, y + 1 < h ? v[(y + 1)*w + x] : 0);
      for (let i = top; i <= y; i++) out.v[i*w + x] = Math.min(v[i*w + x], least);
    }
  return out;
}

// Ink without the rules of the paper, and for both directions whether there were rules.
export function withoutRules(strength, least = [3, 3]) {
  const levels = inkLevels(strength), ruled = [false, false];
  for (let i = 0; levels && i < 2; i++) {
    const [paper, noise, ink] = levels, from = Math.max(noise, paper + div(ink - paper, 4));
    const way = i ? turned(strength) : strength, [flags, n] = rulePixels(changed(way, o => o > from ? 1 : 0));
    ruled[i] = n >= least[i];
    if (!ruled[i]) continue;
    const along = way.v.filter((_, j) => flags.v[j]), weak = ranked(histogram(along), div(along.length, 2));
    const clean = bridged(way, changed(flags, (o, j) => o && 2*way.v[j] <= 3*weak ? 1 : 0));
    strength = i ? turned(clean) : clean; // what is stronger is a stroke along the rule
  }
  return [strength, ruled];
}

// ---- Parts; boxes are left, top, right and bottom

const high = box => box[3] - box[1];
export const boxSide = box => Math.max(box[2] - box[0], high(box));

function boxes(labels, n) { // around each number below n that a grid holds
  const {h, w, v} = labels, out = Array.from({length: n}, () => [w, h, 0, 0]);
  for (let y = 0, i = 0; y < h; y++)
    for (let x = 0; x < w; x++, i++) {
      const o = out[v[i]];
      if (x < o[0]) o[0] = x;
      if (y < o[1]) o[1] = y;
      if (x >= o[2]) o[2] = x + 1;
      if (y >= o[3]) o[3] = y + 1;
    }
  return out;
}

export const maskBox = mask => boxes(mask, 2)[1];

// The parts of a mask, diagonal neighbours connected: labels from 1 on, row by row, and the size of each.
export function connected({h, w, v}) {
  const labels = grid(h, w), sizes = [0], stack = [];
  for (let i = 0; i < h*w; i++) {
    if (!v[i] || labels.v[i]) continue;
    labels.v[i] = sizes.length;
    stack.push(i);
    let size = 0;
    while (stack.length) {
      const at = stack.pop(), x = at%w, y = (at - x)/w;
      size++;
      for (let b = Math.max(y - 1, 0); b <= Math.min(y + 1, h - 1); b++)
        for (let a = Math.max(x - 1, 0); a <= Math.min(x + 1, w - 1); a++)
          if (v[b*w + a] && !labels.v[b*w + a]) {
            labels.v[b*w + a] = sizes.length;
            stack.push(b*w + a);
          }
    }
    sizes.push(size);
  }
  return [labels, sizes];
}

export function border({h, w, v}) { // the numbers along the edges, those in the corners twice
  const out = [];
  for (let x = 0; x < w; x++) out.push(v[x], v[(h - 1)*w + x]);
  for (let y = 0; y < h; y++) out.push(v[y*w], v[y*w + w - 1]);
  return out;
}

// The sizes, 0 for parts along the edges of the picture, if another is left that may be a digit.
function notFraming(labels, sizes, around) {
  const along = new Array(sizes.length).fill(0);
  for (const o of border(labels)) along[o]++;
  const kept = sizes.map((o, i) => along[i]*4 >= labels.h + labels.w ? 0 : o), most = mostOf(kept);
  const large = most > 0 && boxSide(around[indexOfMost(kept)])*24 >= Math.max(labels.h, labels.w);
  return large && most*8 >= mostOf(sizes) ? kept : sizes;
}

function largeParts(sizes) { // those that are more than specks beside the largest
  const most = mostOf(sizes);
  return [...sizes.keys()].filter(i => sizes[i] > 0 && sizes[i]*25 >= most);
}

// For each part, how many of its pixels cannot be reached from outside but through part i.
function enclosed({h, w, v}, i, n) {
  const wide = w + 2, open = padded(grid(h, w, v.map(o => o === i ? 0 : 1)), 1, 1).v, stack = [0];
  open[0] = 0;
  while (stack.length) {
    const at = stack.pop();
    for (const next of [at - wide, at + wide, at - 1, at + 1]) // outside is all around: rows may run on
      if (open[next]) {
        open[next] = 0;
        stack.push(next);
      }
  }
  const out = new Array(n).fill(0);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) if (open[(y + 1)*wide + x + 1]) out[v[y*w + x]]++;
  return out;
}

// The sizes, 0 for a frame or a ring and for all outside of it, if there is a part inside that may be a digit.
function notAround(labels, sizes, around) {
  const large = largeParts(sizes), areas = large.map(o => high(around[o])*(around[o][2] - around[o][0]));
  if (large.length === 1) return sizes;
  const i = large[indexOfMost(areas)], held = enclosed(labels, i, sizes.length);
  const inside = sizes.map((o, j) => j !== i && held[j] === o ? o : 0);
  const outer = high(around[i]), most = mostOf(large.filter(o => inside[o] > 0).map(o => high(around[o])));
  return outer <= 4*most && 10*most <= 9*outer ? notAround(labels, inside, around) : sizes;
}

// The sizes, 0 for a line below all else and as wide as that, at least.
function notUnder(labels, sizes, around) {
  const large = largeParts(sizes), line = large[indexOfMost(large.map(o => around[o][1]))];
  const rest = large.filter(o => o !== line).map(o => around[o]), [left, top, right, bottom] = around[line];
  const wide = mostOf(rest.map(o => o[2])) - leastOf(rest.map(o => o[0]));
  const under = rest.length && right - left >= Math.max(6*(bottom - top), wide);
  return under && mostOf(rest.map(o => o[3])) <= top ? sizes.map((o, i) => i === line ? 0 : o) : sizes;
}

// The pixels of the digit, of how many parts it is, and whether there is another digit.
export function digitParts(mask) {
  const [labels, all] = connected(mask), around = boxes(labels, all.length);
  const sizes = [notFraming, notAround, notUnder].reduce((o, less) => less(labels, o, around), all);
  const largest = mostOf(sizes), side = boxSide(around[sizes.indexOf(largest)]);
  const good = changed(labels, o => sizes[o] > 0 && sizes[o]*25 >= largest ? 1 : 0);
  const [near, n] = connected(extremes(good, div(side, 6) + 1)), groups = new Array(n.length).fill(0);
  good.v.forEach((o, i) => { if (o) groups[near.v[i]]++; });
  const first = indexOfMost(groups), digit = changed(good, (o, i) => o && near.v[i] === first ? 1 : 0);
  const spread = boxes(changed(near, (o, i) => good.v[i] ? o : 0), n.length);
  const several = groups.some((o, i) => i !== first && o*3 >= groups[first] && boxSide(spread[i])*2 >= side);
  const parts = [...new Set(labels.v.filter((_, i) => digit.v[i]))].map(o => around[o]);
  const tall = parts.filter(o => high(o)*4 >= 3*high(spread[first]));
  return {digit, parts: parts.length, several: several || tall.some(a => tall.some(b => a[2] <= b[0]))};
}

// ---- Strokes

// How thick strokes are, in 16ths of a pixel.
export function thickness(mask) {
  const {h, w, v} = padded(mask, 1);
  let outline = 0;
  for (let i = 0; i < h*w; i++) outline += (i%w && v[i] !== v[i - 1]) + (i >= w && v[i] !== v[i - w]);
  return div(40*sumOf(mask.v), outline);
}

// A mask with strokes that are thicker by n pixels on each side, or thinner; it has a wider edge.
export function grown(mask, n) {
  let m = padded(mask, Math.max(n, 0) + 1);
  for (let i = 0; i < Math.abs(n); i++) {
    if (i%2) m = extremes(m, 1, n < 0);
    else {
      const {v, w} = m, on = n > 0 ? 1 : 0; // the edge stays as it is
      m = changed(m, (o, j) => v[j - 1] === on || v[j + 1] === on || v[j - w] === on || v[j + w] === on ? on : o);
    }
  }
  return m;
}

// A digit whose strokes are neither thin nor thick: from 9 to 16 percent of its longer side.
export function usualStrokes(mask) {
  const side = boxSide(maskBox(mask)), thick = thickness(mask);
  const more = within(div(side*16*9, 100), thick, div(side*16*16, 100)) - thick;
  return grown(mask, more > 0 ? div(more, 32) : -div(-more, 32));
}
