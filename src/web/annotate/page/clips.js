// Clips, loaded once and ready before they are shown.

// Bytes up to which a clip is held in memory; a longer one is read from the program as it plays.
const LARGE = 32 << 20;

// Clips that are kept.
const KEPT = 40;

const loaded = new Map();

// What to play of a clip: { kind: 'video' | 'picture' | 'broken', url, copied, part, reason }.
export function load(clip, wish = '') {
  const key = clip.id + wish;
  let found = loaded.get(key);
  loaded.delete(key);
  found ||= fetched(clip, wish).catch(error => {
    // Perhaps the program is only being started anew, or the file is away for a moment.
    loaded.delete(key);
    return { kind: 'broken', reason: error.message };
  });
  loaded.set(key, found);
  if (loaded.size > KEPT) {
    const [oldest, old] = loaded.entries().next().value;
    loaded.delete(oldest);
    old.then(({ url }) => { if (url?.startsWith('blob:')) setTimeout(() => URL.revokeObjectURL(url), 60_000); });
  }
  return found;
}

async function fetched(clip, wish) {
  const address = '/clip/' + clip.id + wish;
  const stop = new AbortController();
  const answer = await fetch(address, { signal: stop.signal });
  if (!answer.ok) {
    const text = await answer.text();
    let reason = text;
    try { reason = JSON.parse(text).error; } catch { /* not from the program itself */ }
    throw new Error(reason);
  }
  const kind = answer.headers.get('content-type').startsWith('image/') ? 'picture' : 'video';
  const copied = answer.headers.has('x-copied');
  const part = copied ? null : clip.span;
  if (Number(answer.headers.get('content-length')) > LARGE) {
    stop.abort();
    return { kind, copied, part, url: address };
  }
  return { kind, copied, part, url: URL.createObjectURL(await answer.blob()) };
}

// Puts a clip into a place that has a video, a picture and a line of text. Whether it can be watched. `again` is called
// where the browser refuses what was put there, once a copy has taken its place: nothing plays by itself.
export async function put(place, clip, wish = '', again = () => {}) {
  const [video, picture, text] = place.children;
  if (place.dataset.clip !== clip.id) {
    video.pause();
    video.hidden = picture.hidden = text.hidden = true;
  }
  place.dataset.clip = clip.id;
  delete place.dataset.cut;
  const patience = setTimeout(() => {
    if (place.dataset.clip === clip.id) tell(text, 'A moment: the clip is being made ready for the browser …');
  }, 700);
  const found = await load(clip, wish);
  clearTimeout(patience);
  if (place.dataset.clip !== clip.id) return false;
  video.hidden = found.kind !== 'video';
  picture.hidden = found.kind !== 'picture';
  tell(text, found.kind === 'broken' ? 'This clip can\u2019t be shown: ' + found.reason : '');
  if (found.kind === 'picture') picture.src = found.url;
  if (found.kind !== 'video') {
    empty(video);
    return found.kind !== 'broken';
  }
  const part = found.part;
  video.onerror = () => {
    if (!video.getAttribute('src') || place.dataset.clip !== clip.id) return;
    if (wish.includes('copy')) tell(text, 'This clip can\u2019t be shown: the browser doesn\u2019t play it');
    else put(place, clip, wish ? wish + '&copy=true' : '?copy=true').then(shown => shown && again());
  };
  video.onloadedmetadata = () => {
    if (place.dataset.clip === clip.id) place.toggleAttribute('data-cut', found.copied && isCut(clip, video.duration));
  };
  video.ontimeupdate = part && (() => {
    if (video.currentTime >= part[1] - 0.03 || video.currentTime < part[0] - 0.5) {
      video.currentTime = part[0];
      if (!paused) video.play().catch(() => {});
    }
  });
  video.src = found.url + (part ? '#t=' + part.join() : '');
  return true;
}

// Whether a copy, which ends after 20 seconds, is of a longer clip. How long a whole file is, the page isn't told.
function isCut({ span }, duration) { return span ? span[1] - span[0] > 20 : Math.round(duration) >= 20; }

export function empty(video) {
  if (!video.getAttribute('src')) return;
  delete video.parentElement.dataset.cut;
  video.removeAttribute('src');
  video.load();
}

function tell(place, text) {
  place.hidden = !text;
  place.textContent = text;
}

// Whether the person wants nothing to move.
export let paused = false;

export function pause(wanted) { paused = wanted; }

export function play(video) {
  if (!paused && video.getAttribute('src')) video.play().catch(() => {});
}
