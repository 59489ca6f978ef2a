//! Names of documents: they come back from each of their forms.

use yonder_core::{DocName, KEY_MAX};

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (service, path) = text.split_once('\n').unwrap_or(("default", &text));
    let names = [
        DocName::new(text.as_ref()).ok(),
        DocName::from_path(&text).ok(),
        DocName::in_service(service, path).ok(),
        DocName::from_internal(&text).ok(),
        DocName::from_key(&text),
    ];
    for name in names.into_iter().flatten() {
        let key = name.to_key();
        assert!(key.len() <= KEY_MAX, "{key}");
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        assert!(key.bytes().all(plain), "{key}");
        assert_eq!(DocName::from_key(&key).as_ref(), Some(&name));
        assert_eq!(DocName::from_internal(name.internal()).as_ref(), Ok(&name));
        let path: String = name.as_str().bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(DocName::in_service(name.service(), &path).as_ref(), Ok(&name));
    }
    if let Some(name) = DocName::from_key(&text) {
        assert_eq!(name.to_key(), text, "a name has one key");
    }
}
