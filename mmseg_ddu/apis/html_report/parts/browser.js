// The browser of images: state, controls, legend.

const data = JSON.parse(document.getElementById('data').textContent);
const $ = (id) => document.getElementById(id);
const canvas = $('canvas');
const SCORES = data.maps;
const luts = Object.fromEntries(SCORES.map((s) => [s, readColors(data.luts[s])]));
const ORDERS = {
  listed: ['ranking score', 'as ranked'],
  alarms: ['alarms', 'images with an alarm first'],
  unusual_share: ['unusual pixels', 'most unusual pixels first'],
  image_novelty: ['image novelty', 'most novel image first'],
  refused_share: ['refused pixels', 'most refused pixels first'],
  total_mean: ['mean total', 'highest mean total first'],
  epistemic_mean: ['mean epistemic', 'highest mean epistemic first'],
  aleatoric_mean: ['mean aleatoric', 'highest mean aleatoric first'],
  error_share: ['wrong pixels', 'most errors first'],
  name: ['', 'name'],
};
const state = { image: 0, method: 0, layer: SCORES[SCORES.length - 1], order: 'name' };
let ranking = [];
let drawing = 0;
let shownGrey = {};
let marked = null; // the button of the image that is shown
const ENOUGH = 5; // ms for a photo of the strip

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const number = (value) => (Math.abs(value) < 1e5
  ? String(Number(value.toPrecision(3))) : value.toExponential(1));
const percentile = (share) => `${(100 * share).toFixed(share > 0.99 ? 2 : 1)} %`;
const oneIn = (share) => Math.round(1 / Math.max(1 - share, 1e-6)).toLocaleString('en');
const method = () => data.methods[state.method];
const mapsOf = (index) => method().images[index];
// What a pixel without a class is called in a layer.
const voidName = () => (state.layer === 'truth' ? 'void' : state.layer === 'prediction'
  ? 'refused' : method().refused === null ? 'void' : 'void or refused');
const className = (label) => (label === VOID ? voidName() : label === 254
  ? 'out of distribution' : data.classes[label] || `class ${label}`);
const rgb = (color) => `rgb(${color.join(',')})`;

function element(tag, properties, parent) {
  const made = Object.assign(document.createElement(tag), properties);
  if (parent) parent.append(made);
  return made;
}

// By what an image is ordered, and as what it is shown.
function scoreOf(index, key) {
  const { listed, alarms } = data.images[index];
  if (key === 'listed') return listed?.score;
  return key === 'alarms' ? alarms?.length : mapsOf(index).scores[key];
}

function scoreText(key, value, scores) {
  if (key.endsWith('_share')) return percent(value);
  const among = scores[`${key}_percentile`];
  if (among === undefined) return number(value);
  return `${number(value)} (above ${percent(among)} of training images)`;
}

function describeImage() {
  const { scores } = mapsOf(state.image);
  const { listed, alarms, name } = data.images[state.image];
  const words = Object.keys(ORDERS).filter((key) => key in scores)
    .map((key) => `${ORDERS[key][0]} ${scoreText(key, scores[key], scores)}`);
  const many = data.methods.length > 1 ? `${method().name}: ` : '';
  const told = [['labelled', 'label'], ['predicted', 'predicted'], ['kind', 'kind']]
    .map(([word, key]) => (listed?.[key] ? `, ${word} ${listed[key]}` : '')).join('');
  const rank = listed ? ` Rank ${listed.rank}, score ${number(listed.score)}${told}.` : '';
  return `${name} (${many}${words.join(', ')}).${rank} ${(alarms || []).join(' ')}`;
}

async function draw() {
  drawing += 1;
  const turn = drawing;
  const index = state.image;
  const image = data.images[index];
  const size = [image.width, image.height];
  const layer = state.layer;
  const opacity = Number($('opacity').value) / 100;
  const cutShare = 1 - 10 ** -Number($('threshold').value);
  const [photoUri, block] = await Promise.all([load('photo', index), load('pictures', index)]);
  const maps = block.methods[state.method];
  const uri = layer === 'truth' ? block.truth : maps[layer];
  const [photo, over, classes, ...greys] = await Promise.all([
    decode(photoUri, ...size), uri ? decode(uri, ...size) : null,
    decode(maps.prediction, ...size),
    ...SCORES.map((score) => decode(maps[score], ...size)),
  ]);
  if (turn !== drawing) return;
  shownGrey = Object.fromEntries(SCORES.map((s, i) => [s, greys[i]]));
  const result = new ImageData(new Uint8ClampedArray(photo), ...size);
  const pixels = result.data;
  let note = `The threshold acts on the layers ${SCORES.join(', ')}.`;
  if (SCORES.includes(layer)) {
    const score = method().scores[layer];
    const cut = cutLevel(cutShare, $('reference').value, score, over);
    const colors = levelColors(score, luts[layer], data.rarity.top, data.lost_color);
    const share = composeScore(pixels, photo, over, colors, cut, opacity);
    note = `${percent(share)} of the pixels of this image are shown.`;
  } else if (over) {
    const colors = layer === 'error' ? data.error_colors : data.palette;
    composeColors(pixels, photo, over, colors, layer === 'error' ? 0 : -1, opacity);
  } else if (layer !== 'image') {
    note = `There is no ${layer} for this image.`;
  }
  if ($('hatch').checked) hatch(pixels, classes, image.width);
  [canvas.width, canvas.height] = size;
  const context = canvas.getContext('2d');
  context.putImageData(result, 0, 0);
  if (image.listed?.box) drawBox(context, image.listed.box, size);
  $('threshold-note').textContent = note;
  $('caption').textContent = describeImage();
  canvas.setAttribute('aria-label', `${layer} of ${describeImage()}`);
  drawLegend();
  canvas.dataset.drawn = turn;
}

const buttons = data.images.map((image, index) => {
  const button = element('button', { type: 'button', title: image.name });
  button.dataset.index = index;
  button.classList.toggle('alarmed', Boolean(image.alarms));
  button.classList.add('waiting');
  element('img', { alt: '' }, button);
  for (const textContent of [image.name, '']) element('span', { textContent }, button);
  button.addEventListener('click', () => select(index));
  return button;
});

function showThumbnails() {
  $('thumbnails').replaceChildren(...ranking.map((index) => {
    const score = scoreOf(index, state.order);
    buttons[index].lastChild.textContent = score === undefined
      ? '' : scoreText(state.order, score, {});
    return buttons[index];
  }));
}

// How much time there is with nothing else to do.
const idle = () => new Promise((resolve) => {
  if (window.requestIdleCallback) requestIdleCallback(resolve);
  else setTimeout(() => resolve({ timeRemaining: () => 0 }));
});

// The strip: only what is in sight at first, the rest some at a time, and then
// photos, as there is idle time for it.
async function fillStrip(order) {
  for (let place = 0; place < buttons.length; place += 20) {
    await idle();
    for (const button of buttons.slice(place, place + 20)) button.classList.remove('waiting');
  }
  let rest = await idle();
  for (const index of order) {
    if (rest.timeRemaining() < ENOUGH) rest = await idle();
    buttons[index].firstChild.src = await load('photo', index);
  }
}

function rank() {
  const key = state.order;
  const name = (index) => data.images[index].name;
  const place = (index) => (key === 'name' ? 0 : key === 'listed'
    ? data.images[index].listed?.rank ?? Infinity : -(scoreOf(index, key) ?? -Infinity));
  const wanted = $('filter').value.toLowerCase();
  const least = key === 'name' ? NaN
    : $('least').valueAsNumber / (key.endsWith('_share') ? 100 : 1);
  $('least').disabled = key === 'name';
  $('least-unit').textContent = `${ORDERS[key][0]}${key.endsWith('_share') ? ' (%)' : ''}`;
  ranking = data.images.map((_, index) => index)
    .filter((index) => name(index).toLowerCase().includes(wanted)
      && !(least > (scoreOf(index, key) ?? -Infinity)))
    .sort((a, b) => (place(a) === place(b) ? name(a).localeCompare(name(b))
      : place(a) - place(b)));
  showThumbnails();
}

function update() {
  const scored = SCORES.includes(state.layer);
  const training = $('reference').querySelector('[value=training]');
  const score = method().scores[state.layer];
  training.disabled = !(score && score.training);
  if (scored && training.disabled && $('reference').value === 'training') {
    $('reference').value = 'all';
  }
  $('threshold').disabled = $('reference').disabled = !scored;
  $('threshold-field').classList.toggle('off', !scored);
  $('opacity-text').textContent = `${$('opacity').value} %`;
  const cutShare = 1 - 10 ** -Number($('threshold').value);
  $('threshold-text').textContent = cutShare > 0
    ? `${percentile(cutShare)} (1 in ${oneIn(cutShare)})` : 'all';
  $('method').value = state.method;
  const { refused } = method();
  $('hatch').disabled = refused === null;
  $('hatch-field').classList.toggle('gone', refused === null);
  $('refused').textContent = refused === null ? '' : percent(refused);
  $('layers').querySelector(`[value=${state.layer}]`).checked = true;
  $('position').textContent = `${ranking.indexOf(state.image) + 1} of ${ranking.length}`;
  if (marked !== buttons[state.image]) {
    marked?.removeAttribute('aria-current');
    marked = buttons[state.image];
    marked.setAttribute('aria-current', true);
  }
  return draw();
}

function select(index) {
  state.image = index;
  update();
}

function step(by) {
  const count = ranking.length;
  if (!count) return;
  select(ranking[(ranking.indexOf(state.image) + by + count) % count]);
  requestAnimationFrame(() => { // where it can be scrolled sideways
    const strip = $('thumbnails');
    strip.scrollLeft = marked.offsetLeft - strip.clientWidth / 2;
  });
}

function setMethod(index) {
  state.method = index;
  rank();
  update();
}

// Another order or another filter.
function refine() {
  rank();
  select(ranking[0] ?? state.image);
}

function read(event) {
  const box = canvas.getBoundingClientRect();
  const image = data.images[state.image];
  const scale = Math.min(box.width / image.width, box.height / image.height);
  const x = Math.floor((event.clientX - box.left - (box.width - scale * image.width) / 2) / scale);
  const y = Math.floor((event.clientY - box.top - (box.height - scale * image.height) / 2) / scale);
  if (x < 0 || y < 0 || x >= image.width || y >= image.height) return;
  $('readout').textContent = SCORES.filter((s) => shownGrey[s]).map((name) => {
    const level = shownGrey[name][4 * (y * image.width + x)];
    if (level === LOST) return `${name}: no score`;
    const { values, shares, training, unit } = method().scores[name];
    const among = training ? `, above ${percentile(training[level])} of training` : '';
    return `${name} ${number(values[level])} ${unit} (above ${percentile(shares[level])} here${among})`;
  }).join(' · ');
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches('select, [type=search], [type=number]')) return;
  const layer = $('layers').querySelectorAll('input')[Number(event.key) - 1];
  if (event.key === 'n') step(1);
  else if (event.key === 'p') step(-1);
  else if (event.key === 'h' && !$('hatch').disabled) $('hatch').click();
  else if (event.key === 'm') setMethod((state.method + 1) % data.methods.length);
  else if ((event.key === '[' || event.key === ']') && !$('threshold').disabled) {
    $('threshold').value = Number($('threshold').value) + (event.key === ']' ? 0.2 : -0.2);
    update();
  } else if (layer && !layer.disabled) layer.click();
}

function start() {
  const keys = Object.keys(ORDERS).filter((key) => key === 'name'
    || data.methods.some((m) => m.images.some((row) => key in row.scores))
    || data.images.some((image) => image[key]));
  for (const key of keys) element('option', { value: key, textContent: ORDERS[key][1] }, $('order'));
  [state.order] = keys.filter((key) => key !== 'alarms');
  rank();
  [state.image] = ranking;
  fillStrip(ranking);
  $('layers').addEventListener('change', (event) => {
    state.layer = event.target.value;
    update();
  });
  $('method').addEventListener('change', () => setMethod(Number($('method').value)));
  $('order').value = state.order;
  $('order').addEventListener('change', () => {
    state.order = $('order').value;
    $('least').value = '';
    refine();
  });
  for (const id of ['filter', 'least']) $(id).addEventListener('input', refine);
  for (const link of document.querySelectorAll('[data-image]')) {
    link.addEventListener('click', () => select(Number(link.dataset.image)));
  }
  for (const id of ['opacity', 'threshold', 'reference', 'hatch']) $(id).addEventListener('input', update);
  $('next').addEventListener('click', () => step(1));
  $('previous').addEventListener('click', () => step(-1));
  canvas.addEventListener('pointermove', read);
  canvas.addEventListener('pointerdown', read);
  document.addEventListener('keydown', press);
  update();
}

start();
