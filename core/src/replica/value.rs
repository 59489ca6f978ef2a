//! A value inside an item: what lib0 calls `any`, and JSON.

use crate::update::UpdateError;
use crate::wire::Reader;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use core::fmt::Write as _;
use std::collections::BTreeMap;

/// A value as JavaScript has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    BigInt(i64),
    String(String),
    Binary(Vec<u8>),
    Array(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Value {
    /// Reads a lib0 `any` value, of which [`crate::update`] has seen that it is not nested too deeply.
    pub(super) fn read_any(reader: &mut Reader<'_>) -> Result<Self, UpdateError> {
        Ok(match reader.byte()? {
            126 => Self::Null,
            125 => Self::Number(read_integer(reader)?),
            124 => Self::Number(f32::from_be_bytes(fixed(reader)?).into()),
            123 => Self::Number(f64::from_be_bytes(fixed(reader)?)),
            122 => Self::BigInt(i64::from_be_bytes(fixed(reader)?)),
            121 => Self::Bool(false),
            120 => Self::Bool(true),
            119 => Self::String(reader.var_str()?.to_owned()),
            118 => {
                let mut entries = BTreeMap::new();
                for _ in 0..reader.var_uint()? {
                    let key = reader.var_str()?.to_owned();
                    entries.insert(key, Self::read_any(reader)?);
                }
                Self::Object(entries)
            }
            117 => {
                let mut values = Vec::new();
                for _ in 0..reader.var_uint()? {
                    values.push(Self::read_any(reader)?);
                }
                Self::Array(values)
            }
            116 => Self::Binary(reader.var_bytes()?.to_vec()),
            _ => Self::Undefined,
        })
    }

    /// Reads JSON. What is none is `undefined`: that is how yjs once wrote it.
    pub(super) fn read_json(json: &str) -> Self {
        serde_json::from_str(json).map_or(Self::Undefined, Self::from_json)
    }

    fn from_json(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::String(text),
            serde_json::Value::Array(values) => {
                Self::Array(values.into_iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(entries) => {
                Self::Object(entries.into_iter().map(|(key, value)| (key, Self::from_json(value))).collect())
            }
        }
    }

    /// Appends it as `JSON.stringify` does, with an object's keys in order. What JSON does not have: bytes are
    /// `{"base64":"..."}`, a BigInt is its digits, and NaN, the infinities and `undefined` are null, except that
    /// an object's entry that is `undefined` is left out.
    pub(super) fn to_json(&self, out: &mut String) {
        match self {
            Self::Undefined | Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) if !number.is_finite() => out.push_str("null"),
            Self::Number(number) => push_number(*number, out),
            Self::BigInt(integer) => push_display(integer, out),
            Self::String(text) => push_quoted(text, out),
            Self::Binary(bytes) => {
                out.push_str("{\"base64\":\"");
                BASE64.encode_string(bytes, out);
                out.push_str("\"}");
            }
            Self::Array(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.to_json(out);
                }
                out.push(']');
            }
            Self::Object(entries) => {
                let mut object = Object::open(out);
                for (key, value) in entries.iter().filter(|(_, value)| **value != Self::Undefined) {
                    value.to_json(object.key(key));
                }
                object.close();
            }
        }
    }

    /// Appends it as JavaScript's `String(value)` does. Yjs writes attributes in XML so.
    pub(super) fn to_text(&self, out: &mut String) {
        match self {
            Self::Undefined => out.push_str("undefined"),
            Self::Null => out.push_str("null"),
            Self::Bool(value) => push_display(value, out),
            Self::Number(number) if number.is_nan() => out.push_str("NaN"),
            Self::Number(number) if number.is_infinite() => {
                out.push_str(if *number > 0.0 { "Infinity" } else { "-Infinity" });
            }
            Self::Number(number) => push_number(*number, out),
            Self::BigInt(integer) => push_display(integer, out),
            Self::String(text) => out.push_str(text),
            Self::Binary(bytes) => push_list(bytes, |byte, out| push_display(byte, out), out),
            Self::Array(values) => push_list(values, Self::to_text_in_list, out),
            Self::Object(_) => out.push_str("[object Object]"),
        }
    }

    fn to_text_in_list(&self, out: &mut String) {
        if !matches!(self, Self::Undefined | Self::Null) {
            self.to_text(out);
        }
    }
}

/// A JSON object while it is written.
pub(super) struct Object<'o> {
    out: &'o mut String,
    empty: bool,
}

impl<'o> Object<'o> {
    pub(super) fn open(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// Appends a key; its value belongs behind it.
    pub(super) fn key(&mut self, key: &str) -> &mut String {
        if !core::mem::replace(&mut self.empty, false) {
            self.out.push(',');
        }
        push_quoted(key, self.out);
        self.out.push(':');
        self.out
    }

    pub(super) fn close(self) {
        self.out.push('}');
    }
}

/// Appends a JSON string.
pub(super) fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter < ' ' || letter == '"' || letter == '\\') {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut letters = special.chars();
        match letters.next() {
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(letter @ ('"' | '\\')) => out.extend(['\\', letter]),
            Some(control) => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = letters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn push_list<T>(values: &[T], push: impl Fn(&T, &mut String), out: &mut String) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(value, out);
    }
}

fn push_display(value: &impl core::fmt::Display, out: &mut String) {
    let _ = write!(out, "{value}");
}

/// Appends a finite number as JavaScript writes it (ECMA-262, `Number::toString`).
fn push_number(number: f64, out: &mut String) {
    if number == 0.0 {
        // Also if it is negative.
        return out.push('0');
    }
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    // The point stands behind this many digits.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    if number < 0.0 {
        out.push('-');
    }
    match usize::try_from(point) {
        Ok(point @ 1..=21) => match digits.split_at_checked(point) {
            Some((whole, "")) => out.push_str(whole),
            Some((whole, fraction)) => out.extend([whole, ".", fraction]),
            None => {
                out.push_str(&digits);
                out.extend(core::iter::repeat_n('0', point - digits.len()));
            }
        },
        Ok(_) | Err(_) if (-5..=0).contains(&point) => {
            out.push_str("0.");
            out.extend((point..0).map(|_| '0'));
            out.push_str(&digits);
        }
        Ok(_) | Err(_) => {
            out.push_str(mantissa);
            let _ = write!(out, "e{:+}", point - 1);
        }
    }
}

fn fixed<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], UpdateError> {
    let mut bytes = [0; N];
    bytes.copy_from_slice(reader.bytes(N)?);
    Ok(bytes)
}

/// lib0's `readVarInt`: the first byte has 6 bits and the sign, the others 7 bits.
fn read_integer(reader: &mut Reader<'_>) -> Result<f64, UpdateError> {
    let mut byte = reader.byte()?;
    let negative = byte & 0x40 != 0;
    let mut value = f64::from(byte & 0x3f);
    let mut scale = 64.0;
    while byte >= 0x80 {
        byte = reader.byte()?;
        value += f64::from(byte & 0x7f) * scale;
        scale *= 128.0;
    }
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        let written = |number: f64| {
            let mut out = String::new();
            push_number(number, &mut out);
            out
        };
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-12.5, "-12.5"),
            (0.1, "0.1"),
            (100.0, "100"),
            (123_456_789.125, "123456789.125"),
            (1e20, "100000000000000000000"),
            (123e18, "123000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (0.000_001, "0.000001"),
            (0.000_012_5, "0.0000125"),
            (1e-7, "1e-7"),
            (-1.25e-9, "-1.25e-9"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
        ];
        for (number, expected) in cases {
            assert_eq!(written(number), expected);
        }
    }

    #[test]
    fn strings_are_quoted_as_json() {
        let text = "a \"b\" \\ \n\r\t\u{1}\u{7f} ä😀\u{2028}";
        let mut out = String::new();
        push_quoted(text, &mut out);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
    }

    #[test]
    fn what_json_does_not_have_becomes_something_valid() {
        let value = Value::Array(vec![
            Value::Undefined,
            Value::Number(f64::NAN),
            Value::BigInt(i64::MAX),
            Value::Binary(vec![1, 2, 3]),
            Value::Object([("a".to_owned(), Value::Undefined), ("b".to_owned(), Value::Null)].into()),
        ]);
        let mut out = String::new();
        value.to_json(&mut out);
        assert_eq!(out, r#"[null,null,9223372036854775807,{"base64":"AQID"},{"b":null}]"#);
    }
}
