//! The posts that can be found, and finding them.

use std::collections::BTreeMap;
use std::fmt;

use super::lists::{self, Lists};
use super::matching::{self, Ascending};
use super::query::Query;
use super::words;

/// The pieces of edited and withdrawn posts stay in the lists until they are this many, which is
/// a few hundred kilobytes, and at least one of `STALE_PART` of all: then all lists are written
/// anew, which takes about as long as reading the texts once more. Pieces are counted, not posts,
/// so that a long post that is edited again and again does not fill the memory.
const MIN_STALE: usize = 32 * 1024;
const STALE_PART: usize = 4;
/// Numbers of posts on a page of the table: counted numbers fill it, scattered ones waste it.
const PAGE: u32 = 256;
/// No ordinal: a post that is not in the index.
const NONE: u32 = u32::MAX;

/// An index of posts by their words. Feed it with `put` and `remove`, ask it with `find`.
///
/// Posts have the caller's numbers, best counted without large gaps. It takes some 100 bytes of
/// memory for a post of 100 bytes, more where every word is a new one; `bytes` says how much.
#[derive(Default)]
pub struct Index {
    lists: Lists,
    /// By ordinal: the order in which posts came. One that was edited came again.
    entries: Vec<Entry>,
    times_ms: Vec<u64>,
    ordinals: BTreeMap<u32, Box<[u32; PAGE as usize]>>,
    /// Pieces of all entries, and of those that are not found any more.
    pieces: usize,
    stale: usize,
}

/// What is known of a post beside its words.
#[derive(Clone, Copy)]
struct Entry {
    number: u32,
    channel: u32,
    author: u32,
    /// Its pieces, and one for itself.
    pieces: u32,
}

/// A post to be found. Channel and author are the caller's own numbers.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    pub channel: u32,
    pub author: u32,
    /// By which days and order are told, in milliseconds since 1970.
    pub at_ms: u64,
    /// What can be searched: of more than 64 KiB, the beginning. Hashtags are those in the text.
    pub text: &'a str,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The posts that were asked for: newest first, of one time those with greater numbers first.
    pub numbers: Vec<u32>,
    /// How many there are of all that the user may read.
    pub total: usize,
    /// There may be more: a `wor*` begins more words than were looked up.
    pub partial: bool,
}

/// The index holds as much as it can address, some 3 GiB of lists: this post cannot be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl std::error::Error for Full {}

impl fmt::Display for Full {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "the search index is full: this post is stored, but a search will not find it; keeping posts for less time makes room",
        )
    }
}

/// Tells what the names in a query mean; none when there is nobody of that name. They come without
/// `@`, `~` or `#` and in lower case, except that `in:@alice` asks for the channel `@alice`.
pub trait Names {
    fn channel(&self, name: &str) -> Vec<u32>;
    fn author(&self, name: &str) -> Vec<u32>;
}

impl Index {
    /// Adds a post, or replaces it when it was edited.
    pub fn put(&mut self, number: u32, document: &Document<'_>) -> Result<(), Full> {
        self.remove(number);
        if !self.lists.has_room() || self.entries.len() >= NONE as usize {
            self.rewrite();
        }
        if !self.lists.has_room() || self.entries.len() >= NONE as usize {
            return Err(Full);
        }
        let ordinal = self.entries.len() as u32;
        let mut met: Vec<(u32, u32)> = Vec::new();
        words::pieces(document.text, |piece| {
            met.push((self.lists.word_for(piece.text), piece.place));
        });
        met.sort_unstable();
        let pieces = met.len() as u32 + 1;
        self.pieces += pieces as usize;
        for of_word in met.chunk_by(|left, right| left.0 == right.0) {
            let places = of_word.iter().map(|(_, place)| *place);
            self.lists.append(of_word[0].0, ordinal, places);
        }
        lists::reserve(&mut self.entries, 1);
        lists::reserve(&mut self.times_ms, 1);
        self.entries.push(Entry {
            number,
            channel: document.channel,
            author: document.author,
            pieces,
        });
        self.times_ms.push(document.at_ms);
        self.point(number, ordinal);
        Ok(())
    }

    /// Takes out a post that was withdrawn. It is not found any more from now on; its words stay in
    /// memory until the lists are written anew.
    pub fn remove(&mut self, number: u32) {
        let ordinal = self.ordinal(number);
        if ordinal == NONE {
            return;
        }
        self.point(number, NONE);
        self.stale += self.entries[ordinal as usize].pieces as usize;
        if self.stale >= MIN_STALE && self.stale >= self.pieces / STALE_PART {
            self.rewrite();
        }
    }

    /// Answers a query: at most `limit` posts after the first `skip`. What the user may not read
    /// is not counted either. The work is bounded by the lists of the query's words, and they by
    /// the posts.
    pub fn find(
        &self,
        query: &Query,
        may_read: impl Fn(u32) -> bool,
        names: &impl Names,
        skip: usize,
        limit: usize,
    ) -> Found {
        let matched = matching::matched(&self.lists, self.entries.len(), query);
        let filter = Filter::of(query, names);
        let mut readable = BTreeMap::new();
        let mut without = Ascending(&matched.without);
        let mut is_meant = |ordinal: u32| {
            let entry = &self.entries[ordinal as usize];
            !without.has(ordinal)
                && self.ordinal(entry.number) == ordinal
                && filter.holds(entry, self.times_ms[ordinal as usize])
                && *readable
                    .entry(entry.channel)
                    .or_insert_with(|| may_read(entry.channel))
        };
        let mut meant: Vec<u32> = match matched.with {
            Some(mut with) => {
                with.retain(|ordinal| is_meant(*ordinal));
                with
            }
            None => (0..self.entries.len() as u32)
                .filter(|ordinal| is_meant(*ordinal))
                .collect(),
        };
        let total = meant.len();
        let numbers = self.newest(&mut meant, skip, limit);
        Found {
            numbers,
            total,
            partial: matched.partial,
        }
    }

    /// About how much memory is held.
    pub fn bytes(&self) -> usize {
        let page = size_of::<[u32; PAGE as usize]>() + size_of::<(u32, usize)>();
        self.lists.bytes()
            + self.entries.capacity() * size_of::<Entry>()
            + self.times_ms.capacity() * size_of::<u64>()
            + self.ordinals.len() * page
    }

    /// Sorts only those that come before the end of what was asked for.
    fn newest(&self, meant: &mut Vec<u32>, skip: usize, limit: usize) -> Vec<u32> {
        let key = |ordinal: &u32| {
            let ordinal = *ordinal as usize;
            std::cmp::Reverse((self.times_ms[ordinal], self.entries[ordinal].number))
        };
        let end = skip.saturating_add(limit).min(meant.len());
        if end < meant.len() {
            meant.select_nth_unstable_by_key(end, key);
            meant.truncate(end);
        }
        meant.sort_unstable_by_key(key);
        let asked = meant.iter().skip(skip);
        asked
            .map(|ordinal| self.entries[*ordinal as usize].number)
            .collect()
    }

    fn ordinal(&self, number: u32) -> u32 {
        let page = self.ordinals.get(&(number / PAGE));
        page.map_or(NONE, |page| page[(number % PAGE) as usize])
    }

    fn point(&mut self, number: u32, ordinal: u32) {
        let page = self.ordinals.entry(number / PAGE);
        page.or_insert_with(|| Box::new([NONE; PAGE as usize]))[(number % PAGE) as usize] = ordinal;
    }

    /// Writes everything anew, without what is stale.
    fn rewrite(&mut self) {
        let old = std::mem::take(self);
        let mut ordinals = vec![NONE; old.entries.len()];
        for (index, entry) in old.entries.iter().enumerate() {
            if old.ordinal(entry.number) != index as u32 {
                continue;
            }
            let ordinal = self.entries.len() as u32;
            ordinals[index] = ordinal;
            lists::reserve(&mut self.entries, 1);
            lists::reserve(&mut self.times_ms, 1);
            self.entries.push(*entry);
            self.pieces += entry.pieces as usize;
            self.times_ms.push(old.times_ms[index]);
            self.point(entry.number, ordinal);
        }
        let ordinal_for = |old: u32| Some(ordinals[old as usize]).filter(|new| *new != NONE);
        self.lists = old.lists.renumbered(ordinal_for);
    }
}

/// What a query asks of a post beside its words.
struct Filter<'a> {
    query: &'a Query,
    /// Sorted; `None` when any will do.
    channels: Option<Vec<u32>>,
    authors: Option<Vec<u32>>,
    not_channels: Vec<u32>,
    not_authors: Vec<u32>,
}

impl<'a> Filter<'a> {
    fn of(query: &'a Query, names: &impl Names) -> Filter<'a> {
        let some = |asked: &[String], numbers| (!asked.is_empty()).then_some(numbers);
        let channels = |asked: &[String]| sorted(asked, |name| names.channel(name));
        let authors = |asked: &[String]| sorted(asked, |name| names.author(name));
        Filter {
            query,
            channels: some(&query.inside, channels(&query.inside)),
            authors: some(&query.from, authors(&query.from)),
            not_channels: channels(&query.not_inside),
            not_authors: authors(&query.not_from),
        }
    }

    fn holds(&self, entry: &Entry, at_ms: u64) -> bool {
        let has = |numbers: &[u32], number: &u32| numbers.binary_search(number).is_ok();
        let is_one = |numbers: &Option<Vec<u32>>, number| {
            numbers.as_ref().is_none_or(|numbers| has(numbers, number))
        };
        is_one(&self.channels, &entry.channel)
            && is_one(&self.authors, &entry.author)
            && !has(&self.not_channels, &entry.channel)
            && !has(&self.not_authors, &entry.author)
            && self.query.during.iter().all(|span| span.holds(at_ms))
            && !self.query.not_during.iter().any(|span| span.holds(at_ms))
    }
}

fn sorted(names: &[String], numbers: impl Fn(&str) -> Vec<u32>) -> Vec<u32> {
    let mut found: Vec<u32> = names.iter().flat_map(|name| numbers(name)).collect();
    found.sort_unstable();
    found.dedup();
    found
}
