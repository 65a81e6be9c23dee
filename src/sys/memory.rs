//! A page that two processes map.

use std::io;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A type whose every bit pattern is valid and that is only changed through atomics.
///
/// # Safety
/// It must consist of atomics alone, be `repr(C)`, and be valid when all its bytes are zero.
pub unsafe trait Shareable: Sync {}

/// A `T` in memory that another process may map as well. It starts as zeros.
pub struct Shared<T: Shareable> {
    address: NonNull<core::ffi::c_void>,
    kind: PhantomData<T>,
}

impl<T: Shareable> Shared<T> {
    const LENGTH: NonZeroUsize = match NonZeroUsize::new(size_of::<T>()) {
        Some(length) => length,
        None => panic!("a shared type has a size"),
    };

    /// Makes the memory; the descriptor is what the other process needs to [`open`](Self::open) it.
    pub fn create(name: &std::ffi::CStr) -> io::Result<(Self, OwnedFd)> {
        let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
        nix::unistd::ftruncate(&fd, i64::try_from(size_of::<T>()).map_err(io::Error::other)?)?;
        Ok((Self::open(&fd)?, fd))
    }

    /// Maps memory that [`create`](Self::create) made. `fd` may be closed afterwards.
    pub fn open(fd: impl AsFd) -> io::Result<Self> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let length = i64::try_from(size_of::<T>()).map_err(io::Error::other)?;
        // A shorter file would make reads beyond its end raise SIGBUS.
        if nix::sys::stat::fstat(fd.as_fd())?.st_size < length {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // SAFETY: a new mapping of a file that is long enough; it overlaps nothing of ours.
        let address = unsafe { mmap(None, Self::LENGTH, protection, MapFlags::MAP_SHARED, fd, 0)? };
        Ok(Self { address, kind: PhantomData })
    }
}

impl<T: Shareable> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: mapped until drop, page-aligned, long enough, and `Shareable` promises that any
        // bytes are a `T` and that other processes change it through atomics only.
        unsafe { self.address.cast::<T>().as_ref() }
    }
}

impl<T: Shareable> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: exactly what `open` mapped; no reference outlives `self`.
        let _ = unsafe { munmap(self.address, size_of::<T>()) };
    }
}

// SAFETY: `T` is `Sync` and reached by shared reference only; the mapping belongs to the process.
unsafe impl<T: Shareable> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Shareable> Sync for Shared<T> {}
