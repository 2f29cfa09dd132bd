//! Which texts the words and phrases of a query mean, by their ordinals, ascending.

use super::lists::{self, Lists};
use super::query::{Query, Run};

/// Words that `wor*` may mean: more than begin with three letters in a large index. Of more, those
/// in most texts are taken, and the answer says that it is partial.
const MAX_WORDS_BEGINNING: usize = 10_000;

/// What words and phrases were found to mean.
pub(super) struct Matched {
    /// `None` when the query has no words that must be met: any text may be meant.
    pub with: Option<Vec<u32>>,
    pub without: Vec<u32>,
    pub partial: bool,
}

/// Reads each list that the query names, once, but those of excluded words only where needed.
/// `texts` is how many there are.
pub(super) fn matched(lists: &Lists, texts: usize, query: &Query) -> Matched {
    let mut matching = Matching {
        lists,
        texts,
        partial: false,
    };
    let with = matching.with(query);
    let mut without = Set::of(texts);
    for run in &query.without {
        for ordinal in matching.run(run, with.as_deref()) {
            without.insert(ordinal);
        }
    }
    Matched {
        with,
        without: without.into_vec(),
        partial: matching.partial,
    }
}

struct Matching<'a> {
    lists: &'a Lists,
    texts: usize,
    partial: bool,
}

impl Matching<'_> {
    fn with(&mut self, query: &Query) -> Option<Vec<u32>> {
        if query.with.is_empty() {
            return None;
        }
        if query.any {
            let mut all = Set::of(self.texts);
            for run in &query.with {
                for ordinal in self.run(run, None) {
                    all.insert(ordinal);
                }
            }
            return Some(all.into_vec());
        }
        let mut runs: Vec<&Run> = query.with.iter().collect();
        runs.sort_by_key(|run| self.at_most(run));
        let mut within: Option<Vec<u32>> = None;
        for run in runs {
            let found = self.run(run, within.as_deref());
            let none = found.is_empty();
            within = Some(found);
            if none {
                break;
            }
        }
        within
    }

    /// In how many texts a run is at most.
    fn at_most(&self, run: &Run) -> u32 {
        let count = |text: &str| {
            self.lists
                .word(text)
                .map_or(0, |word| self.lists.count(word))
        };
        let counts = exact(run).iter().map(|(_, text)| count(text));
        counts.min().unwrap_or(u32::MAX)
    }

    /// The texts, of those within, that a run is in.
    fn run(&mut self, run: &Run, within: Option<&[u32]>) -> Vec<u32> {
        let mut words = Vec::new();
        for (offset, text) in exact(run) {
            let Some(word) = self.lists.word(text) else {
                return Vec::new();
            };
            words.push((*offset, word));
        }
        let last = self.last(run);
        match (words.as_slice(), &last) {
            ([], None) => Vec::new(),
            ([(_, word)], None) => self.texts_of(*word, within),
            ([], Some((_, last))) => {
                let mut all = Set::of(self.texts);
                for word in last {
                    for ordinal in self.texts_of(*word, within) {
                        all.insert(ordinal);
                    }
                }
                all.into_vec()
            }
            _ => {
                words.sort_by_key(|(_, word)| self.lists.count(*word));
                let mut spots = self.spots(words[0], within);
                for (offset, word) in &words[1..] {
                    self.keep(&mut spots, *offset, &[*word]);
                }
                if let Some((offset, last)) = last {
                    self.keep(&mut spots, offset, &last);
                }
                let mut texts: Vec<u32> = spots.into_iter().map(|(ordinal, _)| ordinal).collect();
                texts.dedup();
                texts
            }
        }
    }

    /// The words that the last piece of an open run may be.
    fn last(&mut self, run: &Run) -> Option<(u32, Vec<u32>)> {
        let (offset, text) = run.pieces.last().filter(|_| run.open)?;
        let (words, more) = self.lists.words_beginning(text, MAX_WORDS_BEGINNING);
        self.partial |= more;
        Some((*offset, words))
    }

    fn texts_of(&self, word: u32, within: Option<&[u32]>) -> Vec<u32> {
        let mut reader = self.lists.read(word);
        let mut within = within.map(Ascending);
        let mut texts = Vec::new();
        while let Some(ordinal) = reader.next_text() {
            if within.as_ref().is_some_and(Ascending::is_over) {
                break;
            }
            if within.as_mut().is_none_or(|within| within.has(ordinal)) {
                texts.push(ordinal);
            }
        }
        texts
    }

    /// Where a run may begin, by one of its words: texts and places in them.
    fn spots(&self, (offset, word): (u32, u32), within: Option<&[u32]>) -> Vec<(u32, u32)> {
        let mut reader = self.lists.read(word);
        let mut within = within.map(Ascending);
        let mut places = Vec::new();
        let mut spots = Vec::new();
        while let Some(ordinal) = reader.next_into(&mut places) {
            if within.as_mut().is_some_and(|within| !within.has(ordinal)) {
                continue;
            }
            let starts = places.iter().filter_map(|place| place.checked_sub(offset));
            for start in starts {
                lists::reserve(&mut spots, 1);
                spots.push((ordinal, start));
            }
        }
        spots
    }

    /// Keeps those spots that have one of the words so far after them.
    fn keep(&self, spots: &mut Vec<(u32, u32)>, offset: u32, words: &[u32]) {
        let mut kept = vec![false; spots.len()];
        let mut places = Vec::new();
        for word in words {
            let mut reader = self.lists.read(*word);
            let mut next = 0;
            while next < spots.len() {
                let Some(ordinal) = reader.next_into(&mut places) else {
                    break;
                };
                next += ahead(&spots[next..], |spot| spot.0 < ordinal);
                let mut place = 0;
                while next < spots.len() && spots[next].0 == ordinal {
                    let wanted = spots[next].1 + offset;
                    place += ahead(&places[place..], |place| *place < wanted);
                    kept[next] |= places.get(place) == Some(&wanted);
                    next += 1;
                }
            }
        }
        let mut kept = kept.into_iter();
        spots.retain(|_| kept.next().unwrap_or_default());
    }
}

/// The pieces of a run that must be met as they are.
fn exact(run: &Run) -> &[(u32, String)] {
    &run.pieces[..run.pieces.len() - usize::from(run.open)]
}

/// How many at the beginning of what is sorted are less: looks near first, since the next is
/// mostly near, then farther and farther.
fn ahead<T>(sorted: &[T], less: impl Fn(&T) -> bool) -> usize {
    let mut reach = 1;
    while reach <= sorted.len() && less(&sorted[reach - 1]) {
        reach *= 2;
    }
    let from = reach / 2;
    from + sorted[from..reach.min(sorted.len())].partition_point(less)
}

/// Ascending numbers that are asked for ascending.
pub(super) struct Ascending<'a>(pub &'a [u32]);

impl Ascending<'_> {
    pub fn has(&mut self, number: u32) -> bool {
        self.0 = &self.0[ahead(self.0, |next| *next < number)..];
        self.0.first() == Some(&number)
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which of all texts, a bit each.
struct Set {
    bits: Vec<u64>,
}

impl Set {
    fn of(texts: usize) -> Set {
        Set {
            bits: vec![0; texts.div_ceil(64)],
        }
    }

    fn insert(&mut self, ordinal: u32) {
        self.bits[ordinal as usize / 64] |= 1 << (ordinal % 64);
    }

    fn into_vec(self) -> Vec<u32> {
        let mut ordinals = Vec::new();
        for (index, mut bits) in self.bits.into_iter().enumerate() {
            while bits != 0 {
                ordinals.push(index as u32 * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        ordinals
    }
}
