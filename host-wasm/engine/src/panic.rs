//! The end of an instance: a panic tells its message and traps.
//!
//! There is no unwinding, so nothing is put in order: whoever called must call nothing more.

use core::fmt::Write;
use core::panic::PanicInfo;

use crate::host;

/// The message, cut where the room ends: a panic may be about memory, so it takes none.
struct Words {
    bytes: [u8; 512],
    len: usize,
}

impl Write for Words {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = &mut self.bytes[self.len..];
        let most = room.len().min(text.len());
        let taken = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        room[..taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut words = Words { bytes: [0; 512], len: 0 };
    // Cannot fail: what does not fit is cut.
    let _ = write!(words, "{info}");
    host::panicked(&words.bytes[..words.len]);
    core::arch::wasm32::unreachable()
}
