//! How an APOLLO endpoint is written: one reading for whoever accepts a configuration and for whoever dials.
//! Leaves out names and addresses: whether a host exists shows when it is dialled.

/// What would be right where an endpoint is not.
pub const EXPECTED: &str = "host:port for plaintext, https://host:port for TLS, or nothing to switch APOLLO off";

/// An endpoint that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// Whether TLS is spoken.
    pub is_tls: bool,
    /// `host:port`.
    pub authority: &'a str,
}

/// Reads `host:port`, `http://host:port`, `https://host:port`; nothing is `None`.
///
/// # Errors
/// What is wrong, in words that follow the value.
pub fn read(value: &str) -> Result<Option<Endpoint<'_>>, &'static str> {
    let value = value.trim();
    if value.is_empty() {
        return Ok(None);
    }
    let (is_tls, authority) = match value.split_once("://") {
        None => (false, value),
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some(_) => return Err("has an unknown scheme"),
    };
    let authority = authority.trim_end_matches('/');
    if authority.contains(['/', '?', '#', '@']) {
        return Err("has more than a host and a port");
    }
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an address without a port are inside its brackets.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    if host.is_empty() {
        return Err("names no host");
    }
    if !is_host(host) {
        return Err("is not a host and a port");
    }
    let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    if is_port { Ok(Some(Endpoint { is_tls, authority })) } else { Err("has no port from 1 to 65535") }
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(address) => address.is_some_and(|address| address.parse::<core::net::Ipv6Addr>().is_ok()),
        None => host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_host_and_port() {
        for (value, expected) in [
            (" ", Ok(None)),
            ("apollo.keti.svc:50051", Ok(Some((false, "apollo.keti.svc:50051")))),
            ("http://10.0.0.1:1/", Ok(Some((false, "10.0.0.1:1")))),
            ("https://[::1]:443", Ok(Some((true, "[::1]:443")))),
            ("ftp://x", Err("has an unknown scheme")),
            ("[::1]", Err("has no port from 1 to 65535")),
            ("a:b:1", Err("is not a host and a port")),
            ("a:+1", Err("has no port from 1 to 65535")),
            ("[x]:1", Err("is not a host and a port")),
            ("two words:1", Err("is not a host and a port")),
            (":1", Err("names no host")),
            ("a:1/b", Err("has more than a host and a port")),
        ] {
            assert_eq!(read(value).map(|found| found.map(|e| (e.is_tls, e.authority))), expected, "{value:?}");
        }
    }
}
