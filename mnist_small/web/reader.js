// The element <digit-reader>: a surface to draw on, and what a network makes of that.

import {grid, within} from './ink.js';
import {NoDigit, digitSteps} from './read.js';
import {readPixels, unpacked} from './network.js';
import {Drawing, SIDE, sampleStrokes} from './drawing.js';
import {MARKUP, STYLE} from './markup.js';

const OWN = '#4a86d8'; // the colour of bars and maps
const STEP = 4; // of the arrow keys, in pixels of the drawing
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
const CELL = 28, TILE = 30; // pixels of a map, and with the gap beside it
const QUIET = 600; // milliseconds without a change before the answer is spoken

// Show numbers from 0 to 1 as strengths of a colour.
function paint(canvas, {h, w, v}, colour) {
  Object.assign(canvas, {width: w, height: h});
  const context = canvas.getContext('2d'), image = context.createImageData(w, h);
  for (let i = 0; i < h*w; i++) image.data[4*i + 3] = Math.round(255*v[i]);
  context.putImageData(image, 0, 0);
  context.globalCompositeOperation = 'source-in';
  context.fillStyle = colour;
  context.fillRect(0, 0, w, h);
}

// The maps of a layer side by side, from the least value to the greatest; of nothing, empty cells.
function tiled({channels, side, maps}) {
  const columns = [5, 4, 3].find(o => channels%o === 0) ?? 6;
  const high = TILE*Math.ceil(channels/columns) - 2, wide = TILE*columns - 2;
  const least = Math.min(...maps), span = Math.max(...maps) - least || 1;
  const out = grid(high, wide, new Float32Array(high*wide));
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < CELL; y++)
      for (let x = 0; x < CELL; x++) {
        const at = (c*side + Math.floor(y*side/CELL))*side + Math.floor(x*side/CELL);
        const place = (Math.floor(c/columns)*TILE + y)*wide + (c%columns)*TILE + x;
        out.v[place] = .06 + .94*(maps[at] - least)/span;
      }
  return out;
}

const percent = p => `${(100*p).toFixed(1)}\u00a0%`;

export class DigitReader extends HTMLElement {
  static networks = [];

  #drawing = new Drawing();
  #pen = {at: [SIDE/2, SIDE/4], down: false, pointer: null};
  #network;
  #answer;
  #sampled = false;
  #due = false;
  #parts = {};

  connectedCallback() {
    if (this.shadowRoot) return;
    this.attachShadow({mode: 'open'}).innerHTML = `<style>${STYLE}</style>${MARKUP}`;
    for (const o of this.shadowRoot.querySelectorAll('[class]')) this.#parts[[...o.classList].pop()] = o;
    this.#parts.undo.onclick = () => this.undo();
    this.#parts.clear.onclick = () => this.clear();
    [...this.#parts.samples.children].forEach((o, i) => { o.onclick = () => this.#sample(i); });
    this.#offerNetworks();
    this.#listen();
    if (this.hasAttribute('sample')) this.#sample(Number(this.getAttribute('sample')));
    this.#read();
  }

  // What is drawn, SIDE*SIDE grey values row by row: 255 for paper to 0 for ink.
  get picture() {
    return Uint8Array.from(this.#drawing.picture.v);
  }

  // What was last made of it: `problem`, or `digit`, `probability`, `probabilities`, `sure`, `image` and `seen`.
  get answer() {
    return this.#answer;
  }

  undo() {
    this.#replace(this.#drawing.strokes.slice(0, -1));
  }

  clear() {
    this.#replace([]);
  }

  #replace(strokes, sampled = false) { // also what is just being drawn
    this.#pen.pointer = null;
    this.#lift();
    this.#sampled = sampled;
    this.#changed(() => this.#drawing.replace(strokes));
  }

  #sample(digit) {
    this.#replace(sampleStrokes(digit), true);
  }

  #begin(point) { // a stroke of somebody's own, which a sample makes way for
    if (this.#sampled) this.#drawing.replace([]);
    this.#sampled = false;
    this.#drawing.begin(point);
  }

  #offerNetworks() {
    const {network, networks, about, layers} = this.#parts, every = this.constructor.networks.map(unpacked);
    networks.append(...every.map(o => new Option(o.name)));
    network.hidden = every.length < 2;
    const choose = () => {
      this.#network = every[networks.selectedIndex];
      about.textContent = `${network.hidden ? `Network ${this.#network.name}: ` : ''}${this.#network.about}`;
      const last = this.#network.layers.length - 1, sizes = readPixels(this.#network, new Uint8Array(784)).layers;
      const chosen = within(0, layers.selectedIndex, last);
      const named = ({channels, side}, i) =>
        `${i + 1}: ${channels} ${side > 1 ? `maps of ${side}×${side}` : 'numbers, one a digit'}`;
      layers.replaceChildren(...sizes.map((o, i) => new Option(named(o, i))));
      layers.selectedIndex = chosen;
    };
    networks.onchange = () => this.#changed(choose);
    layers.onchange = () => this.#show();
    choose();
  }

  #listen() {
    const {ink} = this.#parts, show = () => this.#show();
    ink.onpointerdown = e => this.#pointerDown(e);
    ink.onpointermove = e => this.#pointerMove(e);
    ink.onpointerup = ink.onpointercancel = () => { this.#pen.pointer = null; };
    ink.onkeydown = e => this.#key(e);
    ink.onblur = () => this.#lift();
    this.shadowRoot.addEventListener('keydown', e => {
      if (e.key !== 'z' || !(e.ctrlKey || e.metaKey)) return;
      e.preventDefault();
      this.undo();
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);
    const themed = new MutationObserver(show); // a page may have a switch of its own
    for (const o of [document.documentElement, document.body]) themed.observe(o, {attributes: true});
  }

  // ---- Drawing

  #place(e) { // of a pointer, in the drawing
    const box = this.#parts.ink.getBoundingClientRect();
    return [(e.clientX - box.left)*SIDE/box.width, (e.clientY - box.top)*SIDE/box.height];
  }

  #pointerDown(e) {
    if (e.button !== 0 || this.#pen.pointer !== null) return;
    this.#lift();
    this.#pen.pointer = e.pointerId;
    this.#changed(() => this.#begin(this.#place(e)));
    this.#parts.ink.setPointerCapture(e.pointerId);
  }

  #pointerMove(e) {
    if (e.pointerId !== this.#pen.pointer) return;
    const between = e.getCoalescedEvents?.() ?? [];
    this.#changed(() => (between.length ? between : [e]).forEach(o => this.#drawing.extend(this.#place(o))));
  }

  #key(e) {
    const pen = this.#pen, arrow = ARROWS[e.key];
    const ours = arrow || [' ', 'Backspace', 'Delete'].includes(e.key);
    if (!ours || e.ctrlKey || e.metaKey || e.altKey || pen.pointer !== null) return;
    e.preventDefault();
    if (arrow) {
      pen.at = pen.at.map((o, i) => within(0, o + STEP*arrow[i], SIDE));
      if (pen.down) this.#changed(() => this.#drawing.extend(pen.at));
    } else if (e.key === ' ') {
      if (pen.down) this.#lift();
      else {
        pen.down = true;
        this.#changed(() => this.#begin(pen.at));
      }
      this.#speak(pen.down ? 'Pen down.' : 'Pen up.');
    } else if (e.key === 'Delete') this.clear();
    else this.undo();
    this.#showPen();
  }

  #lift() {
    this.#pen.down = false;
    this.#showPen();
  }

  // ---- Reading, once a frame at most

  #changed(change) {
    change();
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#read();
      clearTimeout(this.#pen.quiet);
      this.#pen.quiet = setTimeout(() => this.#speak(this.#sentence()), QUIET);
    });
  }

  #read() {
    const empty = this.#drawing.strokes.length === 0;
    try {
      if (empty) throw new NoDigit('nothing is drawn');
      const image = digitSteps(this.#drawing.picture).image.v, read = readPixels(this.#network, image);
      this.#answer = {...read, image, sure: read.probability >= this.#network.sure, problem: ''};
    } catch (e) {
      if (!(e instanceof NoDigit)) throw e;
      const problem = empty ? 'Nothing drawn yet.' : e.several ? 'Several digits: one at a time, please.'
        : 'No digit yet, only a speck.';
      this.#answer = {problem};
    }
    this.#show();
  }

  // ---- Showing

  #sentence() {
    const {problem, digit, probability, sure} = this.#answer;
    return problem || `${digit}, ${percent(probability)}${sure ? '' : ', not sure'}`;
  }

  #speak(text) {
    this.#parts.spoken.textContent = text;
  }

  #showPen() {
    const {pen} = this.#parts, {at, down} = this.#pen;
    pen.classList.toggle('down', down);
    Object.assign(pen.style, {left: `${100*at[0]/SIDE}%`, top: `${100*at[1]/SIDE}%`});
  }

  #show() {
    const {ink, hint, digit, words, bars, seen, maps, layers} = this.#parts, {problem, ...read} = this.#answer;
    const colour = getComputedStyle(this).color, drawn = this.#drawing.ink;
    paint(ink, {h: SIDE, w: SIDE, v: Float32Array.from(drawn, o => o/255)}, colour);
    hint.hidden = this.#drawing.strokes.length > 0 && !this.#sampled;
    digit.textContent = problem ? '' : `${read.digit}${read.sure ? '' : '?'}`;
    words.textContent = problem || `${percent(read.probability)}${read.sure ? '' : ', not sure'}`;
    [...bars.children].forEach((o, i) => {
      const p = problem ? 0 : read.probabilities[i];
      o.classList.toggle('first', !problem && i === read.digit);
      o.querySelector('.bar').style.transform = `scaleX(${p})`;
      o.querySelector('.share').textContent = problem ? '' : percent(p);
    });
    paint(seen, {h: 28, w: 28, v: problem ? new Float32Array(784) : read.seen.map(o => o/255)}, colour);
    const layer = (problem ? readPixels(this.#network, new Uint8Array(784)) : read).layers[layers.selectedIndex];
    paint(maps, tiled(problem ? {...layer, maps: layer.maps.map(() => 0)} : layer), OWN);
  }
}
