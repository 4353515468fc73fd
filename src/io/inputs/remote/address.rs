//! Text functions for URLs ("addresses"): recognising them, masking their secrets, and deriving file names.

use percent_encoding::percent_decode_str;

/// Query parameters that grant access, by their names in lower case.
const SECRET_PARAMETERS: [&str; 4] = ["api_key", "code", "key", "sig"];

/// Parts of the names of further query parameters that grant access.
const SECRET_PARAMETER_PARTS: [&str; 12] = [
    "accesskey",
    "apikey",
    "auth",
    "credential",
    "hdnt",
    "hmac",
    "jwt",
    "passw",
    "secret",
    "session",
    "signature",
    "token",
];

/// Whether an input is an address (`scheme://…`) of any scheme; a scheme has at least two characters, unlike a drive
/// letter.
pub fn is_address(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.len() > 1
            && scheme
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c))
    })
}

/// An input that looks like an http or https address, without user, password and query; any other input as it is.
pub(in crate::io::inputs) fn mask_address(text: &str) -> String {
    let is_address = text.get(..5).is_some_and(|start| {
        start.eq_ignore_ascii_case("http:") || start.eq_ignore_ascii_case("https")
    });
    if !is_address {
        return text.to_owned();
    }
    let (scheme, rest) = text.split_at(text.find(':').map_or(0, |colon| colon + 1));
    let rest = rest
        .rsplit_once('@')
        .map_or(rest, |(_, host)| host)
        .trim_start_matches('/');
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    format!("{scheme}//{path}")
}

/// A path and query with `***` for the values of parameters that grant access.
pub(super) fn mask_query(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        SECRET_PARAMETERS.contains(&name.as_str())
            || SECRET_PARAMETER_PARTS
                .iter()
                .any(|part| name.contains(part))
    };
    let parameters = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}=***"),
            _ => parameter.to_owned(),
        });
    format!("{path}?{}", parameters.collect::<Vec<_>>().join("&"))
}

/// A percent-encoded segment of an address as a file name; `None` if it is empty, `.` or `..`.
pub(super) fn file_name(part: &str) -> Option<String> {
    let text = percent_decode_str(part).decode_utf8_lossy();
    let is_reserved = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    let name: String = text
        .chars()
        .map(|c| if is_reserved(c) { '_' } else { c })
        .collect();
    let is_name = !name.is_empty() && name != "." && name != "..";
    is_name.then_some(name)
}
