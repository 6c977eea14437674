// Numbers and labels as text; nothing here knows the page.

export const percent = share => (100 * share).toFixed(1) + '\u202f%';

export const whole = share => Math.round(100 * share) + '\u202f%';

export const count = (n, noun) => n.toLocaleString('en') + ' ' + noun + (n === 1 ? '' : 's');

export function duration(seconds) {
  if (seconds < 90) return Math.max(1, Math.round(seconds)) + ' s';
  if (seconds < 5400) return Math.round(seconds / 60) + ' min';
  return (seconds / 3600).toFixed(1) + ' h';
}

// The time in a film.
function time(seconds) {
  const rest = (seconds % 60).toFixed(seconds % 1 ? 1 : 0);
  return Math.floor(seconds / 60) + ':' + rest.padStart(seconds % 1 ? 4 : 2, '0');
}

// A clip's name without its folders, which a tile has no room for, and which part of the film it is.
export const short = ({ name, span }) => name.split('/').pop() + (span ? ' ' + span.map(time).join('\u2013') : '');

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter(child => child !== null));
  return made;
}

export const by = id => document.getElementById(id);
