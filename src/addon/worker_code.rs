//! A worker's own JavaScript with what V8 has compiled of it, in one piece of memory.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

/// A script and its code cache: <https://nodejs.org/api/vm.html#scriptcreatecacheddata>
#[napi(object)]
pub struct WorkerCode {
    pub source: String,
    /// Where the package's own names lead to, as JSON.
    pub resolutions: String,
    pub cache: Buffer,
}

/// In front of a text: how long it is.
const HEADER: usize = size_of::<u64>();

pub fn pack(source: &str, resolutions: &str, cache: &[u8]) -> Vec<u8> {
    let length = |text: &str| (text.len() as u64).to_ne_bytes();
    let texts = [source, resolutions].map(|text| [&length(text), text.as_bytes()].concat());
    [&texts[0], &texts[1], cache].concat()
}

pub fn unpack(mut bytes: Vec<u8>) -> Option<WorkerCode> {
    let (source, rest) = first_text(&bytes)?;
    let (resolutions, cache) = first_text(rest)?;
    let end = bytes.len() - cache.len();
    let cache = bytes.split_off(end).into();
    Some(WorkerCode { source, resolutions, cache })
}

fn first_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let length = usize::try_from(u64::from_ne_bytes(*header)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_code_is_none() {
        let packed = pack("source", "{}", b"");
        assert_eq!(packed.len(), 2 * HEADER + 8);
        for end in 0..packed.len() {
            assert!(unpack(packed[..end].to_vec()).is_none());
        }
        assert!(unpack(u64::MAX.to_ne_bytes().to_vec()).is_none());
        assert!(
            unpack(pack("source", "", b"").into_iter().map(|byte| byte | 0x80).collect()).is_none()
        );
    }
}
