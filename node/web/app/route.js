// Which screen a path shows. Paths are the page's state that outlives a reload and can be handed on.

/**
 * The screen of a path.
 * @param {string} path
 * @returns {import('./types.js').Route}
 */
export function parseRoute(path) {
  const [first = '', second = ''] = path.split('?')[0].split('/').filter(Boolean);
  if (first === 'login') return { name: 'login', id: '', path };
  if (first === 'console') return { name: 'console', id: second, path };
  if (first === 'setup') return { name: 'setup', id: second, path };
  const isId = /^[a-z0-9]{26}$/.test(second);
  if (isId && (first === 'channel' || first === 'post' || first === 'thread')) return { name: first, id: second, path };
  return { name: 'home', id: '', path };
}

/**
 * The path that a login leads back to: one of this page, never another host's.
 * @param {string | null} wanted
 */
export function safeReturn(wanted) {
  if (!wanted || !/^\/(?![/\\])/.test(wanted) || wanted.startsWith('/login')) return '/';
  return wanted;
}
