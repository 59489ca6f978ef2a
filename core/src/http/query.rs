//! The query of a request, as `application/x-www-form-urlencoded` has it.

use super::ApiError;
#[cfg(feature = "shared")]
use super::Reply;
use crate::name::percent_decode;

/// Parameters of a query: few, so a list.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, ApiError> {
        let decode = |text: &str| {
            percent_decode(&text.replace('+', " "))
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| ApiError::invalid("the query is not percent-encoded UTF-8"))
        };
        query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// A parameter that may be given once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(ApiError::invalid(format!("the query has '{name}' more than once"))),
        }
    }

    /// Whether an older state will do: `stale=ok`.
    pub(super) fn stale(&self) -> Result<bool, ApiError> {
        match self.one("stale")? {
            None => Ok(false),
            Some("ok") => Ok(true),
            Some(_) => Err(ApiError::invalid("'stale' is 'ok' or not there")),
        }
    }

    /// What is left without some parameters, encoded again: empty, or begins with `&`.
    pub(super) fn without(&self, names: &[&str]) -> String {
        let mut out = String::new();
        for (name, value) in self.0.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
            out.push('&');
            percent_encode(name, &mut out);
            out.push('=');
            percent_encode(value, &mut out);
        }
        out
    }
}

/// The query with which a read goes on behind an answer; none if that tells no place.
#[cfg(feature = "shared")]
pub(crate) fn resumed(query: &str, reply: &Reply) -> Option<String> {
    let mut next = format!("offset={}", reply.header("stream-next-offset")?);
    if let Some(place) = reply.header("stream-presence-offset") {
        next.push_str("&presence=");
        next.push_str(place);
    }
    Some(next + &Query::parse(query).ok()?.without(&["offset", "presence"]))
}

/// Encodes everything but what RFC 3986 calls unreserved.
pub(crate) fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0').to_ascii_uppercase();
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_given_once() {
        let query = Query::parse("a=1&b=x%20y+z&c&&a%3D=2").unwrap();
        assert_eq!(query.one("a").unwrap(), Some("1"));
        assert_eq!(query.one("b").unwrap(), Some("x y z"));
        assert_eq!(query.one("c").unwrap(), Some(""));
        assert_eq!(query.one("d").unwrap(), None);
        assert_eq!(query.without(&["a", "c"]), "&b=x%20y%20z&a%3D=2");
        assert!(Query::parse("a=1&a=2").unwrap().one("a").is_err());
        assert!(Query::parse("a=%f").is_err() && Query::parse("%ff=1").is_err());
    }
}
