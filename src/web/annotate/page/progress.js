// How far it is and how good the model: the part of the page beside the clips.
import * as labels from './labels.js';
import * as outbox from './outbox.js';
import * as stage from './stage.js';
import { by, count, duration, element, percent } from './words.js';

// Called with a label: its grid, its clips.
let calls = { grid() {}, clips() {} };
export const onLabel = found => { calls = found; };

export function show(status) {
  by('done').textContent = `${status.labelled.toLocaleString('en')} of ${status.total.toLocaleString('en')} labelled`;
  const { accuracy } = status;
  by('accuracy').textContent = accuracy
    ? `Right in ${percent(accuracy.value)} (${percent(accuracy.interval[0])} to ${percent(accuracy.interval[1])})`
    : status.no_figure ? 'No figure' : 'No figure yet';
  by('worth').textContent = accuracy ? accuracy.worth
    : status.no_figure ?? 'The model learns along: the figure comes after some rounds.';
  by('advice').hidden = !status.advice;
  by('advice').textContent = status.advice ?? '';
  made(status.model);
  curve(status.curve);
  counts(status);
  ready(status);
  by('grouping').textContent = status.grouping;
}

// The model that is in its folder by now.
function made(model) {
  by('made').hidden = !model;
  if (!model) return;
  // Often of few clips: a share would promise more.
  const right = Math.round(model.accuracy * model.clips);
  const part = model.part === 'test' ? 'held-out clip' : 'validation clip';
  by('made').textContent = `Model of ${count(model.labels, 'label')} in ${model.name}: right in ${right} of ${count(model.clips, part)}`;
}

function ready({ ready, total, rate, trouble, round, left_in_round: left, training }) {
  const parts = [ready < total ? `Looked at ${ready.toLocaleString('en')} of ${count(total, 'clip')}` : `All ${count(total, 'clip')} looked at`];
  if (rate && ready < total) parts.push(`${rate.toFixed(rate < 10 ? 1 : 0)} a second, ${duration((total - ready) / rate)} left`);
  by('ready').textContent = parts.join(', ');
  by('bar').max = total || 1;
  by('bar').value = ready;
  by('counts-note').textContent = `round ${round}` + (left ? `, ${left} to go` : '') + (training ? ', the model is learning' : '');
  if (trouble) outbox.trouble(trouble);
}

let drawn = '';
function counts({ labels: pairs }) {
  const state = JSON.stringify(pairs);
  if (state === drawn) return;
  drawn = state;
  const most = Math.max(1, ...pairs.map(([, n]) => n));
  by('counts').replaceChildren(...pairs.map(([label, n]) => {
    const bar = element('b');
    bar.style.width = 100 * n / most + '%';
    const button = (text, title, call) => {
      const made = element('button', { type: 'button', textContent: text, title });
      made.onclick = event => { stage.release(event); call(); };
      made.setAttribute('aria-label', title);
      return made;
    };
    return element('tr', {},
      element('th', { scope: 'row' }, element('button', {
        type: 'button', className: 'plain', textContent: label, title: 'Show the clips labelled ' + label, onclick: () => calls.clips(label)
      })),
      element('td', { className: 'number', textContent: n }),
      element('td', { className: 'bar' }, element('i', {}, bar)),
      element('td', { className: 'number' },
        button('grid', `What the model takes for ${label}`, () => calls.grid(label)), ' ',
        button('rename', `Rename ${label}, or merge it`, () => rename(label))));
  }));
}

async function rename(from) {
  const to = await labels.ask('Rename ' + from, {
    value: from, note: 'Where the new name is a label that is there already, the two become one.'
  });
  if (!to || to === from) return;
  stage.did(`${from} renamed`);
  by('said').textContent = `${from} is called ${to} now`;
  outbox.post('rename', { from, to }).catch(() => {});
}

// Accuracy over labels given, with its interval.
function curve(points) {
  const svg = by('curve');
  svg.toggleAttribute('hidden', points.length < 2);
  if (points.length < 2) return;
  const last = points[points.length - 1];
  const x = labels => 26 + 268 * labels / last.labels, y = share => 92 - 84 * share;
  const path = list => list.map(([labels, share]) => x(labels).toFixed(1) + ',' + y(share).toFixed(1)).join(' ');
  const band = [...points.map(p => [p.labels, p.interval[1]]), ...points.toReversed().map(p => [p.labels, p.interval[0]])];
  const make = (tag, attributes, text) => {
    const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const lines = [0, .5, 1].flatMap(share => [
    make('line', { x1: 26, x2: 294, y1: y(share), y2: y(share), class: 'grid' }),
    make('text', { x: 22, y: y(share) + 3, 'text-anchor': 'end' }, 100 * share)
  ]);
  svg.replaceChildren(...lines,
    make('polygon', { points: path(band), class: 'band' }),
    make('polyline', { points: path(points.map(p => [p.labels, p.accuracy])), class: 'line' }),
    make('circle', { cx: x(last.labels), cy: y(last.accuracy), r: 3 }),
    make('text', { x: 294, y: 106, 'text-anchor': 'end' }, last.labels + ' labels'),
    make('text', { x: 26, y: 106 }, '0'));
  svg.setAttribute('aria-label', 'Accuracy over labels: ' + points.map(p => `${p.labels}: ${percent(p.accuracy)}`).join(', '));
}
