// The audit record as a list that grows at both ends.

/**
 * @typedef {{number: number, at_ms: number, action: string, text: string}} AuditRecord
 * @typedef {{records: AuditRecord[], next: number}} Tail
 */

/** Records that the page holds: a reader narrows the list down before going through more. */
export const HELD = 2_000;

/**
 * Puts older records behind those that are held.
 * @param {AuditRecord[]} held newest first
 * @param {AuditRecord[]} older
 */
export function append(held, older) {
  const last = held.at(-1)?.number ?? Infinity;
  return [...held, ...older.filter((it) => it.number < last)].slice(0, HELD);
}

/**
 * Puts newer records before those that are held.
 * @param {AuditRecord[]} held newest first
 * @param {AuditRecord[]} newer
 */
export function prepend(held, newer) {
  const first = held[0]?.number ?? 0;
  return [...newer.filter((it) => it.number > first), ...held].slice(0, HELD);
}

/**
 * What is held when the newest were asked for again. Where more came than one answer holds, what lies
 * between is not here: the list begins anew, rather than with a gap that nobody sees.
 * @param {AuditRecord[]} held newest first
 * @param {Tail} told
 * @returns {{records: AuditRecord[], next?: number}}
 */
export function follow(held, told) {
  const first = held[0]?.number ?? 0;
  const isWhole = told.next === 0 || told.records.some((it) => it.number <= first);
  return isWhole ? { records: prepend(held, told.records) } : { records: told.records, next: told.next };
}

/**
 * The query that asks for records.
 * @param {{before?: number, action?: string, text?: string, limit?: number}} wanted
 */
export function query(wanted) {
  const parts = new URLSearchParams();
  if (wanted.before) parts.set('before', String(wanted.before));
  if (wanted.action) parts.set('action', wanted.action);
  if (wanted.text) parts.set('text', wanted.text);
  parts.set('limit', String(wanted.limit ?? 100));
  return `/api/comity/v1/console/audit?${parts}`;
}

/** Kinds of records that are looked for together. */
export const GROUPS = /** @type {{title: string, actions: string}[]} */ ([
  { title: 'Everything', actions: '' },
  { title: 'Refusals', actions: 'refused,login_refused,setup_refused,provisioning_refused' },
  { title: 'Orders from this console', actions: 'ordered' },
  { title: 'Partners', actions: 'peer_invited,peer_invitation_taken,peer_reply_taken,peer_approved,peer_suspended,peer_resumed,peer_revoked' },
  { title: 'Channels', actions: 'channel_created,channel_shared,channel_granted,channel_removed,channel_suspended,channel_endorsed,channel_accepted,channel_left,membership' },
  { title: 'Accounts and roles', actions: 'user_added,user_password_set,password_changed,roles_set,user_enabled,user_disabled,user_linked,session_ended,sessions_ended,setup_opened,setup_done' },
  { title: 'Log-ins', actions: 'login,login_refused' },
]);

/**
 * Whether a record says that something was refused.
 * @param {AuditRecord} record
 */
export function isRefusal(record) {
  return record.action.endsWith('refused');
}
