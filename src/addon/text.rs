//! Text of a message, as it came: a string in JavaScript.

use napi::bindgen_prelude::{Result, ToNapiValue, TypeName, ValueType, sys};

use super::callback::new_string;

/// UTF-8 of a user's, made by the other end and checked when it arrived.
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
    /// ASCII is by far the most common and can be copied as it is; V8 decodes the rest.
    unsafe fn to_napi_value(env: sys::napi_env, Self(text): Self) -> Result<sys::napi_value> {
        // SAFETY: as the caller promises.
        unsafe { new_string(env, &text) }
    }
}
