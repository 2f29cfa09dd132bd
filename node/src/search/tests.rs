//! The index beside a scan over the same posts, which knows nothing of lists, places or folding:
//! what each token means is written beside it.

use std::collections::BTreeMap;

use super::{Document, Found, Index, Names, Options, Query};

/// What is typed, and the pieces that it is.
const TOKENS: [(&str, &[&str]); 16] = [
    ("red", &["red"]),
    ("Red,", &["red"]),
    ("reds", &["reds"]),
    ("re", &["re"]),
    ("grün", &["grun"]),
    ("GRU\u{308}N!", &["grun"]),
    ("blue", &["blue"]),
    ("blue.red", &["blue", "red"]),
    ("CVE-2026-12", &["cve", "2026", "12"]),
    ("2026", &["2026"]),
    ("東京", &["東", "京"]),
    ("京東", &["京", "東"]),
    ("東", &["東"]),
    ("@red", &["red"]),
    ("#blue.red", &["blue", "red"]),
    ("--", &[]),
];
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const HOUR_MS: u64 = DAY_MS / 24;
/// 2026-01-01
const START_MS: u64 = 1_767_225_600_000;

/// A generator of random numbers, enough to choose words: steps of an odd constant, mixed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 32)) % bound
    }
}

#[derive(Clone)]
struct Post {
    channel: u32,
    author: u32,
    at_ms: u64,
    tokens: Vec<usize>,
}

impl Post {
    fn random(random: &mut Random) -> Post {
        let length = random.below(12);
        Post {
            channel: random.below(4) as u32,
            author: random.below(3) as u32,
            at_ms: START_MS + random.below(6 * 24) * HOUR_MS,
            tokens: (0..length)
                .map(|_| random.below(TOKENS.len() as u64) as usize)
                .collect(),
        }
    }

    fn text(&self) -> String {
        let typed: Vec<&str> = self.tokens.iter().map(|token| TOKENS[*token].0).collect();
        typed.join(" ")
    }

    fn pieces(&self) -> Vec<&'static str> {
        self.tokens
            .iter()
            .flat_map(|token| TOKENS[*token].1)
            .copied()
            .collect()
    }
}

/// Channels are called `c0`, `c1`, ..., users `u0`, `u1`, ...; `c9` are two.
struct Numbered;

impl Names for Numbered {
    fn channel(&self, name: &str) -> Vec<u32> {
        match name {
            "c9" => vec![2, 1],
            _ => name
                .strip_prefix('c')
                .and_then(|n| n.parse().ok())
                .into_iter()
                .collect(),
        }
    }

    fn author(&self, name: &str) -> Vec<u32> {
        name.strip_prefix('u')
            .and_then(|n| n.parse().ok())
            .into_iter()
            .collect()
    }
}

type Condition = Box<dyn Fn(&Post) -> bool>;

/// A word, phrase or mention as it is typed, and what it asks of a post.
fn random_run(random: &mut Random) -> (String, Condition) {
    if random.below(8) == 0 {
        let mention = if random.below(2) == 0 {
            "@red"
        } else {
            "#blue.red"
        };
        let met = move |post: &Post| post.tokens.iter().any(|token| TOKENS[*token].0 == mention);
        return (mention.to_owned(), Box::new(met));
    }
    let length = 1 + random.below(3) as usize;
    // Neither the mentions nor what is nothing.
    let tokens: Vec<usize> = (0..length).map(|_| random.below(13) as usize).collect();
    let typed: Vec<&str> = tokens.iter().map(|token| TOKENS[*token].0).collect();
    let mut typed = typed.join(" ");
    let open = random.below(3) == 0 && typed.ends_with(|last: char| last.is_ascii_alphanumeric());
    if open {
        typed.push('*');
    }
    if length > 1 {
        typed = format!("\"{typed}\"");
    }
    let wanted: Vec<&str> = tokens
        .iter()
        .flat_map(|token| TOKENS[*token].1)
        .copied()
        .collect();
    let met = move |post: &Post| {
        post.pieces().windows(wanted.len()).any(|window| {
            let last = wanted.len() - 1;
            window[..last] == wanted[..last]
                && (window[last] == wanted[last]
                    || (open && window[last].starts_with(wanted[last])))
        })
    };
    (typed, Box::new(met))
}

fn random_modifier(random: &mut Random) -> (String, Condition) {
    let day = random.below(6);
    let date = format!("2026-01-{:02}", day + 1);
    // The users are an hour east of UTC.
    let of = |post: &Post| (post.at_ms + HOUR_MS - START_MS) / DAY_MS;
    match random.below(6) {
        0 => (format!("on:{date}"), Box::new(move |post| of(post) == day)),
        1 => (
            format!("before:{date}"),
            Box::new(move |post| of(post) < day),
        ),
        2 => (
            format!("after:{date}"),
            Box::new(move |post| of(post) > day),
        ),
        3 => (
            "in:c9".to_owned(),
            Box::new(|post| [1, 2].contains(&post.channel)),
        ),
        4 => (
            "in:~c0 in:c3".to_owned(),
            Box::new(|post| [0, 3].contains(&post.channel)),
        ),
        _ => (
            "from:@u1 from:u7".to_owned(),
            Box::new(|post| post.author == 1),
        ),
    }
}

/// A query as it is typed, and what it asks of a post.
fn random_query(random: &mut Random, any: bool) -> (String, Condition) {
    let mut typed = Vec::new();
    let mut with: Vec<Condition> = Vec::new();
    let mut must: Vec<Condition> = Vec::new();
    for _ in 0..1 + random.below(3) {
        let (text, condition) = random_run(random);
        if random.below(4) == 0 {
            typed.push(format!("-{text}"));
            must.push(Box::new(move |post| !condition(post)));
        } else {
            typed.push(text);
            with.push(condition);
        }
    }
    if random.below(3) == 0 {
        let (text, condition) = random_modifier(random);
        typed.push(text);
        must.push(condition);
    }
    if random.below(6) == 0 {
        typed.push("-in:c1 -from:u2 -from:nobody".to_owned());
        must.push(Box::new(|post| post.channel != 1 && post.author != 2));
    }
    let condition = move |post: &Post| {
        let words = match any && !with.is_empty() {
            true => with.iter().any(|condition| condition(post)),
            false => with.iter().all(|condition| condition(post)),
        };
        words && must.iter().all(|condition| condition(post))
    };
    (typed.join(" "), Box::new(condition))
}

fn scan(posts: &BTreeMap<u32, Post>, condition: &Condition, skip: usize, limit: usize) -> Found {
    let meant = posts
        .iter()
        .filter(|(_, post)| may_read(post.channel) && condition(post));
    let mut meant: Vec<(u64, u32)> = meant.map(|(number, post)| (post.at_ms, *number)).collect();
    meant.sort_unstable();
    let newest = meant.iter().rev().skip(skip).take(limit);
    Found {
        numbers: newest.map(|(_, number)| *number).collect(),
        total: meant.len(),
        partial: false,
    }
}

fn may_read(channel: u32) -> bool {
    channel != 2
}

fn put(index: &mut Index, number: u32, post: &Post) {
    let text = post.text();
    let document = Document {
        channel: post.channel,
        author: post.author,
        at_ms: post.at_ms,
        text: &text,
    };
    index.put(number, &document).expect("room");
}

fn find(index: &Index, typed: &str) -> Vec<u32> {
    let query = Query::parse(typed, &Options::default()).expect(typed);
    index.find(&query, |_| true, &Numbered, 0, 100).numbers
}

fn index_of(texts: &[&str]) -> Index {
    let mut index = Index::default();
    for (number, text) in texts.iter().enumerate() {
        let document = Document {
            channel: 0,
            author: 0,
            at_ms: START_MS,
            text,
        };
        index.put(number as u32, &document).expect("room");
    }
    index
}

#[test]
fn an_index_finds_what_a_scan_finds() {
    let seed = std::env::var("COMITY_SEARCH_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(20_261_123);
    println!("COMITY_SEARCH_SEED={seed}");
    let mut random = Random(seed);
    let mut index = Index::default();
    let mut posts = BTreeMap::new();
    let mut met = 0;
    // Enough posts come, change and go that the lists are written anew several times.
    for step in 0..30_000 {
        let number = random.below(3_000) as u32 * 7;
        if random.below(5) == 0 {
            index.remove(number);
            posts.remove(&number);
        } else {
            let post = Post::random(&mut random);
            put(&mut index, number, &post);
            posts.insert(number, post);
        }
        if step % 100 != 0 {
            continue;
        }
        let options = Options {
            any: random.below(4) == 0,
            utc_offset_s: 3600,
        };
        let (typed, condition) = random_query(&mut random, options.any);
        let (skip, limit) = (random.below(4) as usize * 10, random.below(40) as usize);
        let query =
            Query::parse(&typed, &options).unwrap_or_else(|error| panic!("{typed}: {error}"));
        let found = index.find(&query, may_read, &Numbered, skip, limit);
        let expected = scan(&posts, &condition, skip, limit);
        assert_eq!(
            found, expected,
            "seed {seed}, step {step}: {typed} {options:?}"
        );
        met += usize::from(found.total > 0);
    }
    assert!(met > 100, "only {met} of 300 queries found anything");
}

#[test]
fn a_post_is_found_whole_and_by_its_parts() {
    let index = index_of(&[
        "CVE-2026-1234 is mended",
        "ask user.name at www.example.com",
        "昨日東京に行きました",
        "ไปกรุงเทพ",
    ]);
    for typed in [
        "CVE-2026-1234",
        "cve-2026",
        "1234",
        "cve",
        "\"1234 is\"",
        "mend*",
    ] {
        assert_eq!(find(&index, typed), [0], "{typed}");
    }
    for typed in ["user.name", "name", "example.com", "www.exam*"] {
        assert_eq!(find(&index, typed), [1], "{typed}");
    }
    assert_eq!(find(&index, "東京"), [2]);
    assert!(find(&index, "京東").is_empty());
    assert_eq!(find(&index, "กรุง"), [3]);
}

#[test]
fn a_mention_is_nobody_else() {
    let index = index_of(&[
        "@user hi",
        "@user.name hi",
        "user hi",
        "@alice:bravo #tag-1",
    ]);
    assert_eq!(find(&index, "@user"), [0]);
    assert_eq!(find(&index, "@user.name"), [1]);
    assert_eq!(find(&index, "@user*"), [1, 0]);
    assert_eq!(find(&index, "user"), [2, 1, 0]);
    assert_eq!(find(&index, "\"@user.name hi\""), [1]);
    assert_eq!(find(&index, "@alice"), [3]);
    assert_eq!(find(&index, "@alice:bravo"), [3]);
    assert!(find(&index, "#tag").is_empty());
    assert_eq!(find(&index, "#tag-1"), [3]);
}

#[test]
fn what_was_edited_or_withdrawn_is_found_no_more() {
    let mut index = index_of(&["old words", "other words"]);
    put(
        &mut index,
        0,
        &Post {
            channel: 0,
            author: 0,
            at_ms: START_MS,
            tokens: vec![0],
        },
    );
    assert!(find(&index, "old").is_empty());
    assert_eq!(find(&index, "red"), [0]);
    index.remove(0);
    index.remove(0);
    index.remove(77);
    assert!(find(&index, "red").is_empty());
    assert_eq!(find(&index, "words"), [1]);
}

#[test]
fn what_may_not_be_read_is_not_counted() {
    let mut index = Index::default();
    for number in 0..10 {
        let post = Post {
            channel: number % 2,
            author: 0,
            at_ms: START_MS,
            tokens: vec![0],
        };
        put(&mut index, number, &post);
    }
    let query = Query::parse("red", &Options::default()).expect("a word");
    let found = index.find(&query, |channel| channel == 1, &Numbered, 1, 2);
    assert_eq!(found.numbers, [7, 5]);
    assert_eq!(found.total, 5);
}

#[test]
fn names_of_nobody_find_nothing_and_exclude_nothing() {
    let index = index_of(&["red"]);
    assert!(find(&index, "red in:nowhere").is_empty());
    assert!(find(&index, "from:nobody").is_empty());
    assert_eq!(find(&index, "red -in:nowhere -from:nobody"), [0]);
    assert_eq!(find(&index, "-blue"), [0]);
    assert!(find(&Index::default(), "-blue").is_empty());
}

#[test]
fn a_hostile_post_takes_memory_by_its_length_only() {
    let distinct: String = (0..100_000).map(|number| format!("{number:x} ")).collect();
    let marks = "e\u{301}".repeat(100_000) + &"\u{301}".repeat(100_000);
    let mentions = "@a:b:c:d ".repeat(10_000);
    let names = "#".repeat(100_000);
    for text in [distinct, marks, mentions, names] {
        let mut index = index_of(&[&text]);
        assert!(index.bytes() < 2 << 20, "{} bytes", index.bytes());
        // Edited over and over, it takes no more than the edits that wait to be taken out.
        let document = Document {
            channel: 0,
            author: 0,
            at_ms: 0,
            text: &text,
        };
        let once = index.bytes();
        for _ in 0..20 {
            index.put(0, &document).expect("room");
        }
        assert!(index.bytes() < 21 * once, "{} bytes", index.bytes());
    }
}
