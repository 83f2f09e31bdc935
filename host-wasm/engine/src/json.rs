//! The little JSON that goes out: objects, lists, texts and whole numbers, written straight into bytes.
//!
//! It does not read JSON, and it does not check that a caller closes what it opens: the closures do.

use alloc::vec::Vec;

/// JSON that is being written.
#[derive(Default)]
pub(crate) struct Json {
    bytes: Vec<u8>,
}

impl Json {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `{…}`
    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Json)) {
        self.between(b'{', b'}', fill);
    }

    /// `[…]`
    pub(crate) fn list(&mut self, fill: impl FnOnce(&mut Json)) {
        self.between(b'[', b']', fill);
    }

    /// A member of an object; what is written next is its value.
    pub(crate) fn key(&mut self, key: &str) -> &mut Json {
        self.text(key);
        self.bytes.push(b':');
        self
    }

    /// A text.
    pub(crate) fn text(&mut self, text: &str) {
        self.separate();
        self.bytes.push(b'"');
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.bytes.extend([b'\\', byte]),
                0..0x20 => {
                    const DIGITS: &[u8; 16] = b"0123456789abcdef";
                    let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
                    self.bytes.extend([b'\\', b'u', b'0', b'0', high, low]);
                }
                _ => self.bytes.push(byte),
            }
        }
        self.bytes.push(b'"');
    }

    /// A whole number.
    pub(crate) fn number(&mut self, number: u64) {
        self.separate();
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.bytes.extend(&digits[at..]);
    }

    /// `null`
    pub(crate) fn null(&mut self) {
        self.separate();
        self.bytes.extend(b"null");
    }

    fn between(&mut self, open: u8, close: u8, fill: impl FnOnce(&mut Json)) {
        self.separate();
        self.bytes.push(open);
        fill(self);
        self.bytes.push(close);
    }

    /// A comma, unless nothing stands before the value.
    fn separate(&mut self) {
        if !matches!(self.bytes.last(), None | Some(b'{' | b'[' | b':')) {
            self.bytes.push(b',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_separated_and_texts_escaped() {
        let mut json = Json::default();
        json.object(|json| {
            json.key("a\"b").text("x\\\n\u{1}ü");
            json.key("n").list(|json| {
                json.number(0);
                json.number(u64::MAX);
                json.null();
                json.list(|_| {});
            });
            json.key("o").object(|_| {});
        });
        let text = core::str::from_utf8(json.as_bytes()).unwrap();
        assert_eq!(text, r#"{"a\"b":"x\\\u000a\u0001ü","n":[0,18446744073709551615,null,[]],"o":{}}"#);
    }
}
