//! Slack's text as Markdown: mentions, channels, links and what its characters stand for.

/// Rewrites a message; `user` gives the name of a user's id.
pub fn markdown(text: &str, user: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&unescaped(&rest[..at]));
        let tail = &rest[at + 1..];
        // A '<' of the writer's own is written "&lt;": this one begins an entity, or is damaged.
        match tail.find('>') {
            Some(end) => {
                out.push_str(&entity(&tail[..end], &user));
                rest = &tail[end + 1..];
            }
            None => {
                out.push('<');
                rest = tail;
            }
        }
    }
    out.push_str(&unescaped(rest));
    out
}

fn entity(text: &str, user: &impl Fn(&str) -> Option<String>) -> String {
    let (target, label) = match text.split_once('|') {
        Some((target, label)) => (target, unescaped(label)),
        None => (text, String::new()),
    };
    let or = |name: &str| match label.is_empty() {
        true => name.to_string(),
        false => label.trim_start_matches(['@', '#']).to_string(),
    };
    if let Some(id) = target.strip_prefix('@') {
        return format!("@{}", user(id).unwrap_or_else(|| or(id)));
    }
    if let Some(id) = target.strip_prefix('#') {
        return format!("~{}", or(id));
    }
    if let Some(special) = target.strip_prefix('!') {
        return match special.split('^').next().unwrap_or_default() {
            "here" => "@here".into(),
            "channel" => "@channel".into(),
            "everyone" => "@all".into(),
            "subteam" => format!("@{}", or("group")),
            // A time in the reader's own zone: its label says it in the writer's.
            _ => or(special),
        };
    }
    link(&unescaped(target), &label)
}

/// A link that may be clicked, or only its text where it leads to anything but a page or a mailbox.
pub fn link(target: &str, label: &str) -> String {
    let is_link = ["http://", "https://", "mailto:"]
        .iter()
        .any(|it| target.starts_with(it));
    let is_plain =
        !target.contains(|it: char| it.is_whitespace() || it.is_control() || "()<>".contains(it));
    let bare = target.strip_prefix("mailto:").unwrap_or(target);
    match (is_link, label.is_empty() || label == bare) {
        (true, true) => bare.to_string(),
        (true, false) if is_plain => {
            let label = label.replace(['[', ']', '\n'], " ");
            format!("[{}]({target})", label.trim())
        }
        (_, true) => target.to_string(),
        _ => format!("{label} ({target})"),
    }
}

fn unescaped(text: &str) -> String {
    // The ampersand last, so that "&amp;lt;" stays what was written.
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        markdown(text, |id| (id == "U1").then(|| "amal".to_string()))
    }

    #[test]
    fn entities_become_markdown() {
        for (slack, expected) in [
            ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
            ("<@U1> and <@U2|dora> and <@U3>", "@amal and @dora and @U3"),
            ("in <#C1|harbour> or <#C2>", "in ~harbour or ~C2"),
            ("<!here> <!channel> <!everyone>", "@here @channel @all"),
            ("<!subteam^S1|@medics>", "@medics"),
            ("<!date^139^{date}|Friday>", "Friday"),
            (
                "<https://a.example/?x=1&amp;y=2>",
                "https://a.example/?x=1&y=2",
            ),
            (
                "<https://a.example/|the [page]>",
                "[the  page](https://a.example/)",
            ),
            ("<mailto:a@b.example|a@b.example>", "a@b.example"),
            ("plain", "plain"),
        ] {
            assert_eq!(rewritten(slack), expected, "{slack}");
        }
    }

    #[test]
    fn what_is_damaged_or_harmful_stays_text() {
        for (slack, expected) in [
            ("a < b", "a < b"),
            ("<", "<"),
            ("<>", ""),
            ("<javascript:alert(1)|click>", "click (javascript:alert(1))"),
            (
                "<https://a.example/) [x](javascript:y|click>",
                "click (https://a.example/) [x](javascript:y)",
            ),
            ("<<@U1>", "<@U1"),
        ] {
            assert_eq!(rewritten(slack), expected, "{slack}");
        }
    }
}
