//! What a request says of the way it came, put right before anything else reads it: who asks, and
//! whether in the clear. Only a proxy that the sysadmin has named is believed.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// What clients and proxies say of the same in other words: nobody here reads it.
const OTHERS: [HeaderName; 4] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
];
/// Addresses of one request that are looked at: a few proxies stand behind one another.
const HOPS: usize = 16;

/// Leaves with a request what is true: the asker's address as its [`ConnectInfo`], and
/// `X-Forwarded-Proto: https` where nobody could listen on the way; none of what was only claimed.
pub fn put_right(request: &mut Request, peer: SocketAddr, over_tls: bool, proxies: &[IpAddr]) {
    let is_proxy = proxies.contains(&peer.ip().to_canonical());
    let headers = request.headers_mut();
    // A proxy that adds to what it was told has the last word.
    let said = texts(headers, &PROTO).last().filter(|_| is_proxy);
    let said = said.and_then(|it| it.rsplit(',').next()).map(str::trim);
    let secure = said.map_or(over_tls, |said| said.eq_ignore_ascii_case("https"));
    let address = match is_proxy {
        true => forwarded_for(headers, proxies).unwrap_or(peer.ip()),
        false => peer.ip(),
    };
    headers.remove(FOR);
    headers.remove(PROTO);
    OTHERS.iter().for_each(|name| drop(headers.remove(name)));
    if secure {
        headers.insert(PROTO, HeaderValue::from_static("https"));
    }
    let asker = SocketAddr::new(address.to_canonical(), peer.port());
    request.extensions_mut().insert(ConnectInfo(asker));
}

/// Each proxy adds at the end whom it was asked by: the last that is no proxy is who asks. What
/// stands before it is that one's own word.
fn forwarded_for(headers: &HeaderMap, proxies: &[IpAddr]) -> Option<IpAddr> {
    let lines: Vec<&str> = texts(headers, &FOR).collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    for hop in hops.take(HOPS) {
        let address = address(hop.trim())?;
        if !proxies.contains(&address) {
            return Some(address);
        }
    }
    None
}

/// An address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let parsed = bare.parse::<IpAddr>().ok();
    let parsed = parsed.or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()));
    parsed.map(|it| it.to_canonical())
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    values.filter_map(|it| it.to_str().ok())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    const PROXIES: [IpAddr; 2] = [
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)),
    ];

    fn seen(peer: &str, over_tls: bool, headers: &[(&str, &str)]) -> (String, bool) {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        put_right(
            &mut request,
            format!("{peer}:9").parse().unwrap(),
            over_tls,
            &PROXIES,
        );
        let ConnectInfo(asker) = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .unwrap();
        assert!(request.headers().get("x-forwarded-for").is_none());
        assert!(request.headers().get("x-real-ip").is_none());
        let secure = request.headers().get("x-forwarded-proto");
        (
            asker.ip().to_string(),
            secure.is_some_and(|it| it == "https"),
        )
    }

    #[test]
    fn nobody_but_a_named_proxy_is_believed() {
        let claims = [
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Real-IP", "203.0.113.9"),
            ("X-Forwarded-Proto", "https"),
        ];
        let stranger = seen("198.51.100.7", false, &claims);
        assert_eq!(stranger, ("198.51.100.7".into(), false));
        let proxy = seen("10.0.0.1", false, &claims);
        assert_eq!(proxy, ("203.0.113.9".into(), true));
    }

    #[test]
    fn whoever_asks_a_proxy_cannot_pass_for_another() {
        let claims = [
            ("X-Forwarded-For", "127.0.0.1, 203.0.113.9"),
            ("X-Forwarded-For", "10.0.0.2"),
        ];
        assert_eq!(seen("10.0.0.1", false, &claims).0, "203.0.113.9");
        let nonsense = [("X-Forwarded-For", "203.0.113.9, somebody")];
        assert_eq!(seen("10.0.0.1", false, &nonsense).0, "10.0.0.1");
        let ported = [("X-Forwarded-For", "[2001:db8::1]:443")];
        assert_eq!(seen("10.0.0.1", false, &ported).0, "2001:db8::1");
        assert_eq!(seen("10.0.0.1", false, &[]).0, "10.0.0.1");
    }

    #[test]
    fn a_line_is_secure_by_its_own_tls_or_by_its_proxys_word() {
        assert!(seen("198.51.100.7", true, &[]).1);
        assert!(seen("198.51.100.7", true, &[("X-Forwarded-Proto", "http")]).1);
        assert!(!seen("198.51.100.7", false, &[]).1);
        // The proxy was asked in the clear, whatever it asks by itself.
        assert!(!seen("10.0.0.1", true, &[("X-Forwarded-Proto", "http")]).1);
        assert!(seen("10.0.0.1", true, &[]).1);
    }
}
