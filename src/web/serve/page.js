// Drop a clip, see what the server says of it.
'use strict';

const $ = id => document.getElementById(id);
const percent = score => `${(100 * score).toFixed(1)}\u202f%`;
const clock = seconds => {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, '0')}.${tenths % 10}`;
};

/** An element with text and attributes; nothing of a clip is ever taken for HTML. */
function element(tag, text, attributes = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

let clip = null;
let running = new AbortController();

function say(text, wrong = false) {
  $('status').textContent = text;
  $('status').classList.toggle('wrong', wrong);
}

/** Sends the clip; what is wrong becomes an error with the server's own words. */
async function send(path, parameters) {
  const form = new FormData();
  form.append('file', clip, clip.name);
  const query = new URLSearchParams({ ...parameters, ...($('model').value && { model: $('model').value }) });
  const response = await fetch(`${path}?${query}`, { method: 'POST', body: form, signal: running.signal });
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    throw new Error(body.error ?? `the server answers ${response.status}`);
  }
  return response;
}

/** What went wrong, unless the person did it. */
function failed(error) {
  if (error.name === 'AbortError') return;
  const lost = error instanceof TypeError;
  say(lost ? 'The server can’t be reached.' : `${clip.name}: ${error.message}`, true);
}

async function label(file) {
  running.abort();
  running = new AbortController();
  const mine = running;
  clip = file;
  $('result').hidden = true;
  say(`Looking at ${clip.name} …`);
  try {
    const answer = await (await send('/classify', { filmstrip: 'true' })).json();
    if (mine !== running) return;
    say('');
    show(answer);
  } catch (error) {
    if (mine === running) failed(error);
  }
}

function show(answer) {
  const several = answer.labels.some(each => 'above' in each);
  const nothing = several && !answer.labels.some(each => each.above);
  const unsure = answer.confident === false;
  // What the model says, beside what it merely guesses.
  const shown = (each, place) => !unsure && (several ? each.above : place === 0);
  $('name').textContent = clip.name;
  $('facts').textContent = `${answer.duration_s.toFixed(1)} s, ${answer.frames} frames seen by ${answer.model}`;
  $('labels').replaceChildren(...answer.labels.map((each, place) => element(
    'tr', null, shown(each, place) ? { class: 'shown' } : {},
    element('th', each.label, { scope: 'row' }),
    element('td', percent(each.score), { class: 'number' }),
    element('td', null, { class: 'bar', 'aria-hidden': 'true' },
      element('i', null, {}, element('b', null, { style: `width:${100 * each.score}%` }))),
  )));
  $('unsure').hidden = !unsure;
  $('nothing').hidden = unsure || !nothing;
  $('warnings').replaceChildren(...(answer.warnings ?? []).map(text => element('p', text, { class: 'warning' })));
  $('strip').replaceChildren(...(answer.filmstrip ? [strip(answer.filmstrip)] : []));
  preview();
  $('timeline').hidden = true;
  $('watch').hidden = false;
  $('stop').hidden = true;
  $('result').hidden = false;
  $('name').focus({ preventScroll: true });
}

/** The clip itself, where this browser can play it. */
function preview() {
  const video = $('video');
  if (video.src) URL.revokeObjectURL(video.src);
  video.hidden = false;
  video.onerror = () => { video.hidden = true; };
  video.src = URL.createObjectURL(clip);
}

/** A picture of two rows shows one, and the other as long as its box is ticked. */
function strip({ source, width, height, times, both }) {
  const alt = `${times.length} frames, from ${times[0].toFixed(1)} to ${times[times.length - 1].toFixed(1)} s`;
  const picture = element('img', null, { class: 'strip', src: source, alt, width, height });
  if (!both) return picture;
  picture.style.aspectRatio = `${width}/${height}`;
  const box = element('input', null, { type: 'checkbox', 'aria-label': 'What the network saw' });
  return element('label', null, { class: 'look' }, box, picture, element('span', null));
}

async function watch() {
  const mine = running;
  const segments = [];
  $('watch').hidden = true;
  $('stop').hidden = false;
  $('segments').replaceChildren();
  $('tracks').replaceChildren();
  $('timeline').hidden = false;
  say(`Watching ${clip.name} …`);
  try {
    const reader = (await send('/timeline', {})).body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = '', end = false; !end;) {
      const { value, done } = await reader.read();
      end = done;
      const lines = (rest + (value ?? '')).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const segment = JSON.parse(line);
        if (segment.error) throw new Error(segment.error);
        segments.push(segment);
        add(segment);
      }
      if (lines.length) draw(segments);
    }
    say(segments.length ? '' : 'Nothing that the model knows happens in it.');
  } catch (error) {
    if (mine === running) failed(error);
  }
  if (mine === running) {
    $('watch').hidden = false;
    $('stop').hidden = true;
  }
}

function add(segment) {
  $('segments').append(element('tr', null, {},
    element('td', clock(segment.start_s), { class: 'number' }),
    element('td', clock(segment.end_s), { class: 'number' }),
    element('td', segment.label ?? 'not sure'),
    element('td', percent(segment.score), { class: 'number' }),
  ));
}

/** A track a label, over the time seen so far or the whole video. */
function draw(segments) {
  const seen = Math.max(...segments.map(segment => segment.end_s));
  const whole = Number.isFinite($('video').duration) ? Math.max($('video').duration, seen) : seen;
  const tracks = new Map();
  for (const segment of segments) tracks.set(segment.label, [...(tracks.get(segment.label) ?? []), segment]);
  $('tracks').replaceChildren(...[...tracks].flatMap(([name, parts]) => {
    const seconds = parts.reduce((sum, part) => sum + part.end_s - part.start_s, 0);
    const bars = parts.map(part => element('i', null, {
      style: `left:${100 * part.start_s / whole}%;width:${100 * (part.end_s - part.start_s) / whole}%`,
      title: `${clock(part.start_s)} – ${clock(part.end_s)}`,
    }));
    const says = `${name ?? 'not sure'}: ${seconds.toFixed(1)} s`;
    const kind = name === null ? 'track unsure' : 'track';
    return [
      element('span', name ?? 'not sure'),
      element('div', null, { class: kind, role: 'img', 'aria-label': says }, ...bars),
    ];
  }));
}

/** Names of the models, where there is a choice. */
async function models() {
  const response = await fetch('/v2');
  if (!response.ok) return;
  const names = (await response.json()).models;
  $('model').replaceChildren(...names.map(name => element('option', name)));
  $('models').hidden = names.length < 2;
}

$('file').addEventListener('change', event => {
  if (event.target.files.length) label(event.target.files[0]);
  event.target.value = '';
});
$('model').addEventListener('change', () => clip && label(clip));
$('watch').addEventListener('click', watch);
$('stop').addEventListener('click', () => {
  running.abort();
  running = new AbortController();
  $('watch').hidden = false;
  $('stop').hidden = true;
  say('Stopped.');
});
for (const kind of ['dragover', 'dragenter']) {
  addEventListener(kind, event => {
    event.preventDefault();
    $('drop').classList.add('over');
  });
}
addEventListener('dragleave', event => event.relatedTarget === null && $('drop').classList.remove('over'));
addEventListener('drop', event => {
  event.preventDefault();
  $('drop').classList.remove('over');
  if (event.dataTransfer.files.length) label(event.dataTransfer.files[0]);
});
models();
