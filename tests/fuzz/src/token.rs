//! Tokens: what is minted verifies, only so, and gives what it says; anything else is refused.

use crate::input::Input;
use yonder_core::auth::{AuthError, Claims, Keys, Permission, Scope};
use yonder_core::{DocName, Millis};

const NOW: Millis = Millis(1_800_000_000_000);

pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let keys = Keys::parse(["new:secret", "old:other", "third"]).unwrap();
    match input.byte() {
        0 => hostile(&keys, &input.text()),
        1 => signed(&keys, &mut input),
        _ => minted(&keys, &mut input),
    }
}

/// A token as it comes.
fn hostile(keys: &Keys, token: &str) {
    let verified = keys.verify(token, NOW);
    let doc = DocName::new("a").unwrap();
    match verified {
        Ok(claims) => {
            assert!(claims.exp > NOW.0 / 1000 && claims.nbf.is_none_or(|from| from <= NOW.0 / 1000));
            assert_eq!(keys.verify(&keys.mint(&claims), NOW), Ok(claims));
        }
        Err(error) => assert_eq!(keys.authorize(Some(token), &doc, NOW), Err(error)),
    }
}

/// Claims and a header that nobody wrote, with a signature that holds.
fn signed(keys: &Keys, input: &mut Input<'_>) {
    let (header, claims) = (input.part(), input.part());
    let token = crate::signature::sign(b"third", header, claims);
    match keys.verify(&token, NOW) {
        Ok(claims) => {
            assert!(claims.exp > NOW.0 / 1000);
            assert_eq!(keys.verify(&keys.mint(&claims), NOW), Ok(claims));
        }
        Err(AuthError::Missing | AuthError::OtherDocument) => panic!("that is known with a document only"),
        Err(AuthError::Signature) => {
            // It holds, but the header may name another key.
            assert!(String::from_utf8_lossy(header).contains("kid"));
        }
        Err(AuthError::Malformed | AuthError::UnknownKey | AuthError::Expired | AuthError::NotYetValid) => {}
    }
}

/// Claims of ours, and a token that was changed in one place.
fn minted(keys: &Keys, input: &mut Input<'_>) {
    let text = |input: &mut Input<'_>| (input.below(2) == 1).then(|| input.text());
    let claims = Claims {
        scope: if input.below(2) == 0 { Scope::Doc(input.text()) } else { Scope::Prefix(input.text()) },
        service: text(input),
        perm: [Permission::Read, Permission::Write, Permission::Admin][input.below(3)],
        exp: input.number(),
        nbf: (input.below(2) == 1).then(|| input.number()),
        sub: text(input),
    };
    let mut token = keys.mint(&claims);
    let seconds = NOW.0 / 1000;
    let expected = match &claims {
        _ if token.len() > 4096 => Err(AuthError::Malformed),
        claims if claims.exp <= seconds => Err(AuthError::Expired),
        claims if claims.nbf.is_some_and(|from| from > seconds) => Err(AuthError::NotYetValid),
        claims => Ok(claims.clone()),
    };
    assert_eq!(keys.verify(&token, NOW), expected);
    if expected.is_ok() {
        let Ok(doc) = DocName::in_service("default", "team/plan") else { return };
        let opens = match &claims.scope {
            Scope::Doc(name) => name == "team/plan",
            Scope::Prefix(prefix) => "team/plan".starts_with(prefix.as_str()),
        } && claims.service.as_deref().is_none_or(|service| service == "default");
        let grant = keys.authorize(Some(&token), &doc, NOW);
        assert_eq!(grant.is_ok(), opens);
        assert!(grant.is_ok_and(|grant| grant.permission == claims.perm) || !opens);
    }
    let (at, with) = (input.number() as usize % token.len(), char::from(input.byte() & 0x7f));
    let known = token.as_bytes()[at];
    token.replace_range(at..=at, &with.to_string());
    if with as u32 != u32::from(known) {
        assert!(keys.verify(&token, NOW).is_err(), "changed at {at}");
    }
}
