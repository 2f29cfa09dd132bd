//! The twelve words that two sysadmins read to each other.

use std::str::FromStr;

use super::escape::escape;

/// How many words there are: 132 bits, too many to be ground by someone in the middle.
const COUNT: usize = 12;
const PER_LINE: usize = 4;

/// Twelve words as an operator typed them, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl FromStr for Words {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<String> = text
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        if words.len() == COUNT {
            Ok(Self(words))
        } else {
            Err(format!("{COUNT} words are needed, not {}", words.len()))
        }
    }
}

/// The words in numbered lines of four, easy to read aloud.
pub fn grid(words: &[String]) -> String {
    let width = words.iter().map(|word| word.chars().count()).max();
    let width = width.unwrap_or_default();
    let cell = |(at, word): (usize, &String)| format!("{:>2} {:<width$}", at + 1, escape(word));
    let cells: Vec<String> = words.iter().enumerate().map(cell).collect();
    cells
        .chunks(PER_LINE)
        .map(|line| format!("    {}", line.join("  ").trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_may_be_typed_untidily() {
        let words: Words = "One two,three\nfour  five six seven eight nine ten eleven twelve"
            .parse()
            .unwrap();
        assert_eq!(words.0[0], "one");
        assert_eq!(words.0.len(), COUNT);
        assert!("one two".parse::<Words>().is_err());
    }

    #[test]
    fn the_grid_has_four_aligned_words_a_line() {
        let words = "a bb c d eee f g h i j k l".split(' ').map(Into::into);
        let grid = grid(&words.collect::<Vec<String>>());
        let lines: Vec<&str> = grid.lines().collect();
        assert_eq!(
            lines,
            [
                "     1 a     2 bb    3 c     4 d",
                "     5 eee   6 f     7 g     8 h",
                "     9 i    10 j    11 k    12 l",
            ]
        );
    }
}
