//! Addresses of networks that are not the Internet.

use std::net::{IpAddr, Ipv4Addr};

/// Whether a host is an address, not a name, of this machine or a network that is not the Internet.
pub fn is_inner_address(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => is_inner_v4(address),
        Ok(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => is_inner_v4(address),
            None => {
                let first = address.segments().first().copied().unwrap_or_default();
                let is_local = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
                address.is_loopback() || address.is_unspecified() || is_local || first & 0xff0f == 0xff02
            }
        },
        Err(_) => false,
    }
}

fn is_inner_v4(address: Ipv4Addr) -> bool {
    let is_link_local_multicast = address.octets().starts_with(&[224, 0, 0]);
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
        || is_link_local_multicast
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_inner_address_knows_private_networks_and_not_names() {
        for inner in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
        ] {
            assert!(is_inner_address(inner), "{inner}");
        }
        for outer in ["1.1.1.1", "[2001:db8::1]", "localhost", "example.com", ""] {
            assert!(!is_inner_address(outer), "{outer}");
        }
    }
}
