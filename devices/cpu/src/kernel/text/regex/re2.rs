//! Patterns of RE2 in the syntax of the crate `regex-syntax`.
//!
//! Both descend from Perl and agree in most. Where they do not, the pattern is rewritten so that it means there what it means
//! in RE2: `\d`, `\w`, `\s` and `\b` are ASCII, `\Q` quotes up to `\E`, a brace that begins no repetition is a brace, `\<` is
//! `<`, and within a class there are no classes but named ones, and no operators on sets. `\C`, a byte, is refused: strings
//! are characters here. Nothing is checked that the parser checks after.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

/// The same pattern for `regex-syntax`, with Unicode on.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut rest = pattern;
    let mut out = String::with_capacity(pattern.len());
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '\\' => escape(rest, &mut out)?,
            '[' => class(rest, &mut out)?,
            '{' if !is_repetition(rest) => {
                out.push_str("\\{");
                &rest[1..]
            }
            plain => {
                out.push(plain);
                &rest[plain.len_utf8()..]
            }
        };
    }
    Ok(out)
}

/// Translates the escape that `rest` begins with, outside of a class; what comes after it.
fn escape<'a>(rest: &'a str, out: &mut String) -> Result<&'a str, String> {
    let (escape, after) = cut_escape(rest)?;
    match &escape[1..] {
        "Q" => {
            let (quoted, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex_syntax::escape(quoted));
            return Ok(after);
        }
        "b" => out.push_str(r"(?-u:\b)"),
        "B" => out.push_str(r"(?-u:\B)"),
        "C" => return Err(r"`\C`, a single byte, is not supported".into()),
        "<" | ">" => out.push_str(&escape[1..]),
        name => match perl(name) {
            Some((not, set)) => write!(out, "[{not}{set}]").unwrap_or_default(),
            None => out.push_str(escape),
        },
    }
    Ok(after)
}

/// The characters of a Perl class, and `^` when it is all the others.
fn perl(name: &str) -> Option<(&'static str, &'static str)> {
    let not = if name.starts_with(char::is_uppercase) { "^" } else { "" };
    Some(match name {
        "d" | "D" => (not, "0-9"),
        "w" | "W" => (not, "0-9A-Za-z_"),
        "s" | "S" => (not, r"\t\n\x0C\r\x20"),
        _ => return None,
    })
}

/// Translates the class in brackets that `rest` begins with; what comes after it.
fn class<'a>(rest: &'a str, out: &mut String) -> Result<&'a str, String> {
    let unclosed = || String::from("unclosed character class");
    out.push('[');
    let mut rest = &rest[1..];
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    let mut first = true;
    loop {
        let next = rest.chars().next().ok_or_else(unclosed)?;
        if next == ']' && !first {
            out.push(']');
            return Ok(&rest[1..]);
        }
        first = false;
        if let Some((name, after)) = rest.strip_prefix("[:").and_then(|named| named.split_once(":]")) {
            write!(out, "[:{name}:]").unwrap_or_default();
            rest = after;
            continue;
        }
        let (low, after) = item(rest, out)?;
        rest = after;
        let Some(low) = low else { continue };
        out.push_str(&low);
        // A dash before the closing bracket is a dash.
        if let Some(end) = rest.strip_prefix('-').filter(|end| !end.starts_with(']'))
            && !end.is_empty()
        {
            let (high, after) = item(end, out)?;
            let high = high.ok_or_else(|| format!("a range to a class: {end:.10?}"))?;
            write!(out, "-{high}").unwrap_or_default();
            rest = after;
        }
    }
}

/// The next character of a class, written so that it means only itself, and what comes after it; `None` for an escape that
/// stands for several, which has been written already.
fn item<'a>(rest: &'a str, out: &mut String) -> Result<(Option<String>, &'a str), String> {
    let plain = rest.chars().next().unwrap_or_default();
    if plain != '\\' {
        return Ok((Some(character(plain)), &rest[plain.len_utf8()..]));
    }
    let (escape, after) = cut_escape(rest)?;
    match &escape[1..] {
        "<" | ">" => Ok((Some(escape[1..].chars().map(character).collect()), after)),
        name if name.starts_with(['p', 'P']) => {
            out.push_str(escape);
            Ok((None, after))
        }
        name => match perl(name) {
            Some((not, set)) => {
                write!(out, "[{not}{set}]").unwrap_or_default();
                Ok((None, after))
            }
            None => Ok((Some(escape.into()), after)),
        },
    }
}

fn character(plain: char) -> String {
    format!("\\x{{{:X}}}", plain as u32)
}

/// The escape that `rest` begins with, and what comes after it.
fn cut_escape(rest: &str) -> Result<(&str, &str), String> {
    let name = &rest[1..];
    let first = name.chars().next().ok_or("a backslash at the end")?;
    let braced = |from: usize| name[from..].starts_with('{').then(|| name.find('}')).flatten();
    let octal = || name.bytes().take(3).take_while(|byte| (b'0'..b'8').contains(byte)).count();
    let len = match first {
        'x' | 'p' | 'P' => match braced(1) {
            Some(end) => end + 1,
            None if first == 'x' => name.char_indices().nth(3).map_or(name.len(), |(end, _)| end),
            None => name.char_indices().nth(2).map_or(name.len(), |(end, _)| end),
        },
        '0'..='7' => octal(),
        other => other.len_utf8(),
    };
    Ok(rest.split_at(1 + len))
}

/// True when the brace that `rest` begins with is one of `{n}`, `{n,}` and `{n,m}`.
fn is_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest[1..].split_once('}') else { return false };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    !least.is_empty() && digits(least) && digits(most)
}
