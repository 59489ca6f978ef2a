//! A value inside an item: what lib0 calls `any`, and JSON.

use super::content::Notation;
use crate::collections::Map;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use core::fmt::{Display, Write as _};
use yrs::encoding::read::Read as _;
use yrs::updates::decoder::{Decoder as _, DecoderV1};
use yrs::{Any, Number};

/// The values of an item, as many as it is long.
pub(super) fn read(notation: Notation, bytes: &[u8], count: u32) -> impl Iterator<Item = Any> {
    let mut decoder = DecoderV1::from(bytes);
    let next = move |_| match notation {
        Notation::Any => decoder.read_any().ok(),
        Notation::Json => decoder.read_string().ok().map(read_json),
    };
    (0..count).map_while(next)
}

/// A value from JSON. What is none is `undefined`: that is how yjs once wrote it.
pub(super) fn read_json(json: &str) -> Any {
    Any::from_json(json).unwrap_or(Any::Undefined)
}

/// Appends a value as `JSON.stringify` does, with an object's keys in order. What JSON does not have: bytes are
/// `{"base64":"..."}`, a BigInt is its digits, and NaN, the infinities and `undefined` are null, except that an
/// object's entry that is `undefined` is left out.
pub(super) fn push_json(value: &Any, out: &mut String) {
    match value {
        Any::Undefined | Any::Null => out.push_str("null"),
        Any::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Any::Number(Number::Int(integer)) => push_display(integer, out),
        Any::Number(Number::Float(number)) if number.is_finite() => push_number(*number, out),
        Any::Number(Number::Float(_)) => out.push_str("null"),
        Any::String(text) => push_quoted(text, out),
        Any::Buffer(bytes) => {
            out.push_str("{\"base64\":\"");
            BASE64.encode_string(bytes, out);
            out.push_str("\"}");
        }
        Any::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_json(value, out);
            }
            out.push(']');
        }
        Any::Map(_) => {
            let mut object = Object::open(out);
            for (key, value) in entries(value).iter().filter(|(_, value)| *value != Any::Undefined) {
                push_json(value, object.key(key));
            }
            object.close();
        }
    }
}

/// Appends a value as JavaScript's `String(value)` does. Yjs writes attributes in XML so.
pub(super) fn push_text(value: &Any, out: &mut String) {
    match value {
        Any::Undefined => out.push_str("undefined"),
        Any::Null => out.push_str("null"),
        Any::Bool(value) => push_display(value, out),
        Any::Number(Number::Int(integer)) => push_display(integer, out),
        Any::Number(Number::Float(number)) if number.is_nan() => out.push_str("NaN"),
        Any::Number(Number::Float(number)) if number.is_infinite() => {
            out.push_str(if *number > 0.0 { "Infinity" } else { "-Infinity" });
        }
        Any::Number(Number::Float(number)) => push_number(*number, out),
        Any::String(text) => out.push_str(text),
        Any::Buffer(bytes) => push_list(bytes, |byte, out| push_display(byte, out), out),
        Any::Array(values) => {
            let nothing = |value: &Any| matches!(value, Any::Undefined | Any::Null);
            push_list(
                values,
                |value, out| {
                    if nothing(value) {
                    } else {
                        push_text(value, out)
                    }
                },
                out,
            );
        }
        Any::Map(_) => out.push_str("[object Object]"),
    }
}

/// What JavaScript enumerates in a value, in the order of the keys.
pub(super) fn entries(value: &Any) -> Vec<(String, Any)> {
    let numbered = |(index, value): (usize, Any)| (index.to_string(), value);
    let entries: Vec<(String, Any)> = match value {
        Any::Map(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        Any::Array(values) => values.iter().cloned().enumerate().map(numbered).collect(),
        Any::String(text) => {
            let units = text.encode_utf16().map(|unit| Any::from(String::from_utf16_lossy(&[unit])));
            units.enumerate().map(numbered).collect()
        }
        Any::Null | Any::Undefined | Any::Bool(_) | Any::Number(_) | Any::Buffer(_) => Vec::new(),
    };
    // Through a map of a kind that is here anyway: sorting is much code, and a module of Wasm is to be small.
    let mut order: Map<&str, u32> = Map::new();
    for (index, (key, _)) in entries.iter().enumerate() {
        order.insert(key, index as u32);
    }
    order.values().filter_map(|index| entries.get(*index as usize).cloned()).collect()
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

fn push_display(value: &dyn Display, out: &mut String) {
    let _ = write!(out, "{value}");
}

/// Appends a finite number as JavaScript writes it (ECMA-262, `Number::toString`).
fn push_number(number: f64, out: &mut String) {
    if number == 0.0 {
        // Also if it is negative.
        return out.push('0');
    }
    // The standard library has the same digits for another 17 KB, and JSON cannot do without this.
    let written = serde_json::Value::from(number.abs()).to_string();
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let whole = mantissa.find('.').unwrap_or(mantissa.len());
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    let digits = digits.trim_matches('0');
    // The point stands behind this many digits.
    let point = exponent.parse::<i32>().unwrap_or(0) + whole as i32 - zeros as i32;
    if number < 0.0 {
        out.push('-');
    }
    match usize::try_from(point) {
        Ok(point @ 1..=21) => match digits.split_at_checked(point) {
            Some((whole, "")) => out.push_str(whole),
            Some((whole, fraction)) => out.extend([whole, ".", fraction]),
            None => {
                out.push_str(digits);
                out.extend(core::iter::repeat_n('0', point - digits.len()));
            }
        },
        Ok(_) | Err(_) if (-5..=0).contains(&point) => {
            out.push_str("0.");
            out.extend((point..0).map(|_| '0'));
            out.push_str(digits);
        }
        Ok(_) | Err(_) => {
            let (first, rest) = digits.split_at(digits.len().min(1));
            out.push_str(first);
            if !rest.is_empty() {
                out.extend([".", rest]);
            }
            let _ = write!(out, "e{:+}", point - 1);
        }
    }
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

    proptest::proptest! {
        #[test]
        fn numbers_are_written_with_the_fewest_digits(bits: u64) {
            let number = f64::from_bits(bits);
            if number.is_finite() && number != 0.0 {
                let mut out = String::new();
                push_number(number, &mut out);
                proptest::prop_assert_eq!(out.parse::<f64>().unwrap(), number);
                let digits = |text: &str| {
                    let digits = text.split('e').next().unwrap_or_default().replace(['.', '-'], "");
                    digits.trim_matches('0').to_owned()
                };
                proptest::prop_assert_eq!(digits(&out), digits(&format!("{number:e}")));
            }
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
        let object =
            [("b".to_owned(), Any::Null), ("a".to_owned(), Any::Undefined), ("Z".to_owned(), Any::from(1))];
        let value = Any::Array(
            [
                Any::Undefined,
                Any::from(f64::NAN),
                Any::Number(Number::Int(i64::MAX)),
                Any::from(vec![1_u8, 2, 3]),
                Any::Map(std::sync::Arc::new(object.into_iter().collect())),
            ]
            .into(),
        );
        let mut out = String::new();
        push_json(&value, &mut out);
        assert_eq!(out, r#"[null,null,9223372036854775807,{"base64":"AQID"},{"Z":1,"b":null}]"#);
    }
}
