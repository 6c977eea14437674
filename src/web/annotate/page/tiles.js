// Many clips beside each other; those in view are loaded and play.
import * as clips from './clips.js';
import { element } from './words.js';

const inView = new Set();

const watch = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    const place = target.querySelector('.place');
    if (!isIntersecting) {
      inView.delete(place);
      place.children[0].pause();
      continue;
    }
    inView.add(place);
    const begin = () => inView.has(place) && clips.play(place.children[0]);
    if (!place.dataset.clip) clips.put(place, target.clip, '?small=true', begin).then(begin);
    else begin();
  }
}, { rootMargin: '100px' });

// A place for a clip, in an element that `show` watches.
export const place = () => element('span', { className: 'place' },
  element('video', { muted: true, loop: true, playsInline: true, tabIndex: -1 }),
  element('img', { alt: '', hidden: true }), element('span', { className: 'reason', hidden: true }));

export function show(container, tiles) {
  clear(container);
  add(container, tiles);
}

export function add(container, tiles) {
  container.append(...tiles);
  tiles.forEach(tile => watch.observe(tile));
}

export function clear(container) {
  for (const tile of container.children) {
    watch.unobserve(tile);
    const place = tile.querySelector('.place');
    inView.delete(place);
    clips.empty(place.children[0]);
  }
  container.replaceChildren();
}

// Stops or starts all that are in view.
export function pause() {
  for (const place of inView) {
    if (clips.paused) place.children[0].pause();
    else clips.play(place.children[0]);
  }
}
