//! Rust source with everything that is not code blanked out: comments, strings and characters become spaces.
//!
//! The tidy rules look for words; a word in a comment or a message must not count. This is a lexer for exactly that
//! question: it knows where text begins and ends and nothing else of the language.

/// The same lines with the same columns, only code left in them.
pub(crate) fn code(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let length = not_code(rest, before).unwrap_or(0);
        let (taken, blank) = if length > 0 { (length, true) } else { (first.len_utf8(), false) };
        let text = &rest[..taken];
        out.extend(text.chars().map(|c| if blank && c != '\n' { ' ' } else { c }));
        before = if blank { ' ' } else { first };
        rest = &rest[taken..];
    }
    out
}

/// Whether `word` stands in `code` as a whole word.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(inside) && !code[at + word.len()..].starts_with(inside))
}

/// The length of the comment, string or character that begins `rest`, if one does.
fn not_code(rest: &str, before: char) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('"') {
        return Some(string(rest));
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    // A raw string begins with r, br or cr, which must not be the end of a longer word.
    let in_word = before.is_alphanumeric() || before == '_';
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| !in_word && rest.starts_with(prefix))?;
    raw_string(&rest[prefix.len()..]).map(|length| prefix.len() + length)
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        if tail.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if tail.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `#"…"#` with any number of marks, the same number at both ends.
fn raw_string(rest: &str) -> Option<usize> {
    let marks = rest.len() - rest.trim_start_matches('#').len();
    let body = rest[marks..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(marks));
    let close = body.find(&end)?;
    Some(marks + 1 + close + end.len())
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next();
        return rest[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map(|(at, _)| at + 3);
    }
    let (at, second) = chars.next()?;
    (second == '\'').then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        code(source).split_whitespace().map(String::from).collect()
    }

    #[test]
    fn comments_go_and_lines_stay() {
        let blanked = code("a // unsafe\n/* one /* two */ unsafe */ b\n");
        assert_eq!(blanked.lines().count(), 2);
        assert!(!blanked.contains("unsafe"));
        assert_eq!(words("a // x\n/* one /* two */ x */ b\n"), ["a", "b"]);
    }

    #[test]
    fn strings_go_with_their_escapes() {
        assert_eq!(words(r#"f("un\"safe", b"x", c) g"#), ["f(", ",", "b", ",", "c)", "g"]);
        assert_eq!(words("r#\"a \" b\"# c br\"\\\" d"), ["c", "d"]);
    }

    #[test]
    fn a_lifetime_is_code_and_a_character_is_not() {
        assert_eq!(
            words("fn f<'a>(x: &'a str) { x == '\"' } '\\'' '\\u{41}' '\\\\' y"),
            ["fn", "f<'a>(x:", "&'a", "str)", "{", "x", "==", "}", "y"]
        );
    }

    #[test]
    fn a_word_is_a_whole_word() {
        assert!(has_word("unsafe fn", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe"));
        assert!(!has_word("notunsafe", "unsafe"));
    }
}
