// What is drawn: strokes, and the ink that they leave in an array of our own.

import {grid, within} from './ink.js';

export const SIDE = 168; // rows and columns of the array
const RADIUS = 5.5; // of the pen

// A digit's strokes: points in hundredths of the side, with curves through them.
export const SAMPLES = [
  '52 20,37 28,31 50,38 72,52 80,65 70,69 48,64 28,52 20,46 22',
  '42 32,54 20,54 20,52 50,51 80',
  '33 35,38 24,52 19,65 27,63 42,48 60,31 78,31 78,50 75,70 78',
  '34 26,50 19,64 27,60 41,46 47,46 47,62 52,68 65,58 78,44 81,31 73',
  '44 20,38 40,31 56,31 56,50 55,72 53|62 36,60 60,58 82',
  '66 21,50 21,40 22,40 22,38 36,36 46,36 46,52 42,65 50,66 66,55 79,40 80,31 74',
  '62 19,46 32,36 52,35 68,45 80,60 78,66 66,58 54,45 54,36 64',
  '31 23,50 22,69 22,69 22,58 42,49 62,45 81',
  '62 28,50 19,38 26,40 38,54 48,65 60,63 75,50 81,37 75,36 61,48 48,60 38,62 28',
  '64 30,53 20,39 26,36 40,46 49,60 43,65 28,65 28,64 50,58 70,50 81',
];

// The points of a curve through `points`, by Catmull and Rom; where a point stands twice there is a corner.
function curve(points) {
  const out = [points[0]];
  for (let i = 0; i + 1 < points.length; i++) {
    const [b, c] = [points[i], points[i + 1]], same = o => o && (o[0] !== b[0] || o[1] !== b[1]);
    const a = same(points[i - 1]) ? points[i - 1] : b, d = points[i + 2] ?? c;
    for (let k = 1; k <= 8; k++) {
      const t = k/8, part = j => b[j] + t/2*(c[j] - a[j] + t*(2*a[j] - 5*b[j] + 4*c[j] - d[j]
                                               + t*(3*(b[j] - c[j]) + d[j] - a[j])));
      out.push([part(0), part(1)]);
    }
  }
  return out;
}

// A sample digit as strokes of points in the array.
export function sampleStrokes(digit) {
  return SAMPLES[digit].split('|').map(stroke =>
    curve(stroke.split(',').map(o => o.split(' ').map(n => n*SIDE/100))));
}

// Strokes, each a list of points [x, y] in the array, and what they leave there: 0 for paper to 255 for ink.
export class Drawing {
  strokes = [];
  ink = new Uint8Array(SIDE*SIDE);

  begin(point) {
    this.strokes.push([point]);
    this.#line(point, point);
  }

  extend(point) {
    const stroke = this.strokes[this.strokes.length - 1];
    this.#line(stroke[stroke.length - 1], point);
    stroke.push(point);
  }

  replace(strokes) {
    this.strokes = strokes;
    this.ink.fill(0);
    for (const points of strokes) points.forEach((o, i) => this.#line(points[Math.max(i - 1, 0)], o));
  }

  // As a picture: dark ink on light paper.
  get picture() {
    return grid(SIDE, SIDE, this.ink.map(o => 255 - o));
  }

  // Ink from one point to another: each pixel has as much as the pen covers of it.
  #line([x0, y0], [x1, y1]) {
    const reach = RADIUS + 1, dx = x1 - x0, dy = y1 - y0, squared = dx*dx + dy*dy;
    const [left, right] = [Math.min(x0, x1) - reach, Math.max(x0, x1) + reach];
    const [top, bottom] = [Math.min(y0, y1) - reach, Math.max(y0, y1) + reach];
    for (let y = Math.max(0, Math.floor(top)); y < Math.min(SIDE, bottom); y++)
      for (let x = Math.max(0, Math.floor(left)); x < Math.min(SIDE, right); x++) {
        const px = x + .5 - x0, py = y + .5 - y0;
        const along = squared ? within(0, (px*dx + py*dy)/squared, 1) : 0;
        const far = Math.hypot(px - along*dx, py - along*dy);
        const ink = Math.round(255*within(0, RADIUS + .5 - far, 1));
        if (ink > this.ink[y*SIDE + x]) this.ink[y*SIDE + x] = ink;
      }
  }
}
