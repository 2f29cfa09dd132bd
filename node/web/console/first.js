// The first accounts: what is asked, and what is wrong with an answer before it is sent.

/** Bytes that the node takes for a password; longer than its least is easily asked of an officer. */
export const PASSWORD_BYTES = { least: 12, most: 256 };

/**
 * The token in the link that the node wrote into its file.
 * @param {string} hash of the page's address
 */
export function tokenOf(hash) {
  const token = new URLSearchParams(hash.replace(/^#/, '')).get('token') ?? '';
  return /^[0-9a-f]{64}$/.test(token) ? token : '';
}

/**
 * The token in what somebody pasted: it alone, or the whole link.
 * @param {string} text
 */
export function pasted(text) {
  return text.match(/[0-9a-f]{64}/)?.[0] ?? '';
}

/**
 * What is wrong with one account; empty for nothing.
 * @param {{username: string, password: string, again: string}} account
 */
export function accountProblem(account) {
  if (!/^[a-z][a-z0-9._-]{0,63}$/.test(account.username)) return 'A user name begins with a letter and has 1 to 64 of a–z, 0–9, dot, dash and underscore.';
  const size = new TextEncoder().encode(account.password).length;
  if (size < PASSWORD_BYTES.least) return `A password has ${PASSWORD_BYTES.least} characters or more: a few words make a good one.`;
  if (size > PASSWORD_BYTES.most) return `A password has ${PASSWORD_BYTES.most} bytes at most.`;
  if (account.password !== account.again) return 'The two passwords are not the same.';
  return '';
}

/**
 * What is wrong with both accounts together; empty for nothing.
 * @param {{username: string, password: string, again: string}} officer
 * @param {{username: string, password: string, again: string} | null} admin
 */
export function problem(officer, admin) {
  const first = accountProblem(officer);
  if (first) return `Security officer: ${first}`;
  if (!admin) return '';
  const second = accountProblem(admin);
  if (second) return `Node admin: ${second}`;
  if (admin.username === officer.username) return 'The node admin is another account than the security officer: whoever sees to the links does not approve them.';
  return '';
}
