//! A worker's own JavaScript with what V8 has compiled of it, in one piece of memory.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use napi::bindgen_prelude::Uint8Array;

use super::callback::shared_bytes;
use crate::sys::memory::Sealed;

/// A script and its code cache: <https://nodejs.org/api/vm.html#scriptcreatecacheddata>. Neither is
/// copied before JavaScript has it.
pub struct WorkerCode {
    memory: Rc<Sealed>,
    cache: Range<usize>,
}

/// In front of the cache: how long it is. V8 wants the cache at a multiple of this, or copies it.
const HEADER: usize = size_of::<u64>();

/// The source is behind the cache.
pub fn pack(source: &str, cache: &[u8]) -> Vec<u8> {
    [&(cache.len() as u64).to_ne_bytes(), cache, source.as_bytes()].concat()
}

impl WorkerCode {
    /// None if there is no such thing in the file.
    pub fn open(file: OwnedFd) -> Option<Self> {
        let memory = Sealed::open(file).ok()?;
        let cache = cache_in(&memory)?;
        Some(Self { memory: Rc::new(memory), cache })
    }

    pub fn source(&self) -> Option<&str> {
        str::from_utf8(&self.memory[self.cache.end..]).ok()
    }

    /// Not to be written.
    pub fn cache(&self) -> Uint8Array {
        let range = self.cache.clone();
        shared_bytes(Rc::clone(&self.memory), |memory| &memory[range])
    }
}

fn cache_in(bytes: &[u8]) -> Option<Range<usize>> {
    let length = u64::from_ne_bytes(*bytes.first_chunk::<HEADER>()?);
    let end = HEADER.checked_add(usize::try_from(length).ok()?)?;
    (end <= bytes.len()).then_some(HEADER..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory::{create_sealable_file, fill_and_seal};

    #[test]
    fn the_source_is_read_where_it_is() {
        let file = create_sealable_file(c"rust-cluster-test").unwrap();
        assert!(WorkerCode::open(file.try_clone().unwrap().into()).is_none(), "it can be changed");
        fill_and_seal(&file, &pack("source", b"cache")).unwrap();
        let code = WorkerCode::open(file.into()).unwrap();
        assert_eq!(code.source(), Some("source"));
        assert_eq!(&code.memory[code.cache], b"cache");
    }

    #[test]
    fn what_is_no_code_is_none() {
        let packed = pack("source", b"cache");
        for bytes in [&[][..], &packed[..HEADER - 1], &packed[..HEADER + 4]] {
            assert_eq!(cache_in(bytes), None);
        }
        assert_eq!(cache_in(&u64::MAX.to_ne_bytes()), None);
    }
}
