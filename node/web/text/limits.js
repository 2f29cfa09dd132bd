// What a message may cost to be shown; beyond, it is shown as it was written.

/** Characters that are read as markdown: as many as clients may write. More came from elsewhere. */
export const FORMATTED_CHARACTERS = 16_384;
/** Characters that are shown of any message: what the protocol takes, and a little. */
export const SHOWN_CHARACTERS = 65_536;
/** Characters with a meaning in markdown: a message of people has a tenth of that. */
export const MARKERS = 3_000;
/** Lines that are read as markdown: more is a file. */
export const LINES = 600;
/** Spaces in a row: more says nothing, and each is looked at again for the next. */
export const SPACES = 256;
/**
 * Characters that the rules for blocks may look at. A message of ordinary paragraphs and lists takes less
 * than a fifth of it; all of it takes about 30 ms.
 */
export const BLOCK_WORK = 1_500_000;
/**
 * Characters of a paragraph times the markers in it, for all paragraphs together: what emphasis and links
 * may look at. A paragraph of 8,000 characters may have a hundred markers, and an address
 * 2,048 characters; all of it takes about 20 ms.
 */
export const INLINE_WORK = 800_000;
/** Quotes, lists and emphasis within each other: deeper, nobody sees the difference. */
export const NESTED = 12;
/** Pieces of one message: each is an element of the page. */
export const PIECES = 4_000;
/** Columns and rows of a table: wider and longer ones are files. */
export const COLUMNS = 40;
export const ROWS = 200;
/** Marks on one letter (diacritics): no script in use stacks more; a hundred cover other messages. */
export const MARKS_ON_A_LETTER = 4;
/** Lines and characters after which a message is folded. */
export const FOLDED_LINES = 30;
export const FOLDED_CHARACTERS = 3_000;
/** Characters of a link's address that are shown. */
export const ADDRESS_CHARACTERS = 120;
