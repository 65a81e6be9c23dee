//! Strings of JavaScript's into frames, with as few copies as N-API allows.

use std::io;

use super::callback::Text;
use crate::channel::Channel;
use crate::protocol::Kind;

/// From so many code units on it is worth to look how many bytes a text has in UTF-8: less than
/// that costs less than three times its room.
const MEASURED: usize = 64 * 1024;

/// How much of a string is looked at before all of it is believed to be ASCII.
const PROBED: usize = 2048;

/// Memory for longer strings is given back.
const KEPT_UNITS: usize = 2 * 1024 * 1024;

/// Sends JSON texts.
pub fn send_json(channel: &mut Channel, text: &Text<'_>, count: u32) -> io::Result<()> {
    let units = text.units();
    let most = if units > MEASURED { text.utf8_length() } else { 3 * units };
    let in_place = channel.send_in_place(count, most + Text::ZERO, |buffer| {
        let length = text.write_utf8(buffer);
        // As many bytes as units: each is ASCII.
        Some((if length == units { Kind::AsciiJson } else { Kind::Json }, length))
    })?;
    if in_place { Ok(()) } else { channel.send(Kind::Json, count, &[&text.to_utf8()], &[]) }
}

/// Sends one message that is a string, as its code units. `scratch` is kept for the next one.
pub fn send_string(
    channel: &mut Channel,
    text: &Text<'_>,
    scratch: &mut Vec<u16>,
) -> io::Result<()> {
    if is_probably_ascii(text) {
        let units = text.units();
        let in_place = channel.send_in_place(1, units + Text::ZERO, |buffer| {
            // Others have fewer of their characters in as many bytes.
            let length = text.write_utf8(buffer);
            (length == units && buffer[..length].is_ascii()).then_some((Kind::Latin1, length))
        })?;
        if in_place {
            return Ok(());
        }
    }
    text.write_utf16(scratch);
    let result = send_units(channel, scratch);
    if scratch.capacity() > KEPT_UNITS {
        *scratch = Vec::new();
    }
    result
}

fn send_units(channel: &mut Channel, units: &[u16]) -> io::Result<()> {
    // One loop without a branch in it, which the compiler makes short work of.
    let latin1 = units.iter().fold(0, |all, unit| all | unit) < 256;
    let (kind, size) =
        if latin1 { (Kind::Latin1, units.len()) } else { (Kind::Utf16, 2 * units.len()) };
    let fill = |buffer: &mut [u8]| {
        if latin1 {
            narrow(units, buffer);
        } else {
            widen(units, buffer);
        }
        Some((kind, size))
    };
    if channel.send_in_place(1, size, fill)? {
        return Ok(());
    }
    let mut bytes = vec![0; size];
    fill(&mut bytes);
    channel.send(kind, 1, &[&bytes], &[])
}

fn is_probably_ascii(text: &Text<'_>) -> bool {
    let mut begin = [0; PROBED + Text::ZERO];
    let length = text.write_utf8(&mut begin);
    begin[..length].is_ascii()
}

fn narrow(units: &[u16], bytes: &mut [u8]) {
    for (byte, unit) in bytes.iter_mut().zip(units) {
        *byte = unit.to_le_bytes()[0];
    }
}

fn widen(units: &[u16], bytes: &mut [u8]) {
    for (pair, unit) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(units) {
        *pair = unit.to_ne_bytes();
    }
}
