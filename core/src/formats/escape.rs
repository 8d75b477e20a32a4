//! Making a user's words harmless, one small function a language they end up in.
//!
//! Formats put them together; each works on text that is already on one line ([`crate::message::one_line`]).

/// U+200B: nothing to the eye, but no program sees one word across it.
const BREAK: char = '\u{200B}';

/// Breaks what programs would turn into a link by themselves: after `:` and `//` of a scheme, and after a dot that a
/// letter follows; and between the brackets of a link in Markdown. Version numbers stay as they are.
pub fn unlinked(text: &str) -> String {
    if text.is_ascii() && !text.bytes().any(|byte| matches!(byte, b':' | b'/' | b']' | b'.')) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 12);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        out.push(c);
        match c {
            ':' if rest.peek() == Some(&'/') => out.push(BREAK),
            '/' if out.ends_with("//") => out.push(BREAK),
            ']' if rest.peek() == Some(&'(') => out.push(BREAK),
            // The last three are dots too in the names of hosts (UTS #46, section 4).
            '.' | '。' | '．' | '｡' if rest.peek().is_some_and(|next| next.is_alphabetic()) => {
                out.push(BREAK)
            }
            _ => {}
        }
    }
    out
}

/// Breaks what would call people together (`@channel`, `@all`): nothing follows a sign at once, not even in an address.
pub fn unmentioned(text: &str, signs: &[char]) -> String {
    if !text.contains(signs) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 6);
    for c in text.chars() {
        out.push(c);
        if signs.contains(&c) {
            out.push(BREAK);
        }
    }
    out
}

/// Angle quotes for angle brackets, where a service has no escape for what it reads between them.
pub fn tagless(text: &str) -> String {
    text.replace('<', "‹").replace('>', "›")
}

/// Neither link nor call: what every chat needs.
pub fn quiet(text: &str) -> String {
    unmentioned(&unlinked(text), &['@'])
}

/// For where nothing is markup, or so the service says.
pub fn bare(text: &str) -> String {
    tagless(&quiet(text))
}

/// A code span: in there nothing is markup to any of the services that have no escape for it.
pub fn code(text: &str) -> String {
    if text.trim().is_empty() {
        return text.to_owned();
    }
    format!("`{}`", quiet(text).replace('`', "'"))
}

/// HTML text or a quoted attribute.
pub fn html(text: &str) -> String {
    replaced(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    })
}

/// Slack's mrkdwn: these three and nothing else (docs.slack.dev, "Formatting message text").
pub fn mrkdwn(text: &str) -> String {
    replaced(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    })
}

/// CommonMark: a backslash before every sign that means something (section 2.4, "Backslash escapes").
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 12);
    for c in text.chars() {
        if "\\`*_{}[]()#+-.!|~<>&".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Markdown of a service that knows only some escapes: a backslash before each of `signs`, and before what would begin a
/// list where the text begins.
pub fn backslashed(text: &str, signs: &str) -> String {
    let begin = text.trim_start();
    let number = begin.trim_start_matches(|c: char| c.is_ascii_digit());
    let bullet = match number.chars().next() {
        Some('-' | '+') if number.len() == begin.len() => Some(text.len() - begin.len()),
        Some('.' | ')') if number.len() < begin.len() => Some(text.len() - number.len()),
        _ => None,
    };
    if bullet.is_none() && !text.contains(|c| signs.contains(c)) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 12);
    for (at, c) in text.char_indices() {
        if signs.contains(c) || bullet == Some(at) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn replaced(text: &str, by: impl Fn(char) -> Option<&'static str>) -> String {
    if !text.contains(|c| by(c).is_some()) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 12);
    for c in text.chars() {
        match by(c) {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_program_would_link_is_left_in_one_piece() {
        for (given, expected) in [
            ("http://evil.example/x", "http:|//|evil.|example/x"),
            ("www.evil.com", "www.|evil.|com"),
            ("evil。com", "evil。|com"),
            ("alice@example.com", "alice@example.|com"),
            ("v1.2.3 is out. Yes", "v1.2.3 is out. Yes"),
            ("//evil", "//|evil"),
            ("[x](y)", "[x]|(y)"),
        ] {
            assert_eq!(unlinked(given), expected.replace('|', "\u{200B}"));
        }
    }

    #[test]
    fn no_sign_that_calls_people_is_left_before_a_word() {
        for (given, expected) in
            [("@channel", "@|channel"), ("hi (@all) @@here", "hi (@|all) @|@|here"), ("a@all", "a@|all")]
        {
            assert_eq!(unmentioned(given, &['@']), expected.replace('|', "\u{200B}"));
        }
    }

    #[test]
    fn each_language_gets_its_own_escapes() {
        assert_eq!(mrkdwn("<!channel> & \"x\""), "&lt;!channel&gt; &amp; \"x\"");
        assert_eq!(html("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
        assert_eq!(code("a `b` @all"), "`a 'b' @\u{200B}all`");
        assert_eq!(code(" "), " ", "an empty span is none");
        for (given, expected) in [
            ("a*b", r"a\*b"),
            ("- a", r"\- a"),
            (" + a", r" \+ a"),
            ("12. a", r"12\. a"),
            ("1) a", r"1\) a"),
            ("1.2", r"1\.2"),
            ("a - 1.", "a - 1."),
            ("12", "12"),
        ] {
            assert_eq!(backslashed(given, "*"), expected);
        }
        assert_eq!(tagless("<!channel> <b"), "‹!channel› ‹b");
        assert_eq!(markdown("[a](b) *c* <d>"), r"\[a\]\(b\) \*c\* \<d\>");
    }
}
