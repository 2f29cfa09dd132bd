// Which parts of the console somebody sees, by what the node says they may do.

/**
 * @typedef {{id: string, title: string, needs: string[]}} Section
 */

/** The console's parts, in the order of the navigation; any one of `needs` opens a part. */
export const SECTIONS = /** @type {Section[]} */ ([
  { id: '', title: 'Overview', needs: ['see_node'] },
  { id: 'partners', title: 'Partners', needs: ['see_node'] },
  { id: 'channels', title: 'Channels', needs: ['see_channels'] },
  { id: 'users', title: 'Users', needs: ['manage_accounts'] },
  { id: 'limits', title: 'Limits and refusals', needs: ['see_node', 'read_audit'] },
  { id: 'audit', title: 'Audit record', needs: ['read_audit'] },
]);

/**
 * The parts that somebody may open.
 * @param {string[]} may
 */
export function sectionsFor(may) {
  return SECTIONS.filter((section) => section.needs.some((action) => may.includes(action)));
}

/**
 * The part that a path of the console names, with what it is about.
 * @param {string} path
 */
export function place(path) {
  const [, section = '', about = ''] = path.split('?')[0].split('/').filter(Boolean);
  let name = '';
  try {
    name = decodeURIComponent(about);
  } catch {
    // A path that somebody typed wrongly names nothing.
  }
  return { section, about: name };
}

/**
 * The path of a part of the console.
 * @param {string} section
 * @param {string} [about]
 */
export function pathOf(section, about) {
  const parts = ['/console', section, about === undefined ? '' : encodeURIComponent(about)];
  return parts.filter(Boolean).join('/');
}
