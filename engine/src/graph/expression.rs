//! Extents that an exporter has written as arithmetic on the names of others: `2*batch`, `(length - 1)//2 + 1`.
//!
//! ```text
//! sum     = product (('+' | '-') product)*
//! product = factor (('*' | '/' | '//' | '%') factor)*
//! factor  = number | name | name '(' sum (',' sum)* ')' | '(' sum ')' | '-' factor
//! ```
//!
//! Divisions round down, inside of `ceiling(…)` up. The functions are those that sympy writes, in which exporters reckon: `floor`,
//! `ceiling`, `Min`, `Max`, `Mod`, `FloorDiv`.

/// How deep parentheses may be nested.
const DEPTH: usize = 32;

/// The extent that a text means when `value` knows the names in it. `None` for any other text, and for what is no extent.
pub fn evaluate(text: &str, value: &mut dyn FnMut(&str) -> Option<usize>) -> Option<usize> {
    let mut reader = Reader { rest: text.trim_start(), value, rounds_up: false };
    let sum = reader.sum(DEPTH)?;
    if reader.rest.is_empty() { usize::try_from(sum).ok() } else { None }
}

struct Reader<'a> {
    /// What is left to read; begins with no blank.
    rest: &'a str,
    value: &'a mut dyn FnMut(&str) -> Option<usize>,
    rounds_up: bool,
}

impl<'a> Reader<'a> {
    /// Whether the text goes on like this; if so, goes on behind it.
    fn take(&mut self, wanted: &str) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.map_or(self.rest, str::trim_start);
        rest.is_some()
    }

    /// Letters, digits, dots and underscores.
    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.'));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        word
    }

    fn sum(&mut self, depth: usize) -> Option<i64> {
        let mut sum = self.product(depth)?;
        loop {
            if self.take("+") {
                sum = sum.checked_add(self.product(depth)?)?;
            } else if self.take("-") {
                sum = sum.checked_sub(self.product(depth)?)?;
            } else {
                return Some(sum);
            }
        }
    }

    fn product(&mut self, depth: usize) -> Option<i64> {
        let mut product = self.factor(depth)?;
        loop {
            if self.take("//") {
                product = floor(product, self.factor(depth)?)?;
            } else if self.take("/") {
                let divisor = self.factor(depth)?;
                product = match self.rounds_up {
                    true => floor(product.checked_neg()?, divisor)?.checked_neg()?,
                    false => floor(product, divisor)?,
                };
            } else if self.take("*") {
                product = product.checked_mul(self.factor(depth)?)?;
            } else if self.take("%") {
                product = modulo(product, self.factor(depth)?)?;
            } else {
                return Some(product);
            }
        }
    }

    fn factor(&mut self, depth: usize) -> Option<i64> {
        let depth = depth.checked_sub(1)?;
        if self.take("-") {
            return self.factor(depth)?.checked_neg();
        }
        if self.take("(") {
            let sum = self.sum(depth)?;
            return self.take(")").then_some(sum);
        }
        let word = self.word();
        match word.chars().next()? {
            first if first.is_ascii_digit() => word.parse().ok(),
            _ if self.take("(") => self.call(word, depth),
            _ => i64::try_from((self.value)(word)?).ok(),
        }
    }

    /// From behind the parenthesis on.
    fn call(&mut self, name: &str, depth: usize) -> Option<i64> {
        let outer = core::mem::replace(&mut self.rounds_up, name == "ceiling");
        let mut result = self.sum(depth)?;
        let mut count = 1;
        while self.take(",") {
            let other = self.sum(depth)?;
            count += 1;
            result = match name {
                "Min" => result.min(other),
                "Max" => result.max(other),
                "Mod" if count == 2 => modulo(result, other)?,
                "FloorDiv" if count == 2 => floor(result, other)?,
                _ => return None,
            };
        }
        self.rounds_up = outer;
        let known = match name {
            "floor" | "ceiling" => count == 1,
            "Mod" | "FloorDiv" => count == 2,
            "Min" | "Max" => true,
            _ => false,
        };
        (self.take(")") && known).then_some(result)
    }
}

fn floor(a: i64, b: i64) -> Option<i64> {
    let quotient = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

fn modulo(a: i64, b: i64) -> Option<i64> {
    a.checked_sub(floor(a, b)?.checked_mul(b)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn of(text: &str) -> Option<usize> {
        evaluate(text, &mut |name| match name {
            "n" => Some(7),
            "batch_size" => Some(2),
            "s0.1" => Some(5),
            "huge" => Some(usize::MAX),
            _ => None,
        })
    }

    #[test]
    fn arithmetic_is_done() {
        for (text, wanted) in [
            ("n", 7),
            ("12", 12),
            (" 2*n + batch_size ", 16),
            ("2 * (n + batch_size)", 18),
            ("n-1-2", 4),
            ("(n - 1)//2 + 1", 4),
            ("n / 2", 3),
            ("n % 4 * 2", 6),
            ("-n + 10", 3),
            ("batch_size - -n", 9),
            ("floor(n/2)", 3),
            ("ceiling(n/2) + n/2", 7),
            ("floor(s0.1/2 - 1/2)", 2),
            ("Max(1, n, s0.1) - Min(n, s0.1)", 2),
            ("Mod(n, 4) + FloorDiv(n, 4)", 4),
            ("((((n))))", 7),
        ] {
            assert_eq!(of(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_none() {
        for text in [
            "",
            "m",
            "2*m",
            "n +",
            "n n",
            "2n",
            "(n",
            "n)",
            "n - 8",
            "n / 0",
            "n % (n - 7)",
            "huge",
            "huge*huge",
            "n(1)",
            "Max()",
            "Mod(n)",
            "Mod(n, 1, 2)",
            "floor(1, 2)",
            "99999999999999999999",
            "batch size",
            "unk__12",
            "n,",
            "?",
            "9223372036854775807 * 2",
            "4000000000 * 4000000000",
            "é",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(of(&String::from_iter(core::iter::repeat_n("(", 10_000))), None);
        assert_eq!(of(&String::from_iter(core::iter::repeat_n("-", 10_000))), None);
    }
}
