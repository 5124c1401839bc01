// What the colours of a layer mean.

function swatches(entries) {
  for (const [color, text] of entries) {
    element('span', { className: 'swatch', textContent: text }, $('legend'))
      .style.setProperty('--swatch', rgb(color));
  }
}

function drawLegend() {
  const legend = $('legend');
  legend.replaceChildren();
  const image = data.images[state.image];
  if (state.layer === 'truth' || state.layer === 'prediction') {
    const labels = state.layer === 'truth'
      ? image.in_truth || [] : mapsOf(state.image).in_prediction;
    swatches(labels.map((label) => [data.palette[label], className(label)]));
  } else if (state.layer === 'error') {
    swatches([[data.error_colors[1], 'wrong'],
      [data.error_colors[2], 'out of distribution'],
      [data.error_colors[3], voidName()], [[80, 80, 80], 'right (photo, dark)']]);
  } else if (SCORES.includes(state.layer)) {
    drawBar(legend, method().scores[state.layer]);
  }
}

function drawBar(legend, score) {
  const stops = luts[state.layer].filter((_, i) => i % 17 === 0).map(rgb);
  element('div', { className: 'bar' }, legend)
    .style.background = `linear-gradient(to right, ${stops.join(',')})`;
  const ticks = element('div', { className: 'ticks' }, legend);
  const { top } = data.rarity;
  const [low, high] = score.bounds;
  const marks = score.training ? data.rarity.ticks
    : [0, 0.25, 0.5, 0.75, 1].map((p) => [p, number(low + p * (high - low))]);
  for (const [place, text] of marks) {
    const tick = element('span', {}, ticks);
    element('span', { textContent: text }, tick);
    if (!score.training) continue;
    const level = score.values.findIndex((_, i) => position(score, i, top) >= place / top);
    const value = level < 0 ? '' : number(score.values[level]);
    element('span', { textContent: value }, tick);
  }
  element('span', { textContent: score.training
    ? `colour: how rare among training pixels · ${state.layer} score (${score.unit})`
    : `colour: ${state.layer} score (${score.unit})` }, legend);
  if (shownGrey[state.layer].some((level, i) => i % 4 === 0 && level === LOST)) {
    swatches([[data.lost_color, 'no score']]);
  }
}
