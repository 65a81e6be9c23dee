//! Calling JavaScript from libuv's callbacks, and the values that are given to it.
//!
//! The only file besides `sys/` with `unsafe`: it is about raw N-API values.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;

use napi::JsValue;
use napi::bindgen_prelude::{
    Env, FromNapiValue, Function, Result, ToNapiValue, TypeName, ValidateNapiValue, ValueType,
    check_status, sys,
};

use super::event::EventType;
use crate::sys::uv::Loop;

/// What JavaScript gives: called with an [`EventType`] and what is said with it.
pub type OnEvent<'call> = Function<'call, (), ()>;

/// A function of JavaScript's that is called from the event loop, not from JavaScript.
///
/// Like a callback of Node's own: ticks and microtasks run after it, and what it throws is an
/// uncaught exception.
pub struct Callback {
    env: sys::napi_env,
    function: Cell<sys::napi_ref>,
}

/// Within it values of JavaScript's can be made and given to a [`Callback`].
pub struct Scope<'scope> {
    env: sys::napi_env,
    function: sys::napi_value,
    receiver: sys::napi_value,
    values: PhantomData<&'scope ()>,
}

/// A value of JavaScript's, which lives as long as the scope that it was made in.
#[derive(Clone, Copy)]
pub struct Value<'scope> {
    raw: sys::napi_value,
    scope: PhantomData<&'scope ()>,
}

/// How many arguments an event has at most, with its type.
const MAX_ARGUMENTS: usize = 4;

impl Callback {
    pub fn new(env: Env, function: &OnEvent<'_>) -> Result<Self> {
        let mut reference = ptr::null_mut();
        // SAFETY: both are valid during this call from JavaScript.
        check_status!(unsafe {
            sys::napi_create_reference(env.raw(), function.raw(), 1, &raw mut reference)
        })?;
        Ok(Self { env: env.raw(), function: Cell::new(reference) })
    }

    /// Does something with values of JavaScript's. Nothing, once the function has been let go.
    pub fn scope<R>(&self, act: impl FnOnce(&Scope<'_>) -> R) -> Option<R> {
        if self.function.get().is_null() {
            return None;
        }
        let mut handles = ptr::null_mut();
        let mut function = ptr::null_mut();
        let mut receiver = ptr::null_mut();
        // SAFETY: on the thread of `env`, which lives as long as the class that owns this; all
        // values are used within the handle scope alone, for `act` cannot keep them.
        unsafe {
            if sys::napi_open_handle_scope(self.env, &raw mut handles) != sys::Status::napi_ok {
                return None;
            }
            sys::napi_get_reference_value(self.env, self.function.get(), &raw mut function);
            sys::napi_get_global(self.env, &raw mut receiver);
            let scope = Scope { env: self.env, function, receiver, values: PhantomData };
            let result = (!function.is_null()).then(|| act(&scope));
            sys::napi_close_handle_scope(self.env, handles);
            result
        }
    }

    /// Lets the function go; nothing is called any more. What it refers to would otherwise live as
    /// long as the object that owns this, which it usually refers to itself.
    pub fn release(&self) {
        let reference = self.function.replace(ptr::null_mut());
        if !reference.is_null() {
            // SAFETY: made in `new`, deleted once: it is null from now on. A call that is under way
            // holds the function in its handle scope.
            unsafe { sys::napi_delete_reference(self.env, reference) };
        }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.release();
    }
}

impl<'scope> Scope<'scope> {
    /// Calls the function. What cannot be made a value is not told: JavaScript is ending.
    pub fn call(&self, event: EventType, arguments: &[Option<Value<'scope>>]) {
        let mut raw = [ptr::null_mut(); MAX_ARGUMENTS];
        let given = [self.value(event)].into_iter().chain(arguments.iter().copied());
        let mut count = 0;
        for (place, value) in raw.iter_mut().zip(given) {
            let Some(value) = value else { return };
            *place = value.raw;
            count += 1;
        }
        let mut result = ptr::null_mut();
        // SAFETY: all values are of this scope, which is open; `count` of them are set.
        unsafe {
            let status = sys::napi_make_callback(
                self.env,
                ptr::null_mut(),
                self.receiver,
                self.function,
                count,
                raw.as_ptr(),
                &raw mut result,
            );
            if status == sys::Status::napi_pending_exception {
                let mut error = ptr::null_mut();
                sys::napi_get_and_clear_last_exception(self.env, &raw mut error);
                sys::napi_fatal_exception(self.env, error);
            }
        }
    }

    pub fn value<T: ToNapiValue>(&self, value: T) -> Option<Value<'scope>> {
        // SAFETY: the scope is open, and this is its thread.
        let raw = unsafe { T::to_napi_value(self.env, value) }.ok()?;
        Some(Value { raw, scope: PhantomData })
    }

    /// A string of characters below 256, a byte each. ASCII is a part of them.
    pub fn latin1(&self, text: &[u8]) -> Option<Value<'scope>> {
        // SAFETY: the bytes are readable.
        Self::make(|raw| unsafe {
            sys::napi_create_string_latin1(self.env, text.as_ptr().cast(), length(text), raw)
        })
    }

    pub fn utf8(&self, text: &str) -> Option<Value<'scope>> {
        // SAFETY: the bytes are readable.
        Self::make(|raw| unsafe {
            sys::napi_create_string_utf8(
                self.env,
                text.as_ptr().cast(),
                length(text.as_bytes()),
                raw,
            )
        })
    }

    /// A string of UTF-16 code units, two bytes each, aligned; `None` if they are not.
    pub fn utf16(&self, bytes: &[u8]) -> Option<Value<'scope>> {
        // SAFETY: any two bytes are a code unit.
        let ([], units, []) = (unsafe { bytes.align_to::<u16>() }) else { return None };
        // SAFETY: the units are readable.
        Self::make(|raw| unsafe {
            sys::napi_create_string_utf16(self.env, units.as_ptr(), length(units), raw)
        })
    }

    /// A `Buffer` with a copy of the bytes.
    pub fn buffer(&self, bytes: &[u8]) -> Option<Value<'scope>> {
        let mut copy = ptr::null_mut();
        // SAFETY: the bytes are readable.
        Self::make(|raw| unsafe {
            let data = bytes.as_ptr().cast();
            sys::napi_create_buffer_copy(self.env, bytes.len(), data, &raw mut copy, raw)
        })
    }

    fn make(
        create: impl FnOnce(*mut sys::napi_value) -> sys::napi_status,
    ) -> Option<Value<'scope>> {
        let mut raw = ptr::null_mut();
        (create(&raw mut raw) == sys::Status::napi_ok).then_some(Value { raw, scope: PhantomData })
    }
}

fn length<T>(of: &[T]) -> isize {
    // A slice is never longer.
    isize::try_from(of.len()).unwrap_or(isize::MAX)
}

/// A string of JavaScript's, as an argument: copied only to where it is needed.
pub struct Text<'call> {
    env: sys::napi_env,
    raw: sys::napi_value,
    call: PhantomData<&'call ()>,
}

/// One of `napi_get_value_string_*`.
///
/// # Safety
/// Both values are valid, and as many places can be written as is said.
type Read<T> =
    unsafe fn(sys::napi_env, sys::napi_value, *mut T, usize, *mut usize) -> sys::napi_status;

impl Text<'_> {
    /// How much longer than the text a buffer has to be.
    pub const ZERO: usize = 1;

    /// How many UTF-16 code units it has.
    pub fn units(&self) -> usize {
        self.read(sys::napi_get_value_string_latin1, &mut [])
    }

    /// How many bytes it has in UTF-8. Looks at all of it.
    pub fn utf8_length(&self) -> usize {
        self.read(sys::napi_get_value_string_utf8, &mut [])
    }

    /// Writes what fits as UTF-8, with a zero behind it, and returns the length without that.
    pub fn write_utf8(&self, buffer: &mut [u8]) -> usize {
        // SAFETY: `c_char` is as large as `u8` and any value is valid.
        let buffer = unsafe { &mut *(ptr::from_mut(buffer) as *mut [std::ffi::c_char]) };
        self.read(sys::napi_get_value_string_utf8, buffer)
    }

    pub fn to_utf8(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.utf8_length() + Self::ZERO];
        let length = self.write_utf8(&mut bytes);
        bytes.truncate(length);
        bytes
    }

    /// Puts its code units in the place of what is in `units`.
    pub fn write_utf16(&self, units: &mut Vec<u16>) {
        units.clear();
        units.resize(self.units() + Self::ZERO, 0);
        let length = self.read(sys::napi_get_value_string_utf16, units);
        units.truncate(length);
    }

    /// With an empty buffer: the length that is needed.
    fn read<T>(&self, read: Read<T>, buffer: &mut [T]) -> usize {
        let mut length = 0;
        let place = if buffer.is_empty() { ptr::null_mut() } else { buffer.as_mut_ptr() };
        // SAFETY: during the call from JavaScript that this is an argument of; `buffer` is as long
        // as is said. It fails for what is not a string, and `length` is 0 then.
        unsafe { read(self.env, self.raw, place, buffer.len(), &raw mut length) };
        length
    }
}

impl TypeName for Text<'_> {
    fn type_name() -> &'static str {
        "string"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

impl ValidateNapiValue for Text<'_> {}

impl FromNapiValue for Text<'_> {
    // SAFETY: the trait's, that both are valid.
    unsafe fn from_napi_value(env: sys::napi_env, raw: sys::napi_value) -> Result<Self> {
        Ok(Self { env, raw, call: PhantomData })
    }
}

/// The event loop of the calling thread.
pub fn event_loop(env: Env) -> Result<Loop> {
    let raw = env.get_uv_event_loop()?;
    // SAFETY: the loop of this environment, which outlives every object in it.
    Ok(unsafe { Loop::from_raw(raw.cast()) })
}
