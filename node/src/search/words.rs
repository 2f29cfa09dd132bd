//! Cuts text into pieces, and makes alike what people type alike.
//!
//! A piece is a run of letters and digits. `user.name`, `CVE-2026-1234` and `e-mail` are several
//! pieces beside one another, which are found one by one, and together as a phrase is; nothing
//! whole is kept for them, which also finds `example.com` in `www.example.com`. Two exceptions:
//!
//! - A mention or hashtag (`@user.name`, `#tag`) is a piece of its own, mark and all, at the place
//!   of its first part: whoever asks for `@user` does not mean `@user.name`.
//! - In scripts that are written without blanks (Chinese, Japanese, Thai, ...), and in Korean, whose
//!   particles cling to their words, every character is a piece: what is asked for is found wherever
//!   it stands. The places make a phrase of it. So is every emoji.
//!
//! Pieces are in lower case and without diacritics: people type `Muller`, `Müller` and `Mu¨ller`
//! (two code points, as some systems write file names) and mean the same. What folding confuses is
//! little, and shows at a glance; what it misses otherwise would never be seen. The letters that
//! only look as if they had a mark (Cyrillic й, ў, ї) are kept.

/// Of a longer text only the beginning is searchable; a message has no more.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Longer than any word of a language; what is longer (keys, encoded data) is known by its
/// beginning, asked for or written. A `u8` counts it.
pub(super) const MAX_PIECE_BYTES: usize = 64;
/// The most that folding makes of one character: three of four bytes each.
const MAX_FOLDED_BYTES: usize = 12;
/// What may stand between the parts of a mention or hashtag: users of other partners are
/// `@user:partner`.
const JOINERS: [char; 4] = ['.', '-', '_', ':'];

/// A piece, its place among the pieces of the text, and the bytes of the text that it is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub text: &'a str,
    pub place: u32,
    pub from: usize,
    pub to: usize,
}

/// Calls `each` with the pieces of a text, by their places. The work grows with the text's length,
/// and with nothing else.
pub(super) fn pieces(text: &str, mut each: impl FnMut(Piece<'_>)) {
    let text = beginning(text, MAX_TEXT_BYTES);
    let (mut word, mut name) = (String::new(), String::new());
    let (mut from, mut place) = (0, 0);
    let mut before = ' ';
    for (index, character) in text.char_indices() {
        if is_mark(character) {
            compose(&mut word, character);
            continue;
        }
        let alone = stands_alone(character);
        if !alone && character.is_alphanumeric() {
            if word.is_empty() {
                from = index;
            }
            fold_into(character, &mut word);
            before = character;
            continue;
        }
        if !word.is_empty() {
            each(Piece {
                text: &word,
                place,
                from,
                to: index,
            });
            place += 1;
            word.clear();
        }
        if alone {
            let to = index + character.len_utf8();
            fold_into(character, &mut word);
            each(Piece {
                text: &word,
                place,
                from: index,
                to,
            });
            place += 1;
            word.clear();
        } else if matches!(character, '@' | '#') && !before.is_alphanumeric() {
            names(&text[index..], character, &mut name, |text, length| {
                each(Piece {
                    text,
                    place,
                    from: index,
                    to: index + length,
                });
            });
        }
        before = character;
    }
    if !word.is_empty() {
        each(Piece {
            text: &word,
            place,
            from,
            to: text.len(),
        });
    }
}

/// Whether characters of this script are pieces by themselves.
pub(super) fn stands_alone(character: char) -> bool {
    if character < '\u{0e00}' {
        return false;
    }
    matches!(character,
        '\u{0e00}'..='\u{0eff}'     // Thai, Lao
        | '\u{1000}'..='\u{109f}'   // Burmese
        | '\u{1780}'..='\u{17ff}'   // Khmer
        | '\u{2600}'..='\u{27bf}'   // signs that are used as emoji
        | '\u{3005}'..='\u{3007}'   // repeating the last, closing, nought
        | '\u{3041}'..='\u{3096}' | '\u{309d}'..='\u{309f}'
        | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' // kana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' // Han
        | '\u{ac00}'..='\u{d7a3}'   // Hangul
        | '\u{ff66}'..='\u{ff9d}'   // narrow kana
        | '\u{1f300}'..='\u{1faff}' // emoji
        | '\u{20000}'..='\u{3ffff}' // Han
    )
}

/// The mention or hashtag that a text begins with, and how many of its bytes that is. Of
/// `@name:rest` both `@name` and all of it, since `rest` may be a partner or what is said.
fn names(text: &str, mark: char, name: &mut String, mut each: impl FnMut(&str, usize)) {
    name.clear();
    name.push(mark);
    let mut joiner = None;
    let mut end = 0;
    for (index, character) in text.char_indices().skip(1) {
        if is_mark(character) {
            compose(name, character);
            continue;
        }
        if JOINERS.contains(&character) {
            if end == 0 || joiner.is_some() {
                break;
            }
            joiner = Some(character);
            continue;
        }
        let full = name.len() + 1 + MAX_FOLDED_BYTES > MAX_PIECE_BYTES;
        if full || !(character.is_alphanumeric() || stands_alone(character)) {
            break;
        }
        if let Some(joiner) = joiner.take() {
            if joiner == ':' {
                each(name, end);
            }
            name.push(joiner);
        }
        fold_into(character, name);
        end = index + character.len_utf8();
    }
    if end > 0 {
        each(name, end);
    }
}

/// Adds a character to a piece that is not full yet.
fn fold_into(character: char, piece: &mut String) {
    if piece.len() + MAX_FOLDED_BYTES > MAX_PIECE_BYTES {
        return;
    }
    if character.is_ascii() {
        piece.push(character.to_ascii_lowercase());
        return;
    }
    for lower in character.to_lowercase().filter(|lower| !is_mark(*lower)) {
        match lower {
            'ß' => piece.push_str("ss"),
            'æ' => piece.push_str("ae"),
            'œ' => piece.push_str("oe"),
            'þ' => piece.push_str("th"),
            _ => piece.push(without_diacritics(lower)),
        }
    }
}

/// The letter under the marks: of Latin and Greek letters, and of the wide forms of ASCII.
fn without_diacritics(lower: char) -> char {
    match lower {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' | 'ạ'..='ặ' => plain('a', lower),
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' | 'đ' | 'ð' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẹ'..='ệ' => plain('e', lower),
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ĥ' | 'ħ' => 'h',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'ǐ' | 'ỉ' | 'ị' => 'i',
        'ĵ' => 'j',
        'ķ' => 'k',
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' | 'ǒ' | 'ọ'..='ợ' => plain('o', lower),
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ŧ' | 'ț' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | 'ǔ' | 'ụ'..='ự' => {
            plain('u', lower)
        }
        'ŵ' => 'w',
        'ý' | 'ÿ' | 'ŷ' | 'ỳ'..='ỹ' => plain('y', lower),
        'ź' | 'ż' | 'ž' => 'z',
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' | 'ϊ' | 'ΐ' => 'ι',
        'ό' => 'ο',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        'ς' => 'σ',
        'ё' => 'е',
        '０'..='９' | 'ａ'..='ｚ' => char::from_u32(u32::from(lower) - 0xfee0).unwrap_or(lower),
        _ => lower,
    }
}

/// The ranges above hold letters that are in lower case already, and nothing but letters.
fn plain(letter: char, lower: char) -> char {
    if lower.is_alphabetic() { letter } else { lower }
}

/// Whether a character says how the one before it looks, or nothing at all: it neither ends a
/// word nor counts.
fn is_mark(character: char) -> bool {
    if character < '\u{ad}' {
        return false;
    }
    matches!(character,
        '\u{ad}'                    // where a word may be broken
        | '\u{300}'..='\u{36f}'     // diacritics
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c7}' // Hebrew vowels
        | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' // Arabic stretching and vowels
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}' // joining, not joining
        | '\u{fe00}'..='\u{fe0f}'   // how an emoji is drawn
    )
}

/// Puts together what is a letter of its own.
fn compose(piece: &mut String, mark: char) {
    let letter = match (piece.chars().next_back(), mark) {
        (Some('и'), '\u{306}') => 'й',
        (Some('у'), '\u{306}') => 'ў',
        (Some('і'), '\u{308}') => 'ї',
        _ => return,
    };
    piece.pop();
    piece.push(letter);
}

/// The longest beginning of a text that is no longer than `length` bytes.
fn beginning(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(String, u32)> {
        let mut found = Vec::new();
        pieces(text, |piece| {
            found.push((piece.text.to_owned(), piece.place))
        });
        found
    }

    fn texts(text: &str) -> String {
        let texts: Vec<String> = cut(text).into_iter().map(|(text, _)| text).collect();
        texts.join("|")
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        assert_eq!(
            texts("Hello, WORLD! snake_case 3.14"),
            "hello|world|snake|case|3|14"
        );
        assert_eq!(
            texts("CVE-2026-1234: see https://example.com/a?b=1"),
            "cve|2026|1234|see|https|example|com|a|b|1"
        );
        assert_eq!(texts("  ... --- \u{0} "), "");
        assert_eq!(texts(""), "");
    }

    #[test]
    fn what_people_type_alike_is_alike() {
        for text in [
            "Müller",
            "MU\u{308}LLER",
            "muller",
            "Ｍｕｌｌｅｒ",
            "mul\u{ad}ler",
        ] {
            assert_eq!(texts(text), "muller", "{text}");
        }
        assert_eq!(
            texts("Straße ŒUVRE Łódź İstanbul Việt"),
            "strasse|oeuvre|lodz|istanbul|viet"
        );
        assert_eq!(texts("ΌΔΟΣ όδος"), "οδοσ|οδοσ");
        assert_eq!(texts("МОЙ мои\u{306} мои ёлка"), "мой|мой|мои|елка");
        assert_eq!(texts("שָׁלוֹם كِتَاب"), "שלום|كتاب");
    }

    #[test]
    fn characters_of_scripts_without_blanks_stand_alone() {
        assert_eq!(texts("東京タワー2026年"), "東|京|タ|ワ|ー|2026|年");
        assert_eq!(texts("กรุง"), "ก|ร|ุ|ง");
        assert_eq!(texts("서울에서"), "서|울|에|서");
        assert_eq!(texts("ok👍\u{fe0f}🎉"), "ok|👍|🎉");
    }

    #[test]
    fn a_mention_is_a_piece_where_its_first_part_is() {
        let expected = [
            ("ask", 0),
            ("@user.name", 1),
            ("user", 1),
            ("name", 2),
            ("now", 3),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(text, at)| ((*text).to_owned(), *at))
            .collect();
        assert_eq!(cut("ask @User.Name. Now"), expected);
        assert_eq!(texts("@alice: hi"), "@alice|alice|hi");
        assert_eq!(texts("@alice:bravo"), "@alice|@alice:bravo|alice|bravo");
        assert_eq!(texts("(#Tag-1)"), "#tag-1|tag|1");
        assert_eq!(texts("#東京!"), "#東京|東|京");
        assert_eq!(
            texts("me@example.com page#part @ # @@ #-"),
            "me|example|com|page|part"
        );
    }

    #[test]
    fn hostile_text_is_cut_short() {
        let long = "x".repeat(100_000);
        let only = cut(&long);
        assert_eq!(only.len(), 1);
        assert!(only[0].0.len() <= MAX_PIECE_BYTES);
        let marks = format!("a{}b", "\u{301}".repeat(20_000));
        assert_eq!(texts(&marks), "ab");
        let distinct: String = (0..100_000).map(|number| format!("{number:x} ")).collect();
        assert!(cut(&distinct).len() <= MAX_TEXT_BYTES / 2);
        for piece in cut(&format!("@{0} #{0}", "ﬃ.İ".repeat(100))) {
            assert!(piece.0.len() <= MAX_PIECE_BYTES);
        }
    }
}
