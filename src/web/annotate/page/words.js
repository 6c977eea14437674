// Numbers and labels as text; nothing here knows the page.

export const percent = share => (100 * share).toFixed(1) + '\u202f%';

export const whole = share => Math.round(100 * share) + '\u202f%';

export const count = (n, noun) => n.toLocaleString('en') + ' ' + noun + (n === 1 ? '' : 's');

export function duration(seconds) {
  if (seconds < 90) return Math.max(1, Math.round(seconds)) + ' s';
  if (seconds < 5400) return Math.round(seconds / 60) + ' min';
  return (seconds / 3600).toFixed(1) + ' h';
}

// The name of a file without its folders, which a tile has no room for.
export const short = name => name.split('/').pop();

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter(child => child !== null));
  return made;
}

export const by = id => document.getElementById(id);
