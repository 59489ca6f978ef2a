use super::{HS256, NOW, claims, grip_sig, proxies, signed};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use yonder_core::grip::{Proxies, SignatureError};

fn verify(proxies: &Proxies, token: &str) -> Result<(), SignatureError> {
    proxies.verify(Some(token), NOW)
}

#[test]
fn a_proxys_request_is_known_until_its_token_expires() {
    let token = grip_sig();
    assert_eq!(verify(&proxies(), &token), Ok(()));
    assert_eq!(proxies().verify(Some(&token), NOW.after(3_600_000)), Err(SignatureError::Expired));
    assert_eq!(proxies().verify(None, NOW), Err(SignatureError::Missing));
}

#[test]
fn a_forged_token_is_refused_wherever_it_was_changed() {
    let token = grip_sig();
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        assert!(verify(&proxies(), &String::from_utf8(bytes).unwrap()).is_err(), "changed at {index}");
        assert!(verify(&proxies(), &token[..index]).is_err(), "cut at {index}");
    }
    let other = signed(HS256, &claims("pushpin", 60), "another");
    assert_eq!(verify(&proxies(), &other), Err(SignatureError::Signature));
}

#[test]
fn the_issuer_must_be_the_one_that_is_known() {
    let token = |issuer| signed(HS256, &claims(issuer, 60), "secret");
    assert_eq!(verify(&proxies(), &token("other")), Err(SignatureError::Issuer));
    let without = signed(HS256, r#"{"exp":9999999999}"#, "secret");
    assert_eq!(verify(&proxies(), &without), Err(SignatureError::Issuer));
    let any = Proxies::parse("http://127.0.0.1:5561/?verify-key=secret").unwrap();
    assert_eq!(verify(&any, &token("whoever")), Ok(()));
}

#[test]
fn only_the_algorithm_of_the_key_is_taken() {
    let body = claims("pushpin", 60);
    for algorithm in ["none", "HS512", "ES256", "hs256", "RS256"] {
        let token = signed(&format!(r#"{{"alg":"{algorithm}"}}"#), &body, "secret");
        assert_eq!(verify(&proxies(), &token), Err(SignatureError::Algorithm), "{algorithm}");
    }
    let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(HS256), URL_SAFE_NO_PAD.encode(&body));
    assert_eq!(verify(&proxies(), &unsigned), Err(SignatureError::Signature));
}

#[test]
fn a_malformed_token_is_said_to_be_that() {
    let header = |header: &str| signed(header, &claims("pushpin", 60), "secret");
    let critical = header(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#);
    let without_end = signed(HS256, r#"{"iss":"pushpin"}"#, "secret");
    let long = signed(HS256, &format!(r#"{{"iss":"{}"}}"#, "p".repeat(5000)), "secret");
    for token in ["", ".", "..", "a.b", "a.b.c", &header("[]"), &header("{}"), &critical, &without_end, &long]
    {
        assert_eq!(verify(&proxies(), token), Err(SignatureError::Malformed), "{token:.60}");
    }
}

#[test]
fn keys_are_replaced_one_after_the_other() {
    let url = "http://127.0.0.1:5561/?verify-iss=pushpin&verify-key=new&verify-key=secret";
    let both = Proxies::parse(url).unwrap();
    assert_eq!(verify(&both, &grip_sig()), Ok(()));
    assert_eq!(verify(&both, &signed(HS256, &claims("pushpin", 60), "new")), Ok(()));
    let new = Proxies::parse("http://127.0.0.1:5561/?verify-iss=pushpin&verify-key=new").unwrap();
    assert_eq!(verify(&new, &grip_sig()), Err(SignatureError::Signature));
}

#[test]
fn a_key_of_one_proxy_does_not_speak_for_another() {
    let urls = "http://127.0.0.1:1?verify-iss=a&verify-key=secret-a\nhttp://127.0.0.1:2?verify-iss=b&verify-key=secret-b";
    let two = Proxies::parse(urls).unwrap();
    assert_eq!(verify(&two, &signed(HS256, &claims("a", 60), "secret-a")), Ok(()));
    assert_eq!(verify(&two, &signed(HS256, &claims("b", 60), "secret-b")), Ok(()));
    assert_eq!(verify(&two, &signed(HS256, &claims("a", 60), "secret-b")), Err(SignatureError::Issuer));
}

#[test]
fn where_to_publish_and_how_is_said_by_the_url() {
    let parsed = |url: &str| Proxies::parse(url).unwrap().iter().next().unwrap().clone();
    let plain = parsed("http://127.0.0.1:5561/?verify-key=base64:c2VjcmV0");
    assert_eq!(plain.publish_url(), "http://127.0.0.1:5561/publish/");
    assert_eq!(plain.authorization(NOW), None);
    let bearer = parsed("https://api.example/service/id?key=token&verify-key=s%20%26");
    assert_eq!(bearer.publish_url(), "https://api.example/service/id/publish/");
    assert_eq!(bearer.authorization(NOW).as_deref(), Some("Bearer token"));
    let token = parsed("https://api.example/realm/r?iss=r&key=secret").authorization(NOW).unwrap();
    let known = Proxies::parse("http://x?verify-iss=r&verify-key=secret").unwrap();
    assert_eq!(verify(&known, token.strip_prefix("Bearer ").unwrap()), Ok(()));
}

#[test]
fn a_wrong_setting_says_what_is_wrong_and_no_secret() {
    for (url, says) in [
        ("", "no proxy"),
        ("127.0.0.1:5561?verify-key=s", "begins with http"),
        ("http://?verify-key=s", "begins with http"),
        ("http://x", "no verify-key"),
        ("http://x?verify-key=", "empty"),
        ("http://x?verify-key=base64:%", "percent-encoded"),
        ("http://x?verify-key=base64:*", "base64"),
        ("http://x?verify-key=changeme", "default"),
        ("http://x?verify-key=s&verify-iss=a%0d%0ab", "characters"),
        ("http://x?verify-keys=s", "only"),
        ("http://x?verify-key=s&key=a%0ab", "characters"),
        ("http://x?verify-key=-----BEGIN%20RSA", "one public key"),
    ] {
        let error = Proxies::parse(url).unwrap_err();
        assert!(error.contains(says), "{url}: {error}");
    }
    assert!(!format!("{:?}", proxies()).contains("secret"));
}

#[cfg(not(feature = "grip-es256"))]
#[test]
fn a_public_key_needs_the_feature_that_verifies_it() {
    let error =
        Proxies::parse("https://api.fastly.com/service/id?key=token&verify-iss=fastly:id").unwrap_err();
    assert!(error.contains("grip-es256"), "{error}");
}

#[cfg(feature = "grip-es256")]
mod es256 {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
    use yonder_core::Millis;
    use yonder_core::grip::FASTLY_KEY;

    const ES256: &str = r#"{"typ":"JWT","alg":"ES256"}"#;

    fn key() -> SigningKey {
        SigningKey::from_slice(&[7; 32]).unwrap()
    }

    /// In PEM.
    fn public(key: &SigningKey) -> String {
        let mut der = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").unwrap();
        der.extend_from_slice(key.verifying_key().to_sec1_point(false).as_bytes());
        let encoded = STANDARD.encode(der);
        let (first, second) = encoded.split_at(64);
        format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    }

    fn url(public: &str) -> String {
        let public = STANDARD.encode(public);
        format!("https://api.example?key=token&verify-iss=fastly:id&verify-key=base64:{public}")
    }

    fn token(header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature: Signature = key().sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    #[test]
    fn a_request_signed_with_the_private_key_is_known() {
        let proxies = Proxies::parse(&url(&public(&key()))).unwrap();
        let good = token(ES256, &claims("fastly:id", 60));
        assert_eq!(verify(&proxies, &good), Ok(()));
        assert_eq!(verify(&proxies, &token(ES256, &claims("fastly:other", 60))), Err(SignatureError::Issuer));
        assert_eq!(proxies.verify(Some(&good), NOW.after(60_000)), Err(SignatureError::Expired));
        for index in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            assert!(verify(&proxies, &String::from_utf8(bytes).unwrap()).is_err(), "changed at {index}");
        }
    }

    #[test]
    fn a_public_key_is_never_a_secret_to_sign_with() {
        let pem = public(&key());
        let proxies = Proxies::parse(&url(&pem)).unwrap();
        for secret in [pem.as_str(), pem.trim(), "token"] {
            let forged = signed(HS256, &claims("fastly:id", 60), secret);
            assert_eq!(verify(&proxies, &forged), Err(SignatureError::Algorithm));
            let forged = signed(ES256, &claims("fastly:id", 60), secret);
            assert_eq!(verify(&proxies, &forged), Err(SignatureError::Signature));
        }
    }

    #[test]
    fn what_fastly_has_signed_holds_with_its_published_key() {
        // From the tests of a public library, long expired.
        let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJleHAiOjE2NzUzNjU0MjgsImlzcyI6ImZhc3RseSJ9.\
                     QL2Pm1JnXV_vAYK7ijeD4U1CBjOTLihNMDZ-qfvjkKOTUiK1jyxGEwjZfeApijRaOtQT8fVkdPnKjF-tBiUzkA";
        let public = STANDARD.encode(FASTLY_KEY);
        let known = format!("https://api.example?key=token&verify-iss=fastly&verify-key=base64:{public}");
        let known = Proxies::parse(&known).unwrap();
        assert_eq!(known.verify(Some(token), Millis(1_675_365_000_000)), Ok(()));
        assert_eq!(known.verify(Some(token), NOW), Err(SignatureError::Expired));
        let ours =
            Proxies::parse("https://api.fastly.com/service/id?key=token&verify-iss=fastly:id").unwrap();
        assert_eq!(ours.verify(Some(token), Millis(1_675_365_000_000)), Err(SignatureError::Issuer));
    }

    #[test]
    fn a_public_key_must_be_one_and_come_with_a_secret() {
        for (url, says) in [
            (url("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"), "P-256"),
            (url("-----BEGIN PUBLIC KEY-----\n***\n-----END PUBLIC KEY-----"), "base64"),
            (url(&public(&key())).replace("key=token&", ""), "secret"),
        ] {
            assert!(Proxies::parse(&url).unwrap_err().contains(says), "{says}");
        }
        let mut der = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").unwrap();
        der.extend([4; 65]);
        let off_curve = format!("http://x?key=k&verify-key=base64:{}", STANDARD.encode(der));
        assert!(Proxies::parse(&off_curve).unwrap_err().contains("no point"));
    }
}
