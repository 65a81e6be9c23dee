//! Memory that processes share: a value made of atomics, bytes of a ring, a file that is sealed.

use std::fs::File;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};

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
        let fd = create_file(name, size_of::<T>())?;
        Ok((Self::open(&fd)?, fd))
    }

    /// Maps memory that [`create`](Self::create) made. `fd` may be closed afterwards.
    pub fn open(fd: impl AsFd) -> io::Result<Self> {
        Self::open_at(fd, 0)
    }

    /// Maps what begins `offset` bytes, a multiple of the page size, after the file's begin.
    pub fn open_at(fd: impl AsFd, offset: usize) -> io::Result<Self> {
        let at = offset_in(&fd, offset, size_of::<T>())?;
        // SAFETY: a new mapping of a file that is long enough; it overlaps nothing of ours.
        let address =
            unsafe { mmap(None, Self::LENGTH, READ_WRITE, MapFlags::MAP_SHARED, fd, at)? };
        keep_out_of_forks(address, Self::LENGTH);
        Ok(Self { address, kind: PhantomData })
    }
}

const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// A file of `length` zeros in memory, which other processes can map.
pub fn create_file(name: &std::ffi::CStr, length: usize) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
    nix::unistd::ftruncate(&fd, i64::try_from(length).map_err(io::Error::other)?)?;
    Ok(fd)
}

/// A file in memory that will be [sealed](fill_and_seal).
pub fn create_sealable_file(name: &std::ffi::CStr) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    Ok(memfd_create(name, flags)?.into())
}

/// Makes it a file that nobody can change any more, whoever has its descriptor.
pub fn fill_and_seal(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    fcntl(file, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
    Ok(())
}

/// The bytes of a [sealed](fill_and_seal) file, not copied.
pub struct Sealed {
    address: NonNull<core::ffi::c_void>,
    length: NonZeroUsize,
}

impl Sealed {
    /// `InvalidData` for a file that is empty, or that somebody can change. `fd` may be closed
    /// afterwards.
    pub fn open(fd: impl AsFd) -> io::Result<Self> {
        let seals = fcntl(fd.as_fd(), FcntlArg::F_GET_SEALS)?;
        if !SealFlag::from_bits_truncate(seals).contains(UNCHANGING) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let length = usize::try_from(nix::sys::stat::fstat(fd.as_fd())?.st_size)
            .ok()
            .and_then(NonZeroUsize::new)
            .ok_or(io::ErrorKind::InvalidData)?;
        // As a private one, because before Linux 6.7 a sealed file had no shared mappings; what is
        // only read is not copied either way.
        // SAFETY: a new mapping of a file that stays as long as it is; it overlaps nothing of ours.
        let address =
            unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, fd, 0)? };
        keep_out_of_forks(address, length);
        Ok(Self { address, length })
    }
}

const UNCHANGING: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_WRITE);

impl Deref for Sealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped until drop, and sealed, so nobody changes it.
        unsafe { std::slice::from_raw_parts(self.address.cast().as_ptr(), self.length.get()) }
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // SAFETY: exactly what `open` mapped; no reference outlives `self`.
        let _ = unsafe { munmap(self.address, self.length.get()) };
    }
}

/// A process that this one starts is a copy of it until it becomes another program. That has no use
/// for the mapping, and with each one to copy and to remove again it takes longer to start.
fn keep_out_of_forks(address: NonNull<core::ffi::c_void>, length: NonZeroUsize) {
    // SAFETY: our own mapping; nothing changes for this process.
    // Should it fail, then it is copied.
    let _ = unsafe { madvise(address, length.get(), MmapAdvise::MADV_DONTFORK) };
}

/// `offset` as mmap(2) wants it. A file that ends too early would make reads raise SIGBUS.
fn offset_in(fd: &impl AsFd, offset: usize, length: usize) -> io::Result<i64> {
    let end = i64::try_from(offset + length).map_err(io::Error::other)?;
    if nix::sys::stat::fstat(fd.as_fd())?.st_size < end {
        return Err(io::ErrorKind::InvalidData.into());
    }
    i64::try_from(offset).map_err(io::Error::other)
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

/// Bytes that two processes map, each of them twice in a row: what runs over the end goes on at the
/// begin, so that every piece of up to the whole length is contiguous.
pub struct Mirror {
    address: NonNull<core::ffi::c_void>,
    length: NonZeroUsize,
}

impl Mirror {
    /// Maps `length` bytes of the file, from `offset` on; both are multiples of the page size.
    pub fn open(fd: impl AsFd, offset: usize, length: NonZeroUsize) -> io::Result<Self> {
        let at = offset_in(&fd, offset, length.get())?;
        let both = length.saturating_add(length.get());
        // SAFETY: new addresses, which overlap nothing of ours.
        let address = unsafe {
            let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
            nix::sys::mman::mmap_anonymous(None, both, ProtFlags::PROT_NONE, flags)?
        };
        // Unmapped by its drop, should one of the mappings fail.
        let mirror = Self { address, length };
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
        for start in [address.addr(), address.addr().saturating_add(length.get())] {
            // SAFETY: replaces one half of the addresses reserved above, which nobody uses yet.
            unsafe { mmap(Some(start), length, READ_WRITE, flags, &fd, at)? };
        }
        keep_out_of_forks(address, both);
        Ok(mirror)
    }

    /// The `length` bytes from `at` on.
    ///
    /// # Safety
    /// `length` is at most that of the memory, and nobody, in whichever process, writes them while
    /// the slice lives.
    pub unsafe fn read(&self, at: usize, length: usize) -> &[u8] {
        // SAFETY: mapped twice, so `length` bytes follow each place in the first copy.
        unsafe { std::slice::from_raw_parts(self.place(at), length) }
    }

    /// The same, to be written.
    ///
    /// # Safety
    /// As for [`read`](Self::read), and nobody reads them either.
    pub unsafe fn write(&mut self, at: usize, length: usize) -> &mut [u8] {
        // SAFETY: as in `read`.
        unsafe { std::slice::from_raw_parts_mut(self.place(at), length) }
    }

    fn place(&self, at: usize) -> *mut u8 {
        // SAFETY: within the first copy.
        unsafe { self.address.cast::<u8>().as_ptr().add(at % self.length) }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // SAFETY: exactly what `open` reserved; no slice outlives `self`.
        let _ = unsafe { munmap(self.address, 2 * self.length.get()) };
    }
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Mirror {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[repr(C)]
    struct Number(AtomicU32);

    // SAFETY: `repr(C)`, an atomic, and zero is valid.
    unsafe impl Shareable for Number {}

    /// Whether smaps, see proc(5), says `dc` of the mapping: «do not copy area on fork».
    fn is_kept_out_of_forks(address: NonNull<core::ffi::c_void>) -> bool {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let of_it = smaps.split_once(&format!("\n{:x}-", address.addr())).unwrap().1;
        let flags = of_it.lines().find_map(|line| line.strip_prefix("VmFlags:")).unwrap();
        flags.split_whitespace().any(|flag| flag == "dc")
    }

    #[test]
    fn a_process_that_is_started_gets_no_copy_of_a_mapping() {
        let (number, file) = Shared::<Number>::create(c"rust-cluster-test").unwrap();
        assert!(is_kept_out_of_forks(number.address));
        drop(file);
        let length = NonZeroUsize::new(4096).unwrap();
        let file = create_file(c"rust-cluster-test", length.get()).unwrap();
        let mirror = Mirror::open(&file, 0, length).unwrap();
        assert!(is_kept_out_of_forks(mirror.address));
        assert!(is_kept_out_of_forks(mirror.address.map_addr(|at| at.saturating_add(4096))));
    }
}
