'use strict';
// Pixels: decoding the embedded pictures and laying a layer over the photo.

const LOST = 255; // the level of pixels without a score
const VOID = 255; // the class of refused pixels
const decoded = new Map();

// The photo or the other pictures of an image. They stand at the end of the
// page, which may still be loading: a block is whole once something follows.
async function load(what, index) {
  for (;;) {
    const loading = document.readyState === 'loading';
    const block = document.getElementById(`${what}-${index}`);
    if (block && (block.nextElementSibling || !loading)) return JSON.parse(block.textContent);
    if (!loading) throw new Error('The page is cut off.');
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

// RGBA bytes of an embedded picture.
function decode(uri, width, height) {
  if (!decoded.has(uri)) {
    const promise = (async () => {
      const picture = new Image();
      picture.src = uri;
      await picture.decode();
      const canvas = document.createElement('canvas');
      canvas.width = width;
      canvas.height = height;
      const context = canvas.getContext('2d', { willReadFrequently: true });
      context.drawImage(picture, 0, 0);
      return context.getImageData(0, 0, width, height).data;
    })();
    if (decoded.size > 200) decoded.clear();
    decoded.set(uri, promise);
  }
  return decoded.get(uri);
}

// A colour map from its hexadecimal digits: 256 x [r, g, b].
function readColors(digits) {
  const bytes = digits.match(/../g).map((pair) => parseInt(pair, 16));
  return Array.from({ length: 256 }, (_, i) => bytes.slice(3 * i, 3 * i + 3));
}

// -log10 of the share above: 1 is one pixel in ten.
function surprise(share) {
  return -Math.log10(Math.max(1 - share, 1e-12));
}

// Where a level stands on the colour bar, from 0 to 1.
function position(score, level, top) {
  const [low, high] = score.bounds;
  const place = score.training ? surprise(score.training[level]) / top
    : (score.values[level] - low) / (high - low);
  return Math.min(1, Math.max(0, place));
}

// The colour of each level.
function levelColors(score, lut, top, lost) {
  return Array.from({ length: 256 }, (_, level) => (level === LOST ? lost
    : lut[Math.round(255 * position(score, level, top))]));
}

// The lowest level that is above a percentile, given as a share.
function cutLevel(share, reference, score, grey) {
  if (share <= 0) return 0;
  if (reference === 'image') {
    const counts = new Array(256).fill(0);
    for (let i = 0; i < grey.length; i += 4) counts[grey[i]] += 1;
    let room = (grey.length / 4) * (1 - share);
    let level = 256;
    while (level > 0 && counts[level - 1] <= room) {
      level -= 1;
      room -= counts[level];
    }
    return level;
  }
  // Shares are of the lower end of a level, training is of the upper one.
  const first = reference === 'training'
    ? score.training.findIndex((each) => each > share)
    : score.shares.findIndex((each) => each >= share);
  return first < 0 ? LOST : first;
}

// What is not shown: the photo, grey and dark.
function dim(target, photo, i) {
  const grey = 0.45 * (0.3 * photo[i] + 0.59 * photo[i + 1] + 0.11 * photo[i + 2]);
  target[i] = target[i + 1] = target[i + 2] = grey;
}

function mix(target, photo, i, color, opacity) {
  for (let c = 0; c < 3; c += 1) {
    target[i + c] = (1 - opacity) * photo[i + c] + opacity * color[c];
  }
}

// Scores over a photo; returns the share of pixels shown.
function composeScore(target, photo, grey, colors, cut, opacity) {
  let shown = 0;
  for (let i = 0; i < photo.length; i += 4) {
    if (grey[i] >= cut) {
      mix(target, photo, i, colors[grey[i]], opacity);
      shown += 1;
    } else {
      dim(target, photo, i);
    }
  }
  return shown / (photo.length / 4);
}

// Colours over a photo; pixels of the index `clear` show the photo, dim.
function composeColors(target, photo, grey, colors, clear, opacity) {
  for (let i = 0; i < photo.length; i += 4) {
    if (grey[i] === clear) dim(target, photo, i);
    else mix(target, photo, i, colors[grey[i]], opacity);
  }
}

// Stripes over refused pixels.
function hatch(target, classes, width) {
  for (let i = 0; i < target.length; i += 4) {
    const stripe = ((i / 4) % width + Math.floor(i / 4 / width)) % 8;
    if (classes[i] === VOID && stripe < 2) target.fill(stripe ? 0 : 255, i, i + 3);
  }
}

// The worst region of a ranked image; its sides are shares of the image.
function drawBox(context, [left, top, width, height], size) {
  const sides = [left * size[0], top * size[1], width * size[0], height * size[1]];
  for (const [color, lineWidth] of [['#000', 3], ['#ffe500', 1.5]]) {
    Object.assign(context, { strokeStyle: color, lineWidth });
    context.strokeRect(...sides);
  }
}
