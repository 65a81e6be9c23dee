//! The few libuv handles we put on Node's own event loop. The node binary exports the symbols.
//!
//! All of this lives on the thread that runs JavaScript; nothing here is `Send`.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

const UV_CHECK: c_int = 2;
const UV_IDLE: c_int = 6;
const UV_POLL: c_int = 8;
const UV_PREPARE: c_int = 9;
const UV_TIMER: c_int = 13;
const UV_READABLE: c_int = 1;

type RawHandle = *mut c_void;
type PollCallback = extern "C" fn(RawHandle, c_int, c_int);
type PlainCallback = extern "C" fn(RawHandle);

// https://docs.libuv.org/en/v1.x/handle.html, poll.html, prepare.html, check.html, timer.html, idle.html
unsafe extern "C" {
    fn uv_backend_fd(event_loop: *mut c_void) -> c_int;
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_handle_set_data(handle: RawHandle, data: *mut c_void);
    fn uv_handle_get_data(handle: RawHandle) -> *mut c_void;
    fn uv_close(handle: RawHandle, callback: Option<PlainCallback>);
    fn uv_ref(handle: RawHandle);
    fn uv_unref(handle: RawHandle);
    fn uv_poll_init(event_loop: *mut c_void, handle: RawHandle, fd: c_int) -> c_int;
    fn uv_poll_start(handle: RawHandle, events: c_int, callback: PollCallback) -> c_int;
    fn uv_poll_stop(handle: RawHandle) -> c_int;
    fn uv_prepare_init(event_loop: *mut c_void, handle: RawHandle) -> c_int;
    fn uv_prepare_start(handle: RawHandle, callback: PlainCallback) -> c_int;
    fn uv_check_init(event_loop: *mut c_void, handle: RawHandle) -> c_int;
    fn uv_check_start(handle: RawHandle, callback: PlainCallback) -> c_int;
    fn uv_idle_init(event_loop: *mut c_void, handle: RawHandle) -> c_int;
    fn uv_idle_start(handle: RawHandle, callback: PlainCallback) -> c_int;
    fn uv_idle_stop(handle: RawHandle) -> c_int;
    fn uv_timer_init(event_loop: *mut c_void, handle: RawHandle) -> c_int;
    fn uv_timer_start(handle: RawHandle, callback: PlainCallback, after: u64, every: u64) -> c_int;
}

/// The event loop of the thread that loaded the addon.
#[derive(Clone, Copy)]
pub struct Loop {
    raw: *mut c_void,
    not_send: PhantomData<*mut ()>,
}

impl Loop {
    /// # Safety
    /// `raw` is the `uv_loop_t` of the calling thread and outlives every handle made on it.
    pub unsafe fn from_raw(raw: *mut c_void) -> Self {
        Self { raw, not_send: PhantomData }
    }
}

/// What a [`Poll`] has seen: its descriptor is readable, or an error will be read from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// After an error (of the other end, which died) libuv watches nothing until it is told to
    /// again.
    pub stopped: bool,
}

/// What libuv's callbacks find behind a handle's data pointer.
enum OnEvent {
    Ready(Box<dyn Fn(Ready)>),
    Turn(Box<dyn Fn()>),
}

/// A libuv handle and the closure that it calls; closed and freed when dropped.
///
/// The closure must not drop its own handle's last owner while it holds a borrow of what that
/// owner's drop needs; freeing itself is deferred by libuv to the end of the turn, so dropping a
/// handle from inside of its own closure is fine.
struct Handle {
    raw: RawHandle,
}

impl Handle {
    fn new(
        kind: c_int,
        on_event: OnEvent,
        init: impl FnOnce(RawHandle) -> c_int,
    ) -> io::Result<Self> {
        // SAFETY: the size of a known kind of handle.
        let size = unsafe { uv_handle_size(kind) };
        // libuv wants the memory aligned like a pointer-laden C struct.
        let memory = vec![0_u128; size.div_ceil(size_of::<u128>())].into_boxed_slice();
        let raw: RawHandle = Box::into_raw(memory).cast();
        let status = init(raw);
        if status < 0 {
            // SAFETY: made by Box::into_raw above; libuv did not take it.
            drop(unsafe { Self::memory_from(raw, kind) });
            return Err(io::Error::from_raw_os_error(-status));
        }
        let data = Box::into_raw(Box::new((kind, on_event)));
        // SAFETY: the handle is initialised; `data` lives until `on_closed`.
        unsafe { uv_handle_set_data(raw, data.cast()) };
        Ok(Self { raw })
    }

    /// # Safety
    /// `raw` was made by `new` for a handle of this `kind`, and is not used afterwards.
    unsafe fn memory_from(raw: RawHandle, kind: c_int) -> Box<[u128]> {
        // SAFETY: as in `new`; the length is computed in the same way.
        unsafe {
            let length = uv_handle_size(kind).div_ceil(size_of::<u128>());
            Box::from_raw(std::ptr::slice_from_raw_parts_mut(raw.cast::<u128>(), length))
        }
    }

    fn set_ref(&self, referenced: bool) {
        // SAFETY: an initialised handle that is not closed before drop.
        unsafe {
            if referenced {
                uv_ref(self.raw);
            } else {
                uv_unref(self.raw);
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: closed once, here; the memory is freed when libuv calls `on_closed`.
        unsafe { uv_close(self.raw, Some(on_closed)) };
    }
}

extern "C" fn on_closed(raw: RawHandle) {
    // SAFETY: libuv is done with the handle; both boxes were made in `Handle::new`.
    unsafe {
        let data = Box::from_raw(uv_handle_get_data(raw).cast::<(c_int, OnEvent)>());
        drop(Handle::memory_from(raw, data.0));
    }
}

extern "C" fn on_ready(raw: RawHandle, status: c_int, _events: c_int) {
    // SAFETY: set in `Handle::new`, freed only in `on_closed`.
    let (_, on_event) = unsafe { &*uv_handle_get_data(raw).cast::<(c_int, OnEvent)>() };
    if let OnEvent::Ready(callback) = on_event {
        // An error is found by the read that follows.
        callback(Ready { stopped: status < 0 });
    }
}

extern "C" fn on_turn(raw: RawHandle) {
    // SAFETY: set in `Handle::new`, freed only in `on_closed`.
    let (_, on_event) = unsafe { &*uv_handle_get_data(raw).cast::<(c_int, OnEvent)>() };
    if let OnEvent::Turn(callback) = on_event {
        callback();
    }
}

/// Tells when a descriptor is readable (level-triggered).
///
/// The descriptor must stay open as long as this lives: declare it after the `Poll` in a struct,
/// for fields are dropped in order.
pub struct Poll {
    handle: Handle,
}

impl Poll {
    /// Watches nothing until [`watch`](Self::watch).
    pub fn new(
        event_loop: Loop,
        fd: BorrowedFd<'_>,
        callback: impl Fn(Ready) + 'static,
    ) -> io::Result<Self> {
        let handle = Handle::new(UV_POLL, OnEvent::Ready(Box::new(callback)), |raw| {
            // SAFETY: memory of the right size, on the loop of this thread.
            unsafe { uv_poll_init(event_loop.raw, raw, fd.as_raw_fd()) }
        })?;
        Ok(Self { handle })
    }

    /// Begins to watch, or stops.
    pub fn watch(&self, wanted: bool) -> io::Result<()> {
        // SAFETY: an initialised handle that is not closed before drop.
        let status = unsafe {
            if wanted {
                uv_poll_start(self.handle.raw, UV_READABLE, on_ready)
            } else {
                uv_poll_stop(self.handle.raw)
            }
        };
        if status < 0 { Err(io::Error::from_raw_os_error(-status)) } else { Ok(()) }
    }

    /// Whether this alone keeps the event loop running.
    pub fn set_ref(&self, referenced: bool) {
        self.handle.set_ref(referenced);
    }
}

/// Tells when a descriptor is readable (level-triggered), in turns with all others that wait for the
/// same socket in this way, in whatever process: only the one that has waited longest is told, of
/// those whose loop is waiting just then. Keeps nothing alive.
///
/// libuv cannot do so, but its epoll instance can: `EPOLLEXCLUSIVE`, see `epoll_ctl(2)`. What libuv
/// has registered is registered anew, and it never changes that by itself: the only thing that it
/// does with a descriptor whose events stay the same is to delete it. The order is that in which
/// they were registered.
///
/// The descriptor must stay open as long as this lives, as for [`Poll`].
pub struct ExclusivePoll {
    _poll: Poll,
    event_loop: Loop,
    fd: RawFd,
    /// libuv registers what is new when it waits, so it has not done that before the second time.
    known: Cell<bool>,
}

impl ExclusivePoll {
    /// Waits like any [`Poll`] until [`renew`](Self::renew).
    pub fn new(
        event_loop: Loop,
        fd: BorrowedFd<'_>,
        callback: impl Fn() + 'static,
    ) -> io::Result<Self> {
        let poll = Poll::new(event_loop, fd, move |_| callback())?;
        poll.watch(true)?;
        poll.set_ref(false);
        Ok(Self { _poll: poll, event_loop, fd: fd.as_raw_fd(), known: Cell::new(false) })
    }

    /// Goes behind all others; `false` if libuv has to wait once before. Only to be called right
    /// before it does.
    pub fn renew(&self) -> io::Result<bool> {
        if !self.known.replace(true) {
            return Ok(false);
        }
        let events = (libc::EPOLLIN | libc::EPOLLEXCLUSIVE).cast_unsigned();
        // As libuv keeps it: the descriptor, by which it finds its handle. It is an `int` in the same
        // place, on the little-endian machines that there are binaries for.
        let mut event = libc::epoll_event { events, u64: self.fd.unsigned_abs().into() };
        self.forget();
        // SAFETY: the loop is alive, and so both descriptors are open; `event` is valid meanwhile.
        let status = unsafe {
            let epoll = uv_backend_fd(self.event_loop.raw);
            libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, self.fd, &raw mut event)
        };
        Errno::result(status)?;
        Ok(true)
    }

    fn forget(&self) {
        // SAFETY: as in `renew`. It needs no event, and fails only if nothing is registered.
        unsafe {
            let epoll = uv_backend_fd(self.event_loop.raw);
            libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, self.fd, std::ptr::null_mut());
        }
    }
}

impl Drop for ExclusivePoll {
    fn drop(&mut self) {
        // libuv may put that off until the descriptor is closed. The socket is open elsewhere, so it
        // would stay registered, first in line and never renewed.
        self.forget();
    }
}

/// Calls a closure on every turn of the loop, right before it waits. Keeps nothing alive.
pub struct Prepare {
    _handle: Handle,
}

impl Prepare {
    pub fn new(event_loop: Loop, callback: impl Fn() + 'static) -> io::Result<Self> {
        let handle = Handle::new(UV_PREPARE, OnEvent::Turn(Box::new(callback)), |raw| {
            // SAFETY: memory of the right size, on the loop of this thread; start cannot fail
            // for an initialised handle with a callback.
            unsafe { uv_prepare_init(event_loop.raw, raw) | uv_prepare_start(raw, on_turn) }
        })?;
        handle.set_ref(false);
        Ok(Self { _handle: handle })
    }
}

/// Calls a closure on every turn of the loop, right after it waited and served what was ready.
/// Keeps nothing alive.
pub struct Check {
    _handle: Handle,
}

impl Check {
    pub fn new(event_loop: Loop, callback: impl Fn() + 'static) -> io::Result<Self> {
        let handle = Handle::new(UV_CHECK, OnEvent::Turn(Box::new(callback)), |raw| {
            // SAFETY: as for `Prepare`.
            unsafe { uv_check_init(event_loop.raw, raw) | uv_check_start(raw, on_turn) }
        })?;
        handle.set_ref(false);
        Ok(Self { _handle: handle })
    }
}

/// Makes the loop turn without waiting, while it is wanted. Keeps nothing alive.
pub struct Idle {
    handle: Handle,
}

impl Idle {
    pub fn new(event_loop: Loop) -> io::Result<Self> {
        let handle = Handle::new(UV_IDLE, OnEvent::Turn(Box::new(|| ())), |raw| {
            // SAFETY: as for `Prepare`.
            unsafe { uv_idle_init(event_loop.raw, raw) }
        })?;
        handle.set_ref(false);
        Ok(Self { handle })
    }

    /// Begins, or stops; nothing happens if that is so already.
    pub fn set_active(&self, active: bool) {
        // SAFETY: an initialised handle that is not closed before drop; start cannot fail with a
        // callback.
        let _ = unsafe {
            if active {
                uv_idle_start(self.handle.raw, on_turn)
            } else {
                uv_idle_stop(self.handle.raw)
            }
        };
    }
}

/// Calls a closure once, some time after each [`start`](Self::start). Keeps nothing alive.
pub struct Timer {
    handle: Handle,
}

impl Timer {
    pub fn new(event_loop: Loop, callback: impl Fn() + 'static) -> io::Result<Self> {
        let handle = Handle::new(UV_TIMER, OnEvent::Turn(Box::new(callback)), |raw| {
            // SAFETY: as for `Prepare`.
            unsafe { uv_timer_init(event_loop.raw, raw) }
        })?;
        handle.set_ref(false);
        Ok(Self { handle })
    }

    /// Begins to wait, or begins anew.
    pub fn start(&self, milliseconds: u64) {
        // SAFETY: an initialised handle that is not closed before drop; fails only without a
        // callback or for a handle that is being closed.
        let _ = unsafe { uv_timer_start(self.handle.raw, on_turn, milliseconds, 0) };
    }
}
