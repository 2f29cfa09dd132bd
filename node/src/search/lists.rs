//! The words that were met, and for each of them a list: in which texts it stands, and where.
//!
//! Lists only grow at their end, since each text that is added has a greater ordinal than all
//! before. All of them share one vector of bytes: a list is a chain of chunks in it, each larger
//! than the one before, so that a word that was met once costs a few bytes and a common one wastes
//! little.
//!
//! A text takes, in a list: a number of variable length, twice the distance from the ordinal
//! before, plus one if the word stands there several times; then its place, or how many places and
//! the distances between them.

use std::hash::{BuildHasher, RandomState};

/// Bytes of the chunks of a list, one after the other, and of all after the last; after each there
/// is room for the offset of the next.
const CHUNKS: [u16; 15] = [
    6, 10, 16, 24, 36, 54, 80, 120, 180, 270, 400, 600, 900, 1350, 2000,
];
const LINK: usize = 4;
/// An offset has 32 bits. What is left above this is room for one more text, each of whose pieces
/// may begin a chunk: 65,536 times 2,004 bytes.
const MAX_BYTES: usize = 3 << 30;
/// No word, no chunk.
const NONE: u32 = u32::MAX;
/// Slots of the smallest table of words; a power of two, as all are.
const MIN_SLOTS: usize = 1024;
/// Vectors grow by this part of their length: doubled ones would be a quarter empty on average.
const GROWTH: usize = 8;

/// Words by their texts, and their lists.
#[derive(Default)]
pub(super) struct Lists {
    texts: Vec<u8>,
    words: Vec<Word>,
    /// Open addressing, by a keyed hash: peers choose the words.
    slots: Vec<u32>,
    hasher: RandomState,
    pool: Vec<u8>,
}

struct Word {
    text: u32,
    head: u32,
    /// Where the next byte goes.
    tail: u32,
    /// The last ordinal in the list.
    last: u32,
    /// How many texts are in the list.
    count: u32,
    /// Bytes left in the last chunk.
    left: u16,
    /// Which of `CHUNKS` the last chunk is.
    size: u8,
    length: u8,
}

impl Lists {
    /// Whether one more text has room.
    pub fn has_room(&self) -> bool {
        self.pool.len() < MAX_BYTES && self.texts.len() < MAX_BYTES
    }

    /// The word with this text, which is at most 255 bytes long; a new one where there was none.
    pub fn word_for(&mut self, text: &str) -> u32 {
        if (self.words.len() + 1) * 4 > self.slots.len() * 3 {
            self.enlarge();
        }
        let slot = self.slot(text);
        if self.slots[slot] != NONE {
            return self.slots[slot];
        }
        let word = self.words.len() as u32;
        reserve(&mut self.texts, text.len());
        reserve(&mut self.words, 1);
        self.words.push(Word {
            text: self.texts.len() as u32,
            head: NONE,
            tail: 0,
            last: 0,
            count: 0,
            left: 0,
            size: 0,
            length: text.len() as u8,
        });
        self.texts.extend_from_slice(text.as_bytes());
        self.slots[slot] = word;
        word
    }

    /// The word with this text, if it was ever met.
    pub fn word(&self, text: &str) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        Some(self.slots[self.slot(text)]).filter(|word| *word != NONE)
    }

    /// The words that begin so, at most `limit`, those in most texts; and whether there are more.
    /// Looks at every word once, which for a million is some milliseconds: a sorted table would
    /// cost more at each text than this at each such question.
    pub fn words_beginning(&self, text: &str, limit: usize) -> (Vec<u32>, bool) {
        let mut found: Vec<u32> = (0..self.words.len() as u32)
            .filter(|word| self.text(*word).starts_with(text.as_bytes()))
            .collect();
        let more = found.len() > limit;
        if more {
            found.select_nth_unstable_by_key(limit, |word| (u32::MAX - self.count(*word), *word));
            found.truncate(limit);
        }
        (found, more)
    }

    /// In how many texts a word stands, those counted too that were removed since.
    pub fn count(&self, word: u32) -> u32 {
        self.words[word as usize].count
    }

    /// Adds a text to a word's list: its ordinal, greater than all in the list, and the word's
    /// places, ascending, at least one.
    pub fn append(&mut self, word: u32, ordinal: u32, places: impl ExactSizeIterator<Item = u32>) {
        let index = word as usize;
        let distance = u64::from(ordinal - self.words[index].last);
        let several = places.len() > 1;
        self.push_number(index, (distance << 1) | u64::from(several));
        if several {
            self.push_number(index, places.len() as u64);
        }
        let mut before = 0;
        for place in places {
            self.push_number(index, u64::from(place - before));
            before = place;
        }
        let entry = &mut self.words[index];
        entry.last = ordinal;
        entry.count += 1;
    }

    /// Reads a word's list from its beginning.
    pub fn read(&self, word: u32) -> Reader<'_> {
        let entry = &self.words[word as usize];
        Reader {
            pool: &self.pool,
            at: entry.head as usize,
            size: 0,
            left: CHUNKS[0],
            texts: entry.count,
            ordinal: 0,
        }
    }

    /// The same lists with other ordinals, in the same order, and without those texts that have
    /// none; words that are in no text any more are forgotten.
    pub fn renumbered(&self, ordinal_for: impl Fn(u32) -> Option<u32>) -> Lists {
        let mut lists = Lists::default();
        let mut places = Vec::new();
        for word in 0..self.words.len() as u32 {
            let mut reader = self.read(word);
            let mut new = None;
            while let Some(old) = reader.next_into(&mut places) {
                let Some(ordinal) = ordinal_for(old) else {
                    continue;
                };
                // Only pieces of text are words, so the bytes are text.
                let text = || std::str::from_utf8(self.text(word)).unwrap_or_default();
                let new = *new.get_or_insert_with(|| lists.word_for(text()));
                lists.append(new, ordinal, places.iter().copied());
            }
        }
        lists
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.texts.capacity()
            + self.pool.capacity()
            + self.words.capacity() * size_of::<Word>()
            + self.slots.capacity() * size_of::<u32>()
    }

    fn text(&self, word: u32) -> &[u8] {
        let word = &self.words[word as usize];
        &self.texts[word.text as usize..][..usize::from(word.length)]
    }

    /// The slot that a text has, or would have. The table is never full.
    fn slot(&self, text: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(text.as_bytes()) as usize & mask;
        while self.slots[slot] != NONE && self.text(self.slots[slot]) != text.as_bytes() {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn enlarge(&mut self) {
        let length = (self.slots.len() * 2).max(MIN_SLOTS);
        self.slots = vec![NONE; length];
        for word in 0..self.words.len() as u32 {
            let mut slot = self.hasher.hash_one(self.text(word)) as usize & (length - 1);
            while self.slots[slot] != NONE {
                slot = (slot + 1) & (length - 1);
            }
            self.slots[slot] = word;
        }
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    fn push_number(&mut self, index: usize, mut number: u64) {
        while number >= 0x80 {
            self.push(index, number as u8 | 0x80);
            number >>= 7;
        }
        self.push(index, number as u8);
    }

    fn push(&mut self, index: usize, byte: u8) {
        if self.words[index].left == 0 {
            self.add_chunk(index);
        }
        let word = &mut self.words[index];
        self.pool[word.tail as usize] = byte;
        word.tail += 1;
        word.left -= 1;
    }

    fn add_chunk(&mut self, index: usize) {
        let start = self.pool.len() as u32;
        let word = &mut self.words[index];
        if word.head == NONE {
            word.head = start;
        } else {
            word.size = larger(word.size);
            let link = word.tail as usize;
            self.pool[link..link + LINK].copy_from_slice(&start.to_le_bytes());
        }
        word.left = CHUNKS[usize::from(word.size)];
        word.tail = start;
        let length = usize::from(word.left) + LINK;
        reserve(&mut self.pool, length);
        self.pool.resize(start as usize + length, 0);
    }
}

/// A place in a list.
pub(super) struct Reader<'a> {
    pool: &'a [u8],
    at: usize,
    size: u8,
    left: u16,
    texts: u32,
    ordinal: u32,
}

impl Reader<'_> {
    /// The next text's ordinal.
    pub fn next_text(&mut self) -> Option<u32> {
        self.step(|_| {})
    }

    /// The next text's ordinal, with the word's places in it instead of what `places` held.
    pub fn next_into(&mut self, places: &mut Vec<u32>) -> Option<u32> {
        places.clear();
        self.step(|place| places.push(place))
    }

    fn step(&mut self, mut each: impl FnMut(u32)) -> Option<u32> {
        self.texts = self.texts.checked_sub(1)?;
        let first = self.number();
        self.ordinal += (first >> 1) as u32;
        let count = if first & 1 == 1 { self.number() } else { 1 };
        let mut place = 0;
        for _ in 0..count {
            place += self.number() as u32;
            each(place);
        }
        Some(self.ordinal)
    }

    fn number(&mut self) -> u64 {
        let mut number = 0;
        let mut shift = 0;
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    fn byte(&mut self) -> u8 {
        if self.left == 0 {
            let mut link = [0; LINK];
            link.copy_from_slice(&self.pool[self.at..self.at + LINK]);
            self.at = u32::from_le_bytes(link) as usize;
            self.size = larger(self.size);
            self.left = CHUNKS[usize::from(self.size)];
        }
        let byte = self.pool[self.at];
        self.at += 1;
        self.left -= 1;
        byte
    }
}

fn larger(size: u8) -> u8 {
    (size + 1).min(CHUNKS.len() as u8 - 1)
}

/// Makes room for more, without taking twice of what there is.
pub(super) fn reserve<T>(vector: &mut Vec<T>, more: usize) {
    if vector.capacity() - vector.len() < more {
        vector.reserve_exact(more.max(vector.len() / GROWTH).max(64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_whatever_its_length() {
        let mut lists = Lists::default();
        let (often, once) = (lists.word_for("often"), lists.word_for("once"));
        let mut written = Vec::new();
        for step in 0..5_000u32 {
            let ordinal = step * step;
            let places: Vec<u32> = (0..=step % 5).map(|nth| nth * (step + 1)).collect();
            lists.append(often, ordinal, places.iter().copied());
            written.push((ordinal, places));
        }
        lists.append(once, u32::MAX - 1, [u32::MAX].into_iter());

        let mut reader = lists.read(often);
        let mut places = Vec::new();
        for (ordinal, expected) in written {
            assert_eq!(reader.next_into(&mut places), Some(ordinal));
            assert_eq!(places, expected);
        }
        assert_eq!(reader.next_text(), None);
        let mut reader = lists.read(once);
        assert_eq!(reader.next_into(&mut places), Some(u32::MAX - 1));
        assert_eq!(places, [u32::MAX]);
    }

    #[test]
    fn words_are_found_by_their_text_and_by_their_beginning() {
        let mut lists = Lists::default();
        for number in 0..10_000u32 {
            let word = lists.word_for(&format!("word{number}"));
            assert_eq!(word, number);
            lists.append(word, number, [0].into_iter());
        }
        lists.append(77, 20_000, [0].into_iter());
        assert_eq!(lists.word("word9999"), Some(9_999));
        assert_eq!(lists.word("word10000"), None);
        assert_eq!(
            lists.words_beginning("word999", 20).0,
            [
                999, 9_990, 9_991, 9_992, 9_993, 9_994, 9_995, 9_996, 9_997, 9_998, 9_999
            ]
        );
        assert_eq!(lists.words_beginning("word", 1), (vec![77], true));
        assert_eq!(Lists::default().word("word"), None);
    }
}
