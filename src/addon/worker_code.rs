//! A worker's own JavaScript with what V8 has compiled of it, in one piece of memory.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

/// A script and its code cache: <https://nodejs.org/api/vm.html#scriptcreatecacheddata>
#[napi(object)]
pub struct WorkerCode {
    pub source: String,
    pub cache: Buffer,
}

/// In front of the source: how long it is.
const HEADER: usize = size_of::<u64>();

pub fn pack(source: &str, cache: &[u8]) -> Vec<u8> {
    [&(source.len() as u64).to_ne_bytes(), source.as_bytes(), cache].concat()
}

pub fn unpack(mut bytes: Vec<u8>) -> Option<WorkerCode> {
    let length = u64::from_ne_bytes(*bytes.first_chunk::<HEADER>()?);
    let end = HEADER.checked_add(usize::try_from(length).ok()?)?;
    let source = String::from_utf8(bytes.get(HEADER..end)?.to_vec()).ok()?;
    let cache = bytes.split_off(end).into();
    Some(WorkerCode { source, cache })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_code_is_none() {
        let packed = pack("source", b"cache");
        assert_eq!(packed.len(), HEADER + 11);
        for bytes in [&[][..], &packed[..HEADER - 1], &packed[..HEADER + 5]] {
            assert!(unpack(bytes.to_vec()).is_none());
        }
        assert!(unpack(u64::MAX.to_ne_bytes().to_vec()).is_none());
        assert!(
            unpack(pack("source", b"").into_iter().map(|byte| byte | 0x80).collect()).is_none()
        );
    }
}
