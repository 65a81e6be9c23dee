//! Calling JavaScript from libuv's callbacks.
//!
//! The only file besides `sys/` with `unsafe`: it is about raw N-API values.

use std::cell::Cell;
use std::ptr;

use napi::JsValue;
use napi::bindgen_prelude::{
    Env, Function, Result, ToNapiValue, TypeName, ValueType, check_status, sys,
};

use crate::sys::uv::Loop;

/// A function of JavaScript's that is called from the event loop, not from JavaScript.
///
/// Like a callback of Node's own: ticks and microtasks run after it, and what it throws is an
/// uncaught exception.
pub struct Callback {
    env: sys::napi_env,
    function: Cell<sys::napi_ref>,
}

impl Callback {
    pub fn new<A, R>(env: Env, function: &Function<'_, A, R>) -> Result<Self>
    where
        A: napi::bindgen_prelude::JsValuesTupleIntoVec,
    {
        let mut reference = ptr::null_mut();
        // SAFETY: both are valid during this call from JavaScript.
        check_status!(unsafe {
            sys::napi_create_reference(env.raw(), function.raw(), 1, &raw mut reference)
        })?;
        Ok(Self { env: env.raw(), function: Cell::new(reference) })
    }

    /// Calls the function with one argument.
    pub fn call<T: ToNapiValue>(&self, argument: T) {
        if self.function.get().is_null() {
            return;
        }
        let mut scope = ptr::null_mut();
        // SAFETY: on the thread of `env`, which lives as long as the class that owns this; all
        // values are used within `scope` alone.
        unsafe {
            if sys::napi_open_handle_scope(self.env, &raw mut scope) != sys::Status::napi_ok {
                return;
            }
            self.call_in_scope(argument);
            sys::napi_close_handle_scope(self.env, scope);
        }
    }

    /// # Safety
    /// On the thread of `env`, within a handle scope.
    unsafe fn call_in_scope<T: ToNapiValue>(&self, argument: T) {
        let mut function = ptr::null_mut();
        let mut receiver = ptr::null_mut();
        // SAFETY: as the caller promises; `function` is a reference made in `new`.
        unsafe {
            let found =
                sys::napi_get_reference_value(self.env, self.function.get(), &raw mut function);
            if found != sys::Status::napi_ok
                || function.is_null()
                || sys::napi_get_global(self.env, &raw mut receiver) != sys::Status::napi_ok
            {
                return;
            }
            let Ok(argument) = T::to_napi_value(self.env, argument) else {
                return;
            };
            let mut result = ptr::null_mut();
            let status = sys::napi_make_callback(
                self.env,
                ptr::null_mut(),
                receiver,
                function,
                1,
                &raw const argument,
                &raw mut result,
            );
            if status == sys::Status::napi_pending_exception {
                let mut error = ptr::null_mut();
                sys::napi_get_and_clear_last_exception(self.env, &raw mut error);
                sys::napi_fatal_exception(self.env, error);
            }
        }
    }
}

impl Callback {
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

/// Text of a message, as it came, to be a string in JavaScript.
pub struct Text(String);

impl Text {
    /// `None` if it is not UTF-8.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        String::from_utf8(bytes).ok().map(Self)
    }
}

impl TypeName for Text {
    fn type_name() -> &'static str {
        "string"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

impl ToNapiValue for Text {
    // SAFETY: the trait's, that `env` is valid and this is its thread, within a handle scope.
    unsafe fn to_napi_value(env: sys::napi_env, Self(text): Self) -> Result<sys::napi_value> {
        // ASCII is by far the most common and is only copied; V8 decodes the rest.
        let create = if text.is_ascii() {
            sys::napi_create_string_latin1
        } else {
            sys::napi_create_string_utf8
        };
        let length = isize::try_from(text.len()).unwrap_or(isize::MAX);
        let mut value = ptr::null_mut();
        // SAFETY: as the caller promises; `length` bytes are readable.
        check_status!(unsafe { create(env, text.as_ptr().cast(), length, &raw mut value) })?;
        Ok(value)
    }
}

/// The event loop of the calling thread.
pub fn event_loop(env: Env) -> Result<Loop> {
    let raw = env.get_uv_event_loop()?;
    // SAFETY: the loop of this environment, which outlives every object in it.
    Ok(unsafe { Loop::from_raw(raw.cast()) })
}
