//! Compiling a pattern, and matching.

use alloc::format;
use alloc::string::{String, ToString};

use regex_automata::meta::{Config, Regex};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, Look};

use inferry_engine::op::RegexFullMatch;

use super::re2;
use crate::kernel::arguments::form;
use crate::kernel::simple::{simple, spread};
use crate::kernel::text::{MAKE, shorten};
use crate::kernel::{Builder, Built};
use crate::text::Text;

/// Bytes of a compiled pattern. A string takes time in proportion to it at worst.
const LARGEST: usize = 1 << 20;

/// How deep groups of a pattern may nest.
const DEEPEST: u32 = 100;

/// Builds RegexFullMatch.
pub(crate) fn regex_full_match(op: &RegexFullMatch, node: &Builder<'_>) -> Built {
    let wrong = |problem| form(format!("pattern {:?}: {problem}", shorten(&op.pattern)));
    let regex = compile(&op.pattern).map_err(wrong)?;
    let phase = spread(node.output(0).1.count(), MAKE);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<u8>();
        let from = &io.input::<Text>(0)[start..start + to.len()];
        for (to, from) in to.iter_mut().zip(from) {
            *to = u8::from(regex.is_match(io.texts().get(*from)));
        }
    })
}

/// A pattern that only whole strings fit.
fn compile(pattern: &str) -> Result<Regex, String> {
    let pattern = re2::translate(pattern)?;
    let mut parser = ParserBuilder::new().octal(true).nest_limit(DEEPEST).build();
    let pattern = parser.parse(&pattern).map_err(|error| kind(&error))?;
    let whole = Hir::concat([Hir::look(Look::Start), pattern, Hir::look(Look::End)].into());
    let config = Config::new().nfa_size_limit(Some(LARGEST)).onepass_size_limit(Some(LARGEST));
    let built = Regex::builder().configure(config).build_from_hir(&whole);
    built.map_err(|error| match error.size_limit() {
        Some(_) => format!("it takes more than {LARGEST} bytes when it is compiled"),
        None => error.to_string(),
    })
}

/// What is wrong with a pattern, in a few words: the whole text quotes the pattern, on lines of its own.
fn kind(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "it is no regular expression".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{run_one, strings};
    use crate::kernel::{Operand, build};
    use crate::pack::Packs;
    use inferry_core::ElementType;

    /// Whether each string fits the pattern.
    #[track_caller]
    fn check(pattern: &str, fits: &[&str], others: &[&str]) {
        let op = RegexFullMatch { pattern: pattern.into() };
        for (texts, wanted) in [(fits, true), (others, false)] {
            let found = run_one::<bool>(&op, &[&strings(texts, [texts.len()])], [texts.len()]);
            for (text, found) in texts.iter().zip(found) {
                assert_eq!(found, wanted, "{pattern:?} and {text:?}");
            }
        }
    }

    #[test]
    fn a_whole_string_must_fit() {
        check("a|ab", &["a", "ab"], &["abc", "b", "", "a\n"]);
        check("", &[""], &["a"]);
        check(
            r"www\.[\w.-]+\.\bcom\b",
            &["www.google.com", "www.a-b.c.com"],
            &["www.google.com/", "wwwxa.com"],
        );
        let address = r"(\W|^)[\w.\-]{0,25}@(yahoo|gmail)\.com(\W|$)";
        check(address, &["account@gmail.com", "a.b-c@yahoo.com"], &["account@hotmail.com", "not email"]);
        check("(?i)straße", &["STRAßE", "Straße"], &["strasse"]);
        check("(?:a+)+b", &["aaab"], &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"]);
    }

    #[test]
    fn classes_are_those_of_re2() {
        // Digits, words and spaces are ASCII; a dot is a character, and no line's end.
        check(r"\d\w\s", &["1a ", "0_\t"], &["٣a ", "1ä ", "1a\u{a0}", "1a\x0b"]);
        check(r"\D\W\S", &["a-x", "٣ä\x0b"], &["1-x"]);
        check(r"[\d\s]+[^\w]", &["1 2-", "1ä"], &["1a"]);
        check(r".", &["的", "a"], &["\n", "ab"]);
        check(r"(?s).\bx", &["\nx"], &["ax"]);
        check(r"\pL\p{Greek}\PN", &["aλx"], &["1λx", "axx", "aλ1"]);
        check(r"[[:alpha:]&&[x]+]", &["a]", "&[x&]"], &["a", "1]"]);
        check(r"[]a\]^-]+", &["]a^-"], &["b"]);
        check(r"[^]a]", &["b"], &["]", "a"]);
        check(r"[+--]", &["+", ",", "-"], &["."]);
        check(r"[\x41-\x{43}\n]", &["A", "B", "C", "\n"], &["D"]);
    }

    #[test]
    fn what_looks_special_elsewhere_is_plain_in_re2() {
        check(r"\Qa.b*\E+", &["a.b*", "a.b**"], &["aab*"]);
        check(r"\Q[x", &["[x"], &["x"]);
        check(r"a{,5}b{c{2}", &["a{,5}b{cc"], &["aab{cc"]);
        check(r"\<a\>", &["<a>"], &["a"]);
        check(r"(?P<x>a)\z", &["a"], &["aa"]);
    }

    #[test]
    fn patterns_that_cannot_be_are_refused() {
        for (pattern, problem) in [
            ("a(b", "unclosed group"),
            (r"a\C", r"`\C`"),
            (r"[a", "unclosed character class"),
            (r"((a{1000}){1000}){1000}", "it takes more than 1048576 bytes"),
            (&["(".repeat(200), ")".repeat(200)].concat(), "nest"),
            ("\\", "backslash"),
        ] {
            let op = RegexFullMatch { pattern: pattern.into() };
            let input = Operand { element: ElementType::String, shape: [1].into(), constant: None };
            let (inputs, outputs) = ([Some(input)], [(ElementType::Bool, [1].into())]);
            let packs = Packs::default();
            let node = Builder { inputs: &inputs, outputs: &outputs, isa: Isa::portable(), packs: &packs };
            let error = build(&op, &node).err().unwrap().to_string();
            assert!(error.contains(problem), "{pattern:.40}: {error}");
        }
    }
}
