// Pixels in, probabilities out, as in mnist_small's digit.c, for `layers` as the page has them.

import {mostOf, within} from './ink.js';

// A network's numbers put into its layers: base64, three bytes each, and what 1 stands for in each array.
export function unpacked(network) {
  const bytes = atob(network.weights), view = new DataView(new ArrayBuffer(4)), steps = [...network.steps];
  let at = 0;
  const next = () => {
    for (let i = 1; i < 4; i++) view.setUint8(i, bytes.charCodeAt(at++));
    return view.getInt32(0, true) >> 8;
  };
  const take = n => {
    const step = steps.shift();
    return Float32Array.from({length: n}, () => step*next());
  };
  const layers = network.layers.map(o => ({
    ...o, weight: take(o.out*o.in*o.kernel*o.kernel), bias: take(o.out),
    scale: o.scaled ? take(o.out) : null, shift: o.scaled ? take(o.out) : null}));
  return {...network, layers};
}

// The map that sets a digit upright, its spread nearer to the usual: from the result's places to the picture's.
function evenOut(pixels, {spread, power, stretch}) {
  let n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, syy = 0;
  for (let i = 0; i < 784; i++) {
    const ink = pixels[i], x = 2*(i%28) - 27, y = 2*Math.floor(i/28) - 27; // 28 is half the side
    n += ink;
    sx += ink*x;
    sy += ink*y;
    sxx += ink*x*x;
    sxy += ink*x*y;
    syy += ink*y*y;
  }
  const one = n > 0 ? 1/n : 0, mx = sx*one/28, my = sy*one/28;
  const xx = Math.max(sxx*one/784 - mx*mx, 1e-6), xy = sxy*one/784 - mx*my, yy = Math.max(syy*one/784 - my*my, 1e-6);
  const slant = within(-1, xy/yy, 1), upright = Math.max(xx - 2*slant*xy + slant*slant*yy, 1e-6);
  const [kx, ky] = [upright, yy].map((o, i) => within(stretch[0], (spread[i]/Math.sqrt(o))**-power, stretch[1]));
  const x = 14*mx + 13.5, y = 14*my + 13.5;
  return {xx: kx, xy: slant*ky, x: x - kx*x - slant*ky*y, yy: ky, y: y - ky*y};
}

// The pixels as the network sees them, from 0 to 255: evened out in one bilinear interpolation.
export function seenPixels(pixels, moments) {
  if (!moments) return Float64Array.from(pixels);
  const m = evenOut(pixels, moments), out = new Float64Array(784);
  const pixel = (row, column) => row < 0 || row > 27 || column < 0 || column > 27 ? 0 : pixels[28*row + column];
  for (let row = 0; row < 28; row++)
    for (let column = 0; column < 28; column++) {
      const x = m.xx*column + m.xy*row + m.x, y = m.yy*row + m.y, j = Math.floor(x), i = Math.floor(y);
      const above = (j + 1 - x)*pixel(i, j) + (x - j)*pixel(i, j + 1);
      const below = (j + 1 - x)*pixel(i + 1, j) + (x - j)*pixel(i + 1, j + 1);
      out[28*row + column] = (i + 1 - y)*above + (y - i)*below;
    }
  return out;
}

function bordered(v, channels, side, n) { // with n zeros around each channel
  const wide = side + 2*n, out = new Float32Array(channels*wide*wide);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < side; y++)
      out.set(v.subarray((c*side + y)*side, (c*side + y + 1)*side), (c*wide + y + n)*wide + n);
  return out;
}

function averages(v, channels) { // the mean of each channel
  const n = v.length/channels;
  return Float32Array.from({length: channels}, (_, c) => v.subarray(c*n, c*n + n).reduce((sum, o) => sum + o, 0)/n);
}

function pooled(v, channels, side) { // the greatest of each 2x2
  const half = side >> 1, out = new Float32Array(channels*half*half);
  for (let c = 0, i = 0; c < channels; c++)
    for (let y = 0; y < half; y++)
      for (let x = 0; x < half; x++, i++) {
        const at = (c*side + 2*y)*side + 2*x;
        out[i] = Math.max(v[at], v[at + 1], v[at + side], v[at + side + 1]);
      }
  return out;
}

// A convolution with what follows it: the maps of a layer, out*side*side.
function convolved(l, v) {
  if (l.average) v = averages(v, l.in);
  const before = l.average ? 1 : l.side, wide = before + 2*l.padding, side = wide - l.kernel + 1;
  const channels = l.each ? l.out : l.in, from = l.padding ? bordered(v, channels, before, l.padding) : v;
  const out = new Float32Array(l.out*side*side);
  for (let channel = 0, w = 0; channel < l.out; channel++) {
    const sum = out.subarray(channel*side*side, (channel + 1)*side*side).fill(l.bias[channel]);
    for (let c = 0; c < l.in; c++)
      for (let k = 0; k < l.kernel; k++)
        for (let j = 0; j < l.kernel; j++, w++)
          for (let y = 0, i = 0, weight = l.weight[w]; y < side; y++)
            for (let x = 0, at = ((l.each ? channel : c)*wide + y + k)*wide + j; x < side; x++) sum[i++] += weight*from[at + x];
    for (let i = 0; i < sum.length; i++) {
      if (l.relu) sum[i] = Math.max(sum[i], 0);
      if (l.scale) sum[i] = sum[i]*l.scale[channel] + l.shift[channel];
    }
  }
  return l.pool ? {side: side >> 1, maps: pooled(out, l.out, side)} : {side, maps: out};
}

// What a network makes of 28x28 pixels from 0 to 255: probabilities, what it sees, and the maps of each layer.
export function readPixels(network, pixels) {
  const seen = seenPixels(pixels, network.moments), layers = [];
  let v = Float32Array.from(seen, o => (o/255 - network.mean)/network.deviation);
  for (const l of network.layers) {
    layers.push({channels: l.out, ...convolved(l, v)});
    v = layers[layers.length - 1].maps;
  }
  const most = v.reduce((a, b) => Math.max(a, b)), powers = Array.from(v, o => Math.exp(o - most));
  const sum = powers.reduce((a, b) => a + b), probabilities = powers.map(o => o/sum);
  const digit = powers.indexOf(mostOf(powers));
  return {digit, probability: probabilities[digit], probabilities, seen, layers};
}
