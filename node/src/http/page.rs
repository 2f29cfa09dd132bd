//! The page: what browsers load from this node, embedded in the program. Nothing of it comes from
//! elsewhere, and nothing that people write can run in it.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use std::sync::Arc;

use super::Web;

/// The file that begins the page.
const INDEX: &str = "index.html";

/// What a page may load and do: its own files, and requests to its own node. Scripts make no markup of
/// text (W3C Trusted Types); no other page frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self'; connect-src 'self'; \
    manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page, as the program was built with it.
pub struct File {
    pub path: &'static str,
    pub kind: &'static str,
    /// Of its bytes.
    pub tag: &'static str,
    pub plain: &'static [u8],
    /// The same by Brotli (RFC 7932), where that is shorter.
    pub brotli: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// The page's own addresses, each of which begins with the same file.
const PLACES: [&str; 11] = [
    "/",
    "/login",
    "/channel/{*rest}",
    "/post/{*rest}",
    "/thread/{*rest}",
    "/console",
    "/console/",
    "/console/{*rest}",
    "/setup",
    "/setup/",
    "/setup/{*rest}",
];

pub fn routes() -> Router<Arc<Web>> {
    let router = Router::new().route("/static/{*path}", get(file));
    PLACES
        .into_iter()
        .fold(router, |router, place| router.route(place, get(index)))
}

async fn index(headers: HeaderMap) -> Response {
    answer(INDEX, &headers)
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    answer(&path, &headers)
}

fn find(path: &str) -> Option<&'static File> {
    let at = FILES.binary_search_by(|file| file.path.cmp(path)).ok()?;
    FILES.get(at)
}

fn answer(path: &str, asked: &HeaderMap) -> Response {
    let Some(file) = find(path) else {
        return (StatusCode::NOT_FOUND, "This node has no such file.").into_response();
    };
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(CONTENT_TYPE, file.kind);
    set(ETAG, file.tag);
    // A node that was upgraded serves other modules under the same names: each is asked for again,
    // and answered by its tag.
    set(CACHE_CONTROL, "no-cache");
    set(VARY, "Accept-Encoding");
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(REFERRER_POLICY, "no-referrer");
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    let names = |name: HeaderName, wanted: &str| {
        let values = asked.get_all(name).into_iter();
        let mut words = values
            .filter_map(|it| it.to_str().ok())
            .flat_map(|it| it.split(','));
        words.any(|it| it.trim() == wanted)
    };
    if names(IF_NONE_MATCH, file.tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    match file.brotli.filter(|_| names(ACCEPT_ENCODING, "br")) {
        Some(short) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
            (headers, short).into_response()
        }
        None => (headers, file.plain).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_their_paths_and_nothing_else_is() {
        assert!(find(INDEX).is_some());
        assert!(FILES.is_sorted_by_key(|file| file.path));
        for path in ["", "../Cargo.toml", "index.html/", "/index.html"] {
            assert!(find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn whoever_has_a_file_is_not_sent_it_again() {
        let mut asked = HeaderMap::new();
        asked.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
        let first = answer(INDEX, &asked);
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].clone();
        asked.insert(IF_NONE_MATCH, tag);
        assert_eq!(answer(INDEX, &asked).status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn nothing_of_the_page_names_scripts_or_styles_in_its_markup() {
        let index = find(INDEX).unwrap();
        let text = std::str::from_utf8(index.plain).unwrap().to_lowercase();
        for word in [
            "style=", " onload", " onerror", "<style", "http://", "https://",
        ] {
            assert!(!text.contains(word), "{word}");
        }
    }
}
