// Finding accounts, and which roles go together.

/**
 * The accounts that a term finds: all of its words have to be in name, roles, address or source.
 * @template {{username: string, email: string, first_name: string, last_name: string, roles: string[], source: string, active: boolean}} T
 * @param {T[]} users
 * @param {string} term
 */
export function found(users, term) {
  const words = term.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return users;
  return users.filter((user) => {
    const text = [user.username, user.email, user.first_name, user.last_name, ...user.roles, ...user.roles.map((it) => it.replaceAll('_', ' ')), user.source, user.active ? 'active' : 'disabled'].join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** Roles that show messages: an account that sees to the node has none of them. */
const SHOWS = ['release_authority', 'records_officer', 'member', 'guest', 'bot'];

/**
 * What is wrong with a set of roles; empty for nothing. The node holds it too.
 * @param {string[]} roles
 */
export function rolesProblem(roles) {
  const shows = roles.filter((role) => SHOWS.includes(role));
  if (!roles.includes('node_admin') || shows.length === 0) return '';
  return `An account is not both node admin and ${shows[0].replaceAll('_', ' ')}: whoever sees to the node reads no messages, and has another account to talk with.`;
}
