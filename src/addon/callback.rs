//! Calling JavaScript from libuv's callbacks, and the values that are given to it.
//!
//! The only file besides `sys/` with `unsafe`: it is about raw N-API values.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::AtomicU32;

use napi::JsValue;
use napi::bindgen_prelude::{
    Env, FromNapiValue, Function, Result, ToNapiValue, TypeName, Uint8Array, Uint32Array,
    ValidateNapiValue, ValueType, check_status, sys,
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

/// Calls one of `napi_get_value_string_*`, which are of another type in a test than in the addon.
/// Returns the length of the text; with an empty buffer, the length that is needed.
macro_rules! read {
    ($text:expr, $function:ident, $buffer:expr) => {{
        let (text, buffer): (&Text<'_>, &mut [_]) = ($text, $buffer);
        let mut length = 0;
        let place = if buffer.is_empty() { ptr::null_mut() } else { buffer.as_mut_ptr() };
        // SAFETY: during the call from JavaScript that this is an argument of; `buffer` is as long
        // as is said. It fails for what is not a string, and `length` is 0 then.
        unsafe { sys::$function(text.env, text.raw, place, buffer.len(), &raw mut length) };
        length
    }};
}

impl Text<'_> {
    /// How much longer than the text a buffer has to be.
    pub const ZERO: usize = 1;

    /// How many UTF-16 code units it has.
    pub fn units(&self) -> usize {
        read!(self, napi_get_value_string_latin1, &mut [])
    }

    /// How many bytes it has in UTF-8. Looks at all of it.
    pub fn utf8_length(&self) -> usize {
        read!(self, napi_get_value_string_utf8, &mut [])
    }

    /// Writes what fits as UTF-8, with a zero behind it, and returns the length without that.
    pub fn write_utf8(&self, buffer: &mut [u8]) -> usize {
        // SAFETY: `c_char` is as large as `u8` and any value is valid.
        let buffer = unsafe { &mut *(ptr::from_mut(buffer) as *mut [std::ffi::c_char]) };
        read!(self, napi_get_value_string_utf8, buffer)
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
        let length = read!(self, napi_get_value_string_utf16, units);
        units.truncate(length);
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

/// What a [`TextFunction`] does with a string and a number.
pub type OnText = Box<dyn Fn(&Text<'_>, u32) -> i64>;

/// A function for JavaScript, `(text, number) => number`. A method of a class does the same, but
/// each call of one looks up its object, which takes longer than to send a short message.
pub struct TextFunction(OnText);

impl TextFunction {
    pub fn new(function: impl Fn(&Text<'_>, u32) -> i64 + 'static) -> Self {
        Self(Box::new(function))
    }
}

impl TypeName for TextFunction {
    fn type_name() -> &'static str {
        "function"
    }

    fn value_type() -> ValueType {
        ValueType::Function
    }
}

impl ToNapiValue for TextFunction {
    // SAFETY: the trait's, that `env` is valid and this is its thread, within a handle scope.
    unsafe fn to_napi_value(env: sys::napi_env, Self(function): Self) -> Result<sys::napi_value> {
        let data = Box::into_raw(Box::new(function)).cast();
        let mut value = ptr::null_mut();
        // SAFETY: as the caller promises; `data` is freed with the function, once.
        unsafe {
            let name = ptr::null();
            check_status!(sys::napi_create_function(
                env,
                name,
                0,
                Some(call_with_text),
                data,
                &raw mut value
            ))?;
            check_status!(sys::napi_add_finalizer(
                env,
                value,
                data,
                Some(free_function),
                ptr::null_mut(),
                ptr::null_mut()
            ))?;
        }
        Ok(value)
    }
}

unsafe extern "C" fn call_with_text(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    let mut count = 2;
    let mut arguments = [ptr::null_mut(); 2];
    let mut data = ptr::null_mut();
    let mut number = 0;
    let mut result = ptr::null_mut();
    // SAFETY: called by Node with what `to_napi_value` gave it; it fills in `undefined` for missing
    // arguments, and what is not of its type is an empty text, or 0.
    unsafe {
        let (values, data) = (arguments.as_mut_ptr(), &raw mut data);
        sys::napi_get_cb_info(env, info, &raw mut count, values, ptr::null_mut(), data);
        sys::napi_get_value_uint32(env, arguments[1], &raw mut number);
        let function = &*(*data).cast::<OnText>();
        let text = Text { env, raw: arguments[0], call: PhantomData };
        sys::napi_create_int64(env, function(&text, number), &raw mut result);
    }
    result
}

unsafe extern "C" fn free_function(
    _env: sys::napi_env,
    data: *mut std::ffi::c_void,
    _hint: *mut std::ffi::c_void,
) {
    // SAFETY: made in `to_napi_value`; Node calls this once, when nobody has the function any more.
    drop(unsafe { Box::from_raw(data.cast::<OnText>()) });
}

/// A number of `owner`'s as an array of one element, which JavaScript may write at any time. It
/// costs nothing, while a method that is told the number takes as long as a short system call.
pub fn shared_number<T: 'static>(
    owner: Rc<T>,
    number: impl FnOnce(&T) -> &AtomicU32,
) -> Uint32Array {
    let address = number(&owner).as_ptr();
    // SAFETY: it is where it is until `owner` goes, which is when the array does; JavaScript writes
    // it on the thread of `owner`, and what reads it elsewhere does so atomically.
    unsafe { Uint32Array::with_external_data(address, 1, move |_, _| drop(owner)) }
}

/// Some of the bytes of `owner`, as they are there. JavaScript must not write them.
pub fn shared_bytes<T: 'static>(owner: Rc<T>, bytes: impl FnOnce(&T) -> &[u8]) -> Uint8Array {
    let bytes = bytes(&owner);
    let (address, length) = (bytes.as_ptr().cast_mut(), bytes.len());
    // SAFETY: they are where they are until `owner` goes, which is when the array does.
    unsafe { Uint8Array::with_external_data(address, length, move |_, _| drop(owner)) }
}

/// The event loop of the calling thread.
pub fn event_loop(env: Env) -> Result<Loop> {
    let raw = env.get_uv_event_loop()?;
    // SAFETY: the loop of this environment, which outlives every object in it.
    Ok(unsafe { Loop::from_raw(raw.cast()) })
}
