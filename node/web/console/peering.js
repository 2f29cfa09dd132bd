// Inviting a partner: the steps of it, the files, and the twelve words.

/** Words that both sides compare. */
export const WORDS = 12;
/** The longest peering file that the node takes; an honest one has a kilobyte or two. */
export const FILE_BYTES = 64 * 1024;
/** How long invitations may stand open. */
export const LIFETIMES = [
  { seconds: 3600, title: '1 hour' },
  { seconds: 86_400, title: '1 day' },
  { seconds: 7 * 86_400, title: '7 days' },
  { seconds: 30 * 86_400, title: '30 days' },
];

/**
 * The words in what somebody typed or pasted: numbers, commas and line ends between them do not count.
 * @param {string} text
 */
export function wordsOf(text) {
  return text.toLowerCase().match(/[a-z]+/g) ?? [];
}

/**
 * What to say of words that are being typed.
 * @param {string} text
 * @returns {{words: string[], ready: boolean, hint: string}}
 */
export function comparing(text) {
  const words = wordsOf(text);
  const missing = WORDS - words.length;
  if (words.length === 0) return { words, ready: false, hint: 'Type them as the other side reads them.' };
  if (missing > 0) return { words, ready: false, hint: `${words.length} of ${WORDS} words.` };
  if (missing < 0) return { words, ready: false, hint: `${words.length} words: there are ${WORDS} only.` };
  return { words, ready: true, hint: 'Twelve words: the node compares them with its own.' };
}

/**
 * What a file is that somebody chose, by its first line; null for none of ours.
 * @param {string} text
 * @returns {'invitation' | 'reply' | null}
 */
export function kindOfFile(text) {
  const armour = text.match(/-----BEGIN COMITY (INVITATION|REPLY)-----/);
  if (!armour) return null;
  return armour[1] === 'INVITATION' ? 'invitation' : 'reply';
}

/**
 * Why a file cannot be a peering file; empty where it may be one.
 * @param {{size: number}} file
 * @param {string} text
 */
export function fileProblem(file, text) {
  if (file.size > FILE_BYTES) return 'The file is too long to be a peering file. Choose the one that the other partner’s administrator handed over.';
  if (!kindOfFile(text)) return 'That is no peering file of Comity. Choose the one that the other partner’s administrator handed over, unchanged.';
  return '';
}

/**
 * The name under which a peering file is saved.
 * @param {'invitation' | 'reply'} kind
 * @param {string} own the partner that made it
 */
export function fileName(kind, own) {
  const safe = own.toLowerCase().replace(/[^a-z0-9-]+/g, '-') || 'partner';
  return `${safe}.${kind === 'invitation' ? 'invite' : 'reply'}`;
}

/**
 * Addresses out of what somebody typed: separated by commas, spaces or lines.
 * @param {string} text
 */
export function addressesOf(text) {
  return text.split(/[\s,]+/).filter(Boolean);
}
